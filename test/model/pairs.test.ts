import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { defineLoss } from "../../src/model/losses";
import { loadModel, evaluateModel, disposeModel } from "../../src/model/model";
import { makePairs, pairDraw, readPairs, type PairsOptions } from "../../src/model/pairs";
import { randomStream } from "../../src/model/random";
import { readSafetensors, writeSafetensors } from "../../src/model/safetensors";
import { train } from "../../src/model/trainer";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-pairs-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

const subject = { latentSize: 4, latentChannels: 2, imageSize: 16, classNames: ["first", "second"], encoderFingerprint: "fake" };
const options: PairsOptions = { ...subject, lossNetworks: ["some-network"], recipe: "a stub", count: 150, seed: 3 };
/** An image of one colour: the mean of the noise, and the class. */
const flat = (eps: tf.Tensor4D, y: tf.Tensor1D): tf.Tensor4D =>
  tf.tidy(() => {
    const colour = tf.stack([tf.mean(eps, [1, 2, 3]), tf.sub(y.toFloat(), 0.5), tf.fill([eps.shape[0]], 2)], 1); // [B, 3]; the last is beyond what a byte holds
    return tf.add(tf.zeros([eps.shape[0], 16, 16, 3]), colour.reshape([-1, 1, 1, 3])) as tf.Tensor4D;
  });

describe("pairs of noise and image", () => {
  it("hold what the teacher makes of each noise, by classes in turn, and leave no tensor", async () => {
    const file = join(folder, "whole.safetensors");
    const before = tf.memory().numTensors;
    assert.equal(await makePairs(file, flat, options), 150);
    const pairs = await readPairs(file, subject);
    assert.equal(tf.memory().numTensors, before);
    assert.deepEqual([...pairs.labels.subarray(0, 4)], [0, 1, 0, 1]);
    assert.deepEqual([pairs.labels.length, pairs.lossNetworks, pairs.recipe], [150, ["some-network"], "a stub"]);
    for (const index of [0, 63, 64, 149]) {
      const noise = pairs.eps.subarray(index * 32, (index + 1) * 32);
      const mean = noise.reduce((sum, value) => sum + value, 0) / 32;
      const byte = (value: number): number => Math.round(Math.min(Math.max((value + 1) * 127.5, 0), 255));
      const pixel = [...pairs.images.subarray(index * 768 + 300, index * 768 + 303)];
      [byte(mean), byte((index % 2) - 0.5), 255].forEach((wanted, channel) => assert.ok(Math.abs(pixel[channel] - wanted) <= 1, `${pixel} for ${wanted} in channel ${channel}`));
    }
    const [mean, square] = [(value: number) => value, (value: number) => value ** 2].map((of) => pairs.eps.reduce((sum, value) => sum + of(value), 0) / pairs.eps.length);
    assert.ok(Math.abs(mean) < 0.06 && Math.abs(square - 1) < 0.09, `noise of mean ${mean} and mean square ${square}`);
  });

  it("are kept when the work is interrupted, and gone on with to the same bytes", async () => {
    const file = join(folder, "parts.safetensors");
    const controller = new AbortController();
    await assert.rejects(makePairs(file, flat, { ...options, signal: controller.signal, onProgress: ({ done }) => done >= 128 && controller.abort(new Error("enough")) }), /enough/);
    assert.equal((await readPairs(file, subject)).labels.length, 128);
    assert.equal(await makePairs(file, flat, { ...options, count: 140 }), 140);
    assert.equal(await makePairs(file, flat, options), 150);
    assert.deepEqual(await readSafetensors(file), await readSafetensors(join(folder, "whole.safetensors")));
    const untouched = (): never => assert.fail("there are as many as asked for");
    assert.equal(await makePairs(file, untouched, { ...options, count: 100 }), 150);
    await assert.rejects(makePairs(file, flat, { ...options, count: 200, recipe: "another" }), /parts\.safetensors holds pairs that were made otherwise, a stub, and not another: choose another name/);
  });

  it("keep what was made before a failure, and nothing where nothing was", async () => {
    const file = join(folder, "failed.safetensors");
    await assert.rejects(makePairs(file, () => { throw new Error("no image"); }, options), /no image/);
    assert.ok(!existsSync(file));
  });

  it("are refused where they do not fit, and files that hold none", async () => {
    const file = join(folder, "whole.safetensors");
    await assert.rejects(readPairs(file, { ...subject, classNames: ["first", "third"], encoderFingerprint: "another" }), /the pairs in .*whole\.safetensors do not fit this training: classNames \(\["first","second"\] there, \["first","third"\] here\), encoderFingerprint \("fake" there, "another" here\)/);
    const other = join(folder, "other.safetensors");
    await writeSafetensors(other, { eps: { dtype: "F32", shape: [1], data: Float32Array.of(0) } });
    await assert.rejects(readPairs(other, subject), /other\.safetensors holds no pairs: expected a file that "npx crossflow pairs" wrote/);
    const few = join(folder, "few.safetensors");
    await makePairs(few, flat, { ...options, count: 1 });
    await assert.rejects(readPairs(few, subject), /few\.safetensors holds no pair of the class "second", only 1 in all/);
  });

  it("are drawn by class, into the rows that are asked for alone", async () => {
    const pairs = await readPairs(join(folder, "whole.safetensors"), subject);
    const [eps, images] = [new Float32Array(4 * 32).fill(7), new Float32Array(4 * 768).fill(7)];
    const draw = pairDraw(pairs);
    const stream = randomStream(0, "rows");
    const seen = new Set<number>();
    for (let time = 0; time < 40; time++) {
      draw([0, 2], [1, 0, 0, 1], eps, images, stream);
      assert.deepEqual([images[1], images[2 * 768 + 1]].map((green) => Math.sign(green)), [1, -1], "green tells the class");
      const mean = eps.subarray(0, 32).reduce((sum, value) => sum + value, 0) / 32;
      assert.ok(Math.abs(images[0] - mean) < 0.01, "noise and image belong together");
      seen.add(images[0]);
    }
    assert.ok(seen.size > 10, `${seen.size} of 75 pairs in 40 draws`);
    assert.ok([1, 3].every((row) => eps.subarray(row * 32, (row + 1) * 32).every((value) => value === 7) && images.subarray(row * 768, (row + 1) * 768).every((value) => value === 7)));
  });
});

describe("a training by pairs", () => {
  const config: Partial<TrainConfig> = { ...base, steps: 4, batchSize: 8, accumulation: 2, diagonalShare: 0.25, endShare: 0.5, endTarget: "pairs", pairsFile: join(folder, "whole.safetensors") };
  const totals = async (name: string, given: Partial<TrainConfig> = {}, until = Infinity, existing: "fail" | "resume" = "fail"): Promise<number[]> => {
    const values: number[] = [];
    for await (const { step, total, lossNetworks } of train({ ...config, name, ...given }, { runsFolder: folder, resources, existing })) {
      assert.deepEqual(lossNetworks, ["some-network"], "what the teacher's losses used is told on");
      values.push(total);
      if (step === until) break;
    }
    return values;
  };

  it("runs compiled as it does step by step, goes on bit for bit, and leaves no tensor", async () => {
    const before = tf.memory().numTensors;
    const [compiled, eager] = [await totals("compiled"), await totals("eager", { compile: false })];
    compiled.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    assert.deepEqual([...(await totals("halves", {}, 2)), ...(await totals("halves", {}, 4, "resume"))], compiled);
    assert.equal(tf.memory().numTensors, before);
  });

  it("makes the pairs' images of their noise, with a draw for each part of an accumulated batch", async () => {
    const settings = { diagonalShare: 0, endShare: 1, noiseShare: 0, losses: { "pixel-absolute": 1 } };
    await totals("short", { ...settings, steps: 1 });
    await totals("long", { ...settings, steps: 150, emaDecay: 0.9 });
    const pairs = await readPairs(config.pairsFile!, subject);
    const distance = async (name: string): Promise<number> => {
      const model = await loadModel(join(folder, name, "model.safetensors"));
      const value = tf.tidy(() => {
        const images = evaluateModel(model, tf.tensor4d(pairs.eps, [150, 4, 4, 2]), tf.zeros([150]), tf.tensor1d(pairs.labels, "int32"));
        return tf.mean(tf.abs(tf.sub(images, tf.sub(tf.div(tf.tensor4d(Float32Array.from(pairs.images), [150, 16, 16, 3]), 127.5), 1)))).dataSync()[0];
      });
      disposeModel(model);
      return value;
    };
    const [first, last] = [await distance("short"), await distance("long")];
    assert.ok(last < 0.5 * first, `distance ${first} after one step, ${last} after 150`);
  });

  it("leaves the data's images to the critic", async () => {
    const seen: number[][] = [];
    defineLoss("brightness", ({ samples: { real } }) => {
      seen.push(Array.from(tf.tidy(() => tf.mean(real, [1, 2, 3]).dataSync())));
      return tf.scalar(0);
    });
    await totals("real-images", { losses: { "pixel-absolute": 1, brightness: 1 }, steps: 1, compile: false });
    const { train } = resources;
    const means = Array.from({ length: train.size }, (_, index) => train.pixels.subarray(index * 768, (index + 1) * 768).reduce((sum, value) => sum + value, 0) / 768 / 127.5 - 1);
    assert.ok(seen.flat().length > 0);
    for (const value of seen.flat()) assert.ok(means.some((mean) => Math.abs(mean - value) < 1e-5), `${value} is the mean of none of the data's images`);
  });

  it("says what is missing", async () => {
    assert.throws(() => resolveConfig({ endTarget: "pairs" }), /endTarget "pairs" learns from noise and images that a teacher made before: set pairsFile to their file/);
    assert.throws(() => resolveConfig({ pairsFile: "pairs.safetensors" }), /pairsFile serves endTarget "pairs", and endTarget is "derivative"/);
    await assert.rejects(totals("no-file", { pairsFile: join(folder, "none.safetensors") }), /There is no file .*none\.safetensors/);
    assert.ok(!existsSync(join(folder, "no-file")));
  });
});
