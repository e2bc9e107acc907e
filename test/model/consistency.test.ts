import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { resolveConfig } from "../../src/model/config";
import { consistencyTarget, latentsAtEarlierTimes } from "../../src/model/consistency";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import type { Terms } from "../../src/model/losses";
import { perceptualConsistencyLoss } from "../../src/model/losses/perceptual";
import { latentReference } from "../../src/model/marginal-velocity";
import { fieldAlongTrajectory, objectiveTerms, type ImageField } from "../../src/model/objective";
import { randomStream } from "../../src/model/random";
import { train } from "../../src/model/trainer";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-consistency-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);
const labels = (...values: number[]): tf.Tensor1D => tf.tensor1d(values, "int32");

describe("the way down the trajectory", () => {
  it("is a straight line to the latent of a class that has one alone", () => {
    const stream = randomStream(1, "straight line");
    const latents = stream.normal(2 * 12);
    const reference = latentReference(latents, Int32Array.of(0, 1));
    const zT = tf.tensor4d(stream.normal(2 * 12), [2, 2, 2, 3]);
    const [t, earlier] = [tf.tensor1d([1, 0.6]), tf.tensor1d([0.2, 0.5])];
    const z = tf.tensor4d(latents, [2, 2, 2, 3]);
    const wanted = tf.add(z, tf.mul(tf.tensor4d([0.2, 0.5 / 0.6], [2, 1, 1, 1]), tf.sub(zT, z))); // z + (s / t) (z_t - z)
    assert.ok(apart(latentsAtEarlierTimes(zT, t, earlier, labels(0, 1), reference), wanted) < 1e-5);
  });

  it("nears the closed form of Gaussian latents as its steps get shorter", () => {
    const [samples, mean, deviation, t, s] = [20_000, 0.5, 0.6, 0.9, 0.3];
    const latents = randomStream(2, "Gaussian").normal(samples * 2).map((value) => mean + deviation * value);
    const reference = latentReference(latents, new Int32Array(samples));
    const points = [0.2, -0.7, 1.1, 0.4];
    // z_s = (1 - s) m + (z_t - (1 - t) m) spread(s) / spread(t), the spread of z_t being sqrt((1 - t)^2 deviation^2 + t^2)
    const spread = (time: number): number => Math.hypot((1 - time) * deviation, time);
    const wanted = tf.tensor4d(points.map((point) => (1 - s) * mean + ((point - (1 - t) * mean) * spread(s)) / spread(t)), [2, 1, 1, 2]);
    const error = (steps: number): number => apart(latentsAtEarlierTimes(tf.tensor4d(points, [2, 1, 1, 2]), tf.fill([2], t) as tf.Tensor1D, tf.fill([2], s) as tf.Tensor1D, labels(0, 0), reference, steps), wanted);
    assert.ok(error(8) < 0.06 && error(64) < 0.02 && error(64) < error(8), `${error(8)} with 8 steps, ${error(64)} with 64`);
  });

  it("leads to the target: the averaged network's image there, at r = 0", () => {
    const reference = latentReference(Float32Array.of(1, 2), Int32Array.of(0));
    const field: ImageField = (zT, r, y) => tf.tile(tf.add(tf.mean(zT, 3, true), tf.add(tf.mul(10, r), y.toFloat()).reshape([-1, 1, 1, 1])), [1, 1, 1, 3]) as tf.Tensor4D;
    const before = tf.memory().numTensors;
    const [zT, t, earlier, y] = [tf.tensor4d([3, 6], [1, 1, 1, 2]), tf.tensor1d([1]), tf.tensor1d([0.5]), labels(0)];
    const target = consistencyTarget(field, zT, t, earlier, y, reference); // z_s = [2, 4], its mean 3
    assert.ok(apart(target, tf.fill([1, 1, 1, 3], 3)) < 1e-5);
    assert.ok(tf.memory().numTensors <= before + 6, "nothing but the inputs, the target and the comparison's tensor is left");
  });
});

describe("the objective with consistency targets", () => {
  const stream = randomStream(4, "objective");
  const shape: [number, number, number, number] = [5, 2, 2, 3];
  const normal = (): tf.Tensor4D => tf.tensor4d(stream.normal(60), shape);
  const field: ImageField = (zT, r) => tf.add(tf.sin(zT), r.reshape([-1, 1, 1, 1]));

  it("misses F - target where there is one, and is the same as ever elsewhere", () => {
    const batch = { x0: normal(), z: normal(), eps: normal(), r: tf.tensor1d([0, 0, 0.2, 0.4, 0.7]), t: tf.tensor1d([1, 0.5, 0.6, 0.8, 0.7]), y: labels(0, 1, 0, 1, 0) };
    const endTarget = tf.tensor4d(stream.normal(24), [2, 2, 2, 3]);
    const plain = objectiveTerms(field, batch, { offDiagonal: 4 });
    const led = objectiveTerms(field, batch, { offDiagonal: 4, endTarget });
    assert.ok(apart(led.F, plain.F) < 1e-6);
    const missed = tf.mul(batch.t.reshape([-1, 1, 1, 1]), led.residual);
    assert.ok(apart(tf.slice(missed, 0, 2), tf.sub(tf.slice(led.F, 0, 2), endTarget)) < 1e-5);
    assert.ok(apart(tf.slice(led.residual, 2), tf.slice(plain.residual, 2)) < 1e-6);
  });

  it("differentiates the samples between alone, and keeps their order", () => {
    const [zT, v, r] = [normal(), normal(), tf.tensor1d([0, 0, 0.2, 0.4, 0.7])];
    const { F, dFdt } = fieldAlongTrajectory(field, zT, v, r, labels(0, 0, 0, 0, 0), 4, 2);
    assert.ok(apart(F, field(zT, r, labels(0, 0, 0, 0, 0))) < 1e-6);
    const derivative = tf.mul(tf.cos(zT), v);
    assert.ok(apart(tf.slice(dFdt, 2, 2), tf.slice(derivative, 2, 2)) < 1e-5);
    assert.equal(tf.sum(tf.abs(tf.concat([tf.slice(dFdt, 0, 2), tf.slice(dFdt, 4)], 0))).dataSync()[0], 0);
  });
});

describe("a training with consistency targets", () => {
  it("runs compiled as it does step by step, and leaves no tensor", async () => {
    const config = { ...base, steps: 4, velocity: "marginal", endTarget: "consistency", diagonalShare: 0.25, endShare: 0.5 };
    const before = tf.memory().numTensors;
    const totals = async (name: string, compile: boolean): Promise<number[]> => {
      const values: number[] = [];
      for await (const { total } of train({ ...config, name, compile }, { runsFolder: folder, resources })) values.push(total);
      return values;
    };
    const [compiled, eager] = [await totals("compiled", true), await totals("eager", false)];
    compiled.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    assert.equal(tf.memory().numTensors, before);
  });

  it("says what it needs", () => {
    for (const none of [{ endShare: 0 }, { diagonalShare: 1 }]) assert.throws(() => resolveConfig({ endTarget: "consistency", ...none }), /samples with r = 0 learn from, and there are none with endShare (0 and|0\.35 and diagonalShare 1:)/);
    assert.throws(() => resolveConfig({ endTarget: "consistency", velocity: "conditional" }), /endTarget "consistency" follows the marginal velocity: set velocity to "marginal"/);
    assert.throws(() => resolveConfig({ endTarget: "consistency", method: "pixel-meanflow" }), /endTarget "consistency" is for the method "crossflow", not "pixel-meanflow"/);
    assert.throws(() => perceptualConsistencyLoss()({ F: tf.zeros([1, 2, 2, 3]), endTarget: undefined } as unknown as Terms), /set endTarget to "consistency", "distillation", "distribution", "reconstruction", "refinement" or "pairs"/);
  });
});
