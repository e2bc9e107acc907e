import assert from "node:assert/strict";
import { test } from "node:test";
import { AUGMENTATIONS, augment, augmentationsOf, drawAugmentation, type AugmentationDraws } from "../../src/model/augmentation";
import { resolveConfig } from "../../src/model/config";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";
import { train } from "../../src/model/trainer";
import { assertMatches, readGolden, unpack, type Packed } from "./golden";
import { base, resources } from "./tiny-training";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Case {
  images: Packed;
  weights: Packed;
  colours: Packed;
  shifts: number[][];
  cutouts: number[][];
  result: Packed;
  gradient: Packed;
}

test("all augmentations together agree with PyTorch, gradients included, and leave no tensor", () => {
  const before = tf.memory().numTensors;
  for (const golden of readGolden<Case[]>("augmentation")) {
    tf.tidy(() => {
      const draws: AugmentationDraws = { colours: unpack(golden.colours) as tf.Tensor2D, shifts: tf.tensor2d(golden.shifts, undefined, "int32"), cutouts: tf.tensor2d(golden.cutouts, undefined, "int32") };
      const images = unpack(golden.images) as tf.Tensor4D;
      assertMatches(augment(AUGMENTATIONS, images, draws), golden.result, 1e-6, "images");
      const gradient = tf.grad((x) => tf.sum(tf.mul(augment(AUGMENTATIONS, x as tf.Tensor4D, draws), unpack(golden.weights))))(images);
      assertMatches(gradient, golden.gradient, 1e-6, "gradient");
    });
  }
  assert.equal(tf.memory().numTensors, before);
});

test("each changes what it is named after, and half-way numbers change nothing", () => {
  tf.tidy(() => {
    const images = tf.tensor4d(randomStream(1, "images").normal(2 * 8 * 8 * 3), [2, 8, 8, 3]);
    const draws: AugmentationDraws = { colours: tf.tensor2d([[0.9, 0.2], [0, 1], [0.9, 0.1]]), shifts: tf.tensor2d([[1, 0], [0, 0]], [2, 2], "int32"), cutouts: tf.tensor2d([[4, 0], [4, 0]], [2, 2], "int32") };
    const near = (actual: tf.Tensor, expected: tf.Tensor, what: string): void => assert.ok(tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0] < 1e-5, what);
    near(augment(["brightness"], images, draws), tf.add(images, tf.tensor4d([0.4, -0.3], [2, 1, 1, 1])), "brightness");
    const grey = augment(["saturation"], images, draws).slice(0, 1);
    near(grey, tf.tile(images.slice(0, 1).mean(3, true), [1, 1, 1, 3]), "a saturation of 0 is grey");
    near(augment(["saturation"], images, draws).mean(3), images.mean(3), "saturation keeps each pixel's mean");
    const contrasted = augment(["contrast"], images, draws);
    near(contrasted.mean([1, 2, 3]), images.mean([1, 2, 3]), "contrast keeps the image's mean");
    near(tf.moments(contrasted, [1, 2, 3]).variance.sqrt(), tf.moments(images, [1, 2, 3]).variance.sqrt().mul(tf.tensor1d([1.4, 0.6])), "contrast scales the deviation");
    const covered = augment(["cutout"], images, draws);
    const zeros = tf.equal(covered, 0).toInt().sum([1, 2, 3]).dataSync();
    assert.deepEqual([...zeros], [4 * 4 * 3, 2 * 2 * 3], "a square in the middle, and a quarter of one at the corner");
    const nothing: AugmentationDraws = { ...draws, colours: tf.fill([3, 2], 0.5), shifts: tf.zeros([2, 2], "int32") };
    near(augment(["brightness", "saturation", "contrast", "translation"], images, nothing), images, "nothing");
    near(augment([], images, draws), images, "none");
    assert.equal(augment(AUGMENTATIONS, images.slice(0, 1), draws).shape[0], 1, "fewer images than numbers");
  });
});

test("names are read in any order, and an unknown one is refused with the near ones", () => {
  assert.deepEqual(augmentationsOf("cutout, colour"), ["brightness", "saturation", "contrast", "cutout"]);
  assert.deepEqual([augmentationsOf("none"), augmentationsOf("rotation"), augmentationsOf("none,cutout")], [[], undefined, undefined]);
  assert.throws(() => resolveConfig({ criticAugmentation: "cutuot" }), /criticAugmentation must be "none", or of brightness, .*, colour some joined by commas, not "cutuot"; did you mean cutout\?/);
  assert.equal(resolveConfig({}).criticAugmentation, "translation");
});

test("what is drawn covers its range, and what isn't chosen takes nothing from the stream", () => {
  const chosen = drawAugmentation(AUGMENTATIONS, randomStream(0, "critic"), 4000, 32);
  const range = (tensor: tf.Tensor): number[] => [tf.min(tensor).dataSync()[0], tf.max(tensor).dataSync()[0]];
  assert.deepEqual([range(chosen.shifts), range(chosen.cutouts)], [[-4, 4], [0, 32]]);
  const [low, high] = range(chosen.colours);
  assert.ok(low >= 0 && low < 0.01 && high > 0.99 && high < 1);
  const [used, unused] = [randomStream(3, "critic"), randomStream(3, "critic")];
  const translation = drawAugmentation(["translation"], used, 5, 32);
  assert.deepEqual([...translation.shifts.dataSync()], [...unused.integers(10, 9)].map((shift) => shift - 4));
  assert.equal(used.state(), unused.state());
  tf.dispose([chosen, translation]);
});

test("a compiled training draws anew each step, and takes the very steps of one that is not compiled", async () => {
  const folder = mkdtempSync(join(tmpdir(), "augmentation-"));
  try {
    const losses = async (name: string, config: object): Promise<number[][]> => {
      const rows: number[][] = [];
      const given = { ...base, name, steps: 5, losses: { pixel: 1, adversarial: 0.5 }, criticLead: 0, adversarialRamp: 0, criticAugmentation: "colour,translation,cutout", endShare: 0.5, ...config };
      for await (const event of train(given, { resources, runsFolder: folder })) rows.push(Object.values(event.losses));
      return rows;
    };
    const [compiled, plain, none] = [await losses("compiled", {}), await losses("plain", { compile: false }), await losses("none", { criticAugmentation: "none" })];
    compiled.flat().forEach((value, index) => assert.ok(Math.abs(value - plain.flat()[index]) <= 1e-3 * (1 + Math.abs(value)), `${value} ${plain.flat()[index]}`));
    assert.notDeepEqual(none, compiled, "the augmentation reaches the critic");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
