import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { generateImages, generateLatents, type GenerateOptions, METHOD_NAMES, methodNamed, methodResources } from "../../src/model/baselines";
import { resolveConfig } from "../../src/model/config";
import { tf } from "../../src/model/engine/tf";
import { disposeModel, loadModel } from "../../src/model/model";
import type { Batch, ImageField } from "../../src/model/objective";
import { gaussianOracle } from "../../src/model/oracle";
import { trainingResources } from "../../src/model/resources";
import { runPaths } from "../../src/model/run";
import { sample } from "../../src/model/sampler";
import { train } from "../../src/model/trainer";
import { base, network, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-baselines-"));
after(() => rmSync(folder, { recursive: true, force: true }));

// z ~ N(m, s^2) in each of two coordinates: marginal velocity, average velocity and trajectory have closed forms.
const oracle = gaussianOracle();
const points = [[-1, 0.4], [0.3, -0.8], [1.2, 0.1]];
const count = points.length;
const latents = (rows: readonly (readonly number[])[]): tf.Tensor4D => tf.tensor4d(rows.flat(), [rows.length, 1, 1, 2]);
const near = (actual: tf.Tensor, expected: readonly number[], tolerance: number, what: string): void => actual.dataSync().forEach((value, index) => assert.ok(Math.abs(value - expected[index]) <= tolerance, `${what}: ${value} is not ${expected[index]}`));
const marginal = (zT: readonly number[], t: number): number[] => oracle.posteriorMean(zT, t).map((mean, axis) => (zT[axis] - mean) / t);
const averageVelocity = (zT: readonly number[], r: number, t: number): number[] => (t - r < 1e-9 ? marginal(zT, t) : oracle.alongTrajectory(zT, t, r).map((value, axis) => (zT[axis] - value) / (t - r)));

/** A batch at which latentAt() gives `points` and the velocity is the marginal one, so that residuals which are affine in the data are their own conditional means. */
function batchAt(r: number, t: number): Batch {
  const means = points.map((point) => oracle.posteriorMean(point, t));
  const noises = points.map((point, row) => point.map((value, axis) => (value - (1 - t) * means[row][axis]) / t));
  return { x0: latents(means), z: latents(means), eps: latents(noises), r: tf.fill([count], r), t: tf.fill([count], t), y: tf.zeros([count], "int32") };
}

/** The exact average velocity as a field of z_t and t - r at a fixed r, so that both move along the trajectory: built of tfjs operations, to be differentiated. */
const exactAverage = (r: number): ((zT: tf.Tensor4D, interval: tf.Tensor1D) => tf.Tensor4D) => {
  const mean = tf.tensor4d([0.4, -0.2], [1, 1, 1, 2]);
  const deviation = tf.tensor4d([0.6, 0.9], [1, 1, 1, 2]);
  const atR = tf.tidy(() => tf.sqrt(tf.add(tf.square(tf.mul(1 - r, deviation)), r * r)));
  return (zT, interval) => {
    const length = interval.reshape([-1, 1, 1, 1]);
    const t = tf.add(length, r);
    const kept = tf.sub(1, t);
    const spread = tf.sqrt(tf.add(tf.square(tf.mul(kept, deviation)), tf.square(t)));
    const zR = tf.add(tf.mul(1 - r, mean), tf.mul(tf.div(atR, spread), tf.sub(zT, tf.mul(kept, mean))));
    return tf.div(tf.sub(zT, zR), length) as tf.Tensor4D;
  };
};

describe("baselines at the exact solution of a Gaussian", () => {
  it("latent flow: the residual of the marginal velocity vanishes, and Heun's steps end where the closed-form trajectory does", () => {
    const field: ImageField = (zT, t) => {
      const rows = zT.arraySync().map(([[row]]) => row);
      return latents(rows.map((row, index) => (t.dataSync()[index] < 1e-6 ? row.map((_, axis) => -[0.4, -0.2][axis] + 0 * row[axis]) : marginal(row, t.dataSync()[index]))));
    };
    const method = methodNamed("latent-flow");
    const batch = batchAt(0.4, 0.4);
    near(method.terms!(field, batch, method.derivative!(field, batch, 0)).residual, [0, 0, 0, 0, 0, 0], 1e-6, "residual");
    // At t = 0 the velocity is -z: E[eps | z] - z.
    const stepping: ImageField = (zT, t, y) => (t.dataSync()[0] < 1e-6 ? (tf.neg(zT) as tf.Tensor4D) : field(zT, t, y));
    near(method.generate!(stepping, latents(points), tf.zeros([count], "int32"), 400), points.flatMap((point) => oracle.alongTrajectory(point, 1, 0)), 2e-4, "end of the trajectory");
  });

  it("latent flow: given the marginal velocity it learns that in place of one draw of it, by the same network's output", () => {
    const zT = points.map(([first, second]) => [0.3 * first, second + 0.1]);
    const draw: Batch = { ...batchAt(0.6, 0.6), z: latents(zT), eps: latents(points) };
    const field: ImageField = (at) => tf.mul(2, at);
    const method = methodNamed("latent-flow");
    const reached = points.map((noise, row) => noise.map((value, axis) => 0.4 * zT[row][axis] + 0.6 * value)); // z_t
    const mean = reached.map((point) => marginal(point, 0.6));
    const { residual, F, v } = method.terms!(field, draw, tf.zerosLike(draw.z), latents(mean));
    near(F, reached.flat().map((value) => 2 * value), 1e-6, "the network's output");
    near(v, mean.flat(), 1e-6, "what it learns");
    near(residual, reached.flatMap((point, row) => point.map((value, axis) => 2 * value - mean[row][axis])), 1e-5, "residual");
    near(method.terms!(field, draw, tf.zerosLike(draw.z)).v, points.flatMap((noise, row) => noise.map((value, axis) => value - zT[row][axis])), 1e-6, "without it, eps - z");
  });

  for (const [r, t] of [[0.2, 0.7], [0.5, 0.9], [0, 0.8]])
    it(`MeanFlow: the residual of the exact average velocity vanishes at (${r}, ${t}), in both predictions`, () => {
      const batch = batchAt(r, t);
      const average = exactAverage(r);
      near(average(latents(points), tf.fill([count], t - r)), points.flatMap((point) => averageVelocity(point, r, t)), 1e-5, "the field of this test");
      const velocityField: ImageField = (zT, interval) => average(zT, interval);
      const imageField: ImageField = (zT, interval) => tf.sub(zT, tf.mul(tf.add(interval, r).reshape([-1, 1, 1, 1]), average(zT, interval))) as tf.Tensor4D; // x = z_t - t u
      for (const [name, field] of [["latent-meanflow", velocityField], ["pixel-meanflow", imageField]] as const) {
        const method = methodNamed(name);
        const { residual } = method.terms!(field, batch, method.derivative!(field, batch, count));
        near(residual, [0, 0, 0, 0, 0, 0], 3e-5, name);
      }
    });

  it("one evaluation of MeanFlow ends where the trajectory does, in both predictions", () => {
    const average = exactAverage(0);
    const expected = points.flatMap((point) => oracle.alongTrajectory(point, 1, 0));
    const labels = tf.zeros([count], "int32") as tf.Tensor1D;
    near(methodNamed("latent-meanflow").generate!((zT, interval) => average(zT, interval), latents(points), labels, 1), expected, 1e-5, "latents");
    near(methodNamed("pixel-meanflow").generate!((zT, interval) => tf.sub(zT, average(zT, interval)) as tf.Tensor4D, latents(points), labels, 1), expected, 1e-5, "images");
  });

  it("the derivative counts the interval's own change, and is zero on the diagonal", () => {
    const batch = batchAt(0.3, 0.8);
    const field: ImageField = (zT, interval) => tf.mul(tf.square(zT), tf.exp(interval).reshape([-1, 1, 1, 1])) as tf.Tensor4D;
    const derivative = methodNamed("latent-meanflow").derivative!(field, batch, 2);
    const h = 1e-3;
    const v = points.map((point) => marginal(point, 0.8));
    const moved = (sign: number): tf.Tensor => field(latents(points.map((point, row) => point.map((value, axis) => value + sign * h * v[row][axis]))), tf.fill([count], 0.5 + sign * h), batch.y);
    const expected = Array.from(tf.div(tf.sub(moved(1), moved(-1)), 2 * h).dataSync());
    near(derivative, [...expected.slice(0, 4), 0, 0], 2e-3, "derivative");
  });
});

describe("baselines under the trainer", () => {
  const encoder = { ...resources.encoder, decode: (z: tf.Tensor4D): tf.Tensor4D => tf.image.resizeNearestNeighbor(tf.slice(tf.concat([z, z], 3), [0, 0, 0, 0], [-1, -1, -1, 3]), [16, 16]) };

  for (const method of METHOD_NAMES)
    it(`${method} trains a step or two with the same trunk, samples images and leaks no tensor`, async () => {
      const before = tf.memory().numTensors;
      const config = { ...base, name: method, method, steps: 2, compile: false, sampleEvery: 1, criticChannels: 6 };
      const totals: number[] = [];
      for await (const event of train(config, { runsFolder: folder, resources: { ...resources, encoder } })) {
        totals.push(event.total);
        assert.equal(event.samples?.imageSize, 16);
      }
      assert.ok(totals.length === 2 && totals.every(Number.isFinite));
      const model = await loadModel(runPaths(method, folder).modelFile);
      const images = generateImages(model, [0, 1, 1], { encoder, batchSize: 2, steps: 4 });
      assert.deepEqual(images.shape, [3, 16, 16, 3]);
      const sameTrunk = ["width", "depth", "heads", "classTokens", "timeTokens"] as const;
      for (const key of sameTrunk) assert.equal(model.network[key], network[key]);
      assert.equal(model.network.latentSize / model.network.patchSize, network.latentSize / network.patchSize, "as many tokens");
      if (method.includes("flow") && method !== "crossflow") assert.throws(() => sample(model, [0]), new RegExp(`trained by the method "${method}"`));
      if (method.startsWith("latent")) assert.throws(() => generateImages(model, [0]), /give the encoder whose decoder/);
      images.dispose();
      disposeModel(model);
      assert.equal(tf.memory().numTensors, before);
    });

  it("a latent flow's samples are the same compiled and step by step, follow the noise's temperature, and know their classes", async () => {
    const before = tf.memory().numTensors;
    const model = await loadModel(runPaths("latent-flow", folder).modelFile);
    const labels = [0, 1, 1, 0, 0, 1, 0, 1];
    const draw = (options: GenerateOptions): number[] =>
      tf.tidy(() => generateImages(model, labels, { encoder: { decode: (z) => tf.pad(z, [[0, 0], [0, 0], [0, 0], [0, 1]]) as tf.Tensor4D }, batchSize: 2, steps: 4, ...options }).arraySync().flat(3));
    const plain = draw({ compile: false });
    draw({}).forEach((value, index) => assert.ok(Math.abs(value - plain[index]) <= 1e-5, `compiled: ${value} is not ${plain[index]}`));
    assert.deepEqual(draw({ temperature: 0, seed: 1 }), draw({ temperature: 0, seed: 2 }), "without noise no seed matters");
    assert.notDeepEqual(draw({ temperature: 0.5 }), draw({}));
    assert.throws(() => draw({ temperature: -1 }), /standard deviation, 0 or more and usually up to 1, not -1/);
    assert.throws(() => generateImages(model, [3], { encoder }), /label 3 is no class of this model: 0 to 1, or 2 for no class/);
    const ends = generateLatents(model, labels, { batchSize: 3, steps: 4 });
    const { latentSize, latentChannels } = network;
    assert.deepEqual(ends.shape, [8, latentSize, latentSize, latentChannels]);
    const whole = generateImages(model, labels, { steps: 4, encoder: { decode: (z) => tf.mul(2, z) } });
    const decoded = whole.dataSync();
    ends.dataSync().forEach((value, index) => assert.ok(Math.abs(Math.min(Math.max(2 * value, -1), 1) - decoded[index]) <= 1e-5, "its images are decoded of the same latents, in other batches"));
    tf.dispose([ends, whole]);
    const crossFlow = await loadModel(runPaths("crossflow", folder).modelFile);
    assert.throws(() => generateLatents(crossFlow, labels), /a model of the method "crossflow" makes images of noise in one step.*use sample\(\)/);
    disposeModel(crossFlow);
    disposeModel(model);
    assert.equal(tf.memory().numTensors, before);
  });

  it("the pixel trajectory takes the data's images in the latents' place", async () => {
    const { rows, network: shapes } = methodResources("pixel-meanflow", trainingResources(resources));
    const { latents: images } = await rows.read(Int32Array.of(3, 1), new Uint8Array(2));
    assert.equal(images.length, 2 * 16 * 16 * 3);
    assert.ok(Math.abs(images[5] - (resources.train.pixels[3 * 768 + 5] / 127.5 - 1)) < 1e-6);
    assert.deepEqual([shapes.latentSize, shapes.latentChannels, shapes.patchSize], [16, 3, 8]);
  });

  it("what is given goes before the method's settings, and those before the defaults", () => {
    const config = resolveConfig({ method: "latent-meanflow", diagonalShare: 0.25 });
    assert.deepEqual([config.diagonalShare, config.endShare, config.velocity, config.batchSize], [0.25, 0, "conditional", 64]);
    assert.equal(resolveConfig({ method: "latent-flow", velocity: "marginal" }).velocity, "marginal");
    assert.throws(() => resolveConfig({ method: "pixel-meanflow", velocity: "marginal" }), /velocity "marginal" serves the methods crossflow and latent-flow, not "pixel-meanflow": set velocity to "conditional"/);
    assert.throws(() => resolveConfig({ method: "latent-flo" }), /method must be one of crossflow, latent-flow/);
  });
});
