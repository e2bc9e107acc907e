import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import type { Teacher } from "../../src/model/distillation";
import { distributionTarget, matchedLatents, sampleFlowLoss } from "../../src/model/distribution-matching";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";
import { float32Values, readSafetensors } from "../../src/model/safetensors";
import { train } from "../../src/model/trainer";
import { perSample } from "../../src/model/trajectory";
import { base, coarseEncoder as encoder, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-distribution-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);
const normal = (seed: number, count: number): tf.Tensor4D => tf.tensor4d(randomStream(seed, "points").normal(count), [count, 1, 1, 1]);
const labels = (count: number): tf.Tensor1D => tf.zeros([count], "int32");

/** The exact velocity for data of mean m and deviation d: (z_s - E[z | z_s]) / s, E[z | z_s] = m + (1 - s) d^2 / ((1 - s)^2 d^2 + s^2) (z_s - (1 - s) m). */
const gaussian = (mean: number, deviation: number): Teacher["velocityAt"] => (zS, time) =>
  tf.tidy(() => {
    const [s, left] = [perSample(time), perSample(tf.sub(1, time))];
    const gain = tf.div(tf.mul(left, deviation ** 2), tf.add(tf.square(tf.mul(left, deviation)), tf.square(s)));
    return tf.div(tf.sub(zS, tf.add(mean, tf.mul(gain, tf.sub(zS, tf.mul(left, mean))))), s) as tf.Tensor4D;
  });

describe("matched latents", () => {
  it("stay where the two flows agree", () => {
    const z = normal(1, 5);
    const moved = matchedLatents(z, labels(5), gaussian(0.2, 0.7), gaussian(0.2, 0.7), [{ time: tf.tensor1d([0.02, 0.2, 0.5, 0.8, 0.98]), noise: normal(2, 5) }]);
    assert.ok(apart(moved, z) < 1e-6);
  });

  it("move by the closed form of Gaussians of one deviation, whatever the noise: (m - m') s^2 / ((1 - s)^2 d^2 + s^2)", () => {
    const [mean, sampled, deviation, times] = [0.4, -0.5, 0.6, [0.05, 0.3, 0.6, 0.95]];
    const [z, noise, time] = [normal(1, 4), normal(2, 4), tf.tensor1d(times)];
    const before = tf.memory().numTensors;
    const moved = matchedLatents(z, labels(4), gaussian(mean, deviation), gaussian(sampled, deviation), [{ time, noise }]);
    assert.equal(tf.memory().numTensors, before + 2); // the classes as well
    const wanted = times.map((s) => ((mean - sampled) * s ** 2) / ((1 - s) ** 2 * deviation ** 2 + s ** 2));
    assert.ok(apart(tf.sub(moved, z), tf.tensor4d(wanted, [4, 1, 1, 1])) < 1e-5);
  });

  it("move by the mean over several noisings", () => {
    const [mean, sampled, deviation, times] = [0.4, -0.5, 0.6, [[0.05, 0.3], [0.6, 0.95], [0.2, 0.8]]];
    const z = normal(1, 2);
    const moved = matchedLatents(z, labels(2), gaussian(mean, deviation), gaussian(sampled, deviation), times.map((each, draw) => ({ time: tf.tensor1d(each), noise: normal(2 + draw, 2) })));
    const move = (s: number): number => ((mean - sampled) * s ** 2) / ((1 - s) ** 2 * deviation ** 2 + s ** 2);
    const wanted = [0, 1].map((row) => times.reduce((sum, each) => sum + move(each[row]) / times.length, 0));
    assert.ok(apart(tf.sub(moved, z), tf.tensor4d(wanted, [2, 1, 1, 1])) < 1e-5);
  });

  it("move by matchingStep where the teacher misses as much of them as the flows differ, and by their quotient elsewhere", () => {
    const [mean, deviation, matchingStep, times] = [0.4, 0.6, 0.5, [0.1, 0.5, 0.9]];
    const [points, noises] = [[0.2, -0.7, 1.1], [0.3, -1.2, 0.8]];
    const column = (values: number[]): tf.Tensor4D => tf.tensor4d(values, [3, 1, 1, 1]);
    const velocityAt = gaussian(mean, deviation);
    const moved = matchedLatents(column(points), labels(3), velocityAt, gaussian(-0.5, deviation), [{ time: tf.tensor1d(times), noise: column(noises) }], matchingStep);
    const wanted = times.map((s, row) => {
      const variance = (1 - s) ** 2 * deviation ** 2 + s ** 2;
      const noisy = (1 - s) * points[row] + s * noises[row];
      const posterior = mean + (((1 - s) * deviation ** 2) / variance) * (noisy - (1 - s) * mean);
      return points[row] + (matchingStep * ((mean + 0.5) * s ** 2)) / variance / (Math.abs(points[row] - posterior) + 0.02);
    });
    assert.ok(apart(moved, column(wanted)) < 1e-5);
    // A teacher that takes every latent for 1, and a flow of the samples that takes it for what it is.
    const z = tf.zeros([1, 2, 2, 1]) as tf.Tensor4D;
    const takenFor = (latent: number): Teacher["velocityAt"] => (zS, time) => tf.div(tf.sub(zS, latent), perSample(time)) as tf.Tensor4D;
    const pulled = matchedLatents(z, labels(1), takenFor(1), takenFor(0), [{ time: tf.tensor1d([0.4]), noise: tf.ones([1, 2, 2, 1]) }], matchingStep);
    assert.ok(apart(pulled, tf.fill([1, 2, 2, 1], matchingStep / 1.02)) < 1e-5);
  });

  for (const matchingStep of [0, 0.4])
    it(`bring samples to the data's mean and deviation, step by step${matchingStep > 0 ? ", with moves of a set length too" : ""}`, () => {
      const [mean, deviation, count] = [0.3, 0.8, 4000];
      let points = tf.tidy(() => tf.add(1.5, tf.mul(0.2, normal(1, count)))) as tf.Tensor4D;
      const stream = randomStream(3, "noising");
      const moments = (): { mean: number; deviation: number } => tf.tidy(() => {
        const { mean: average, variance } = tf.moments(points);
        return { mean: average.dataSync()[0], deviation: Math.sqrt(variance.dataSync()[0]) };
      });
      for (let step = 0; step < 400; step++) {
        const found = moments();
        const last = points;
        points = tf.tidy(() => {
          const noising = { time: tf.tensor1d(stream.uniform(count).map((u) => 0.02 + 0.96 * u)), noise: tf.tensor4d(stream.normal(count), [count, 1, 1, 1]) };
          const target = matchedLatents(last, labels(count), gaussian(mean, deviation), gaussian(found.mean, found.deviation), [noising], matchingStep);
          return tf.add(last, tf.mul(0.05, tf.sub(target, last))) as tf.Tensor4D;
        });
        last.dispose();
      }
      const end = moments();
      assert.ok(Math.abs(end.mean - mean) < 0.03 && Math.abs(end.deviation - deviation) < 0.05, `mean ${end.mean}, deviation ${end.deviation}`);
    });

  it("become images by the teacher, and their samples are clamped before they become latents", () => {
    const teacher = { velocityAt: gaussian(0.5, 1), imageOf: (z: tf.Tensor4D) => tf.mul(z, 3) as tf.Tensor4D };
    const images = tf.tensor4d([-4, 0.5], [2, 1, 1, 1]);
    const before = tf.memory().numTensors;
    const { target, latents } = distributionTarget(teacher, teacher.velocityAt, (pixels) => tf.mul(pixels, 2) as tf.Tensor4D, images, labels(2), [{ time: tf.tensor1d([0.5, 0.5]), noise: normal(1, 2) }]);
    assert.equal(tf.memory().numTensors, before + 5); // classes, and the two of the noising, as well
    assert.ok(apart(latents, tf.tensor4d([-2, 1], [2, 1, 1, 1])) < 1e-6);
    assert.ok(apart(target, tf.tensor4d([-6, 3], [2, 1, 1, 1])) < 1e-5);
  });
});

describe("the flow of the samples", () => {
  it("is least at the samples' own velocity, and no gradient flows into the samples", () => {
    const count = 4000;
    const noising = { time: tf.fill([count], 0.5) as tf.Tensor1D, noise: normal(2, count) };
    const z = tf.variable(tf.tidy(() => tf.add(0.2, tf.mul(0.5, normal(1, count)))));
    const loss = (flow: Teacher["velocityAt"]): number => tf.tidy(() => sampleFlowLoss(flow, z as tf.Variable<tf.Rank.R4>, labels(count), noising).dataSync()[0]);
    // What is left is the variance of noise - z given z_s: d^2 / ((1 - s)^2 d^2 + s^2).
    const least = 0.25 / (0.25 * 0.25 + 0.25);
    assert.ok(Math.abs(loss(gaussian(0.2, 0.5)) - least) < 0.03, `${loss(gaussian(0.2, 0.5))}, ${least} wanted`);
    for (const other of [gaussian(0, 0.5), gaussian(0.2, 0.8)]) assert.ok(loss(other) > least + 0.01);
    const scale = tf.variable(tf.scalar(1));
    const { grads } = tf.variableGrads(() => tf.tidy(() => sampleFlowLoss((zS) => tf.mul(zS, scale) as tf.Tensor4D, z as tf.Variable<tf.Rank.R4>, labels(count), noising)));
    assert.ok(apart(grads[scale.name], tf.scalar(0)) > 1e-3);
    assert.ok(!grads[z.name] || apart(grads[z.name], tf.zerosLike(z)) === 0);
    tf.dispose([z, scale, grads]);
  });
});

describe("a training that matches distributions", () => {
  const options = { runsFolder: folder, resources: { ...resources, encoder } };
  const [teacherModel, initialModel] = ["flow", "image-teacher"].map((name) => join(folder, name, "model.safetensors"));
  const config: Partial<TrainConfig> = { ...base, steps: 4, diagonalShare: 0.25, endShare: 0.5, endTarget: "distribution", teacherModel };
  const totals = async (given: Partial<TrainConfig>, steps = given.steps!, existing: "fail" | "resume" = "fail"): Promise<number[]> => {
    const values: number[] = [];
    for await (const { step, total, losses } of train(given, { ...options, existing })) {
      values.push(total, losses.sampleFlow);
      if (step === steps) break;
    }
    return values;
  };
  before(async () => {
    for await (const event of train({ ...base, name: "flow", method: "latent-flow", losses: { "pixel-paper-l2": 1 }, steps: 3 }, options)) assert.ok(Number.isFinite(event.total));
    for await (const event of train({ ...base, name: "image-teacher", steps: 1 }, options)) assert.ok(event.step);
  });

  it("runs compiled as it does step by step, in parts as well, its flow learns, and no tensor stays", async () => {
    const before = tf.memory().numTensors;
    const compiled = await totals({ ...config, name: "compiled" });
    const eager = await totals({ ...config, name: "eager", compile: false });
    compiled.forEach((value, index) => assert.ok(Math.abs(value - eager[index]) < 1e-3 * Math.abs(value), `value ${index}: ${value} compiled, ${eager[index]} eager`));
    (await totals({ ...config, name: "parts", accumulation: 2, steps: 2 })).forEach((value) => assert.ok(Number.isFinite(value)));
    // Of six samples a step two are matched, two refined, two distilled.
    const shared = { initialModel, distilledShare: 0.25, refinedShare: 0.25, batchSize: 8, endShare: 0.75, diagonalShare: 0, steps: 2 };
    const [shares, eagerShares] = [await totals({ ...config, ...shared, name: "shares" }), await totals({ ...config, ...shared, name: "shares-eager", compile: false })];
    shares.forEach((value, index) => assert.ok(Math.abs(value - eagerShares[index]) < 1e-3 * Math.abs(value), `value ${index}: ${value} compiled, ${eagerShares[index]} eager`));
    const drawn = { matchingDraws: 3, steps: 2 };
    const [draws, eagerDraws] = [await totals({ ...config, ...drawn, name: "draws" }), await totals({ ...config, ...drawn, name: "draws-eager", compile: false })];
    draws.forEach((value, index) => assert.ok(Math.abs(value - eagerDraws[index]) < 1e-3 * Math.abs(value), `value ${index}: ${value} compiled, ${eagerDraws[index]} eager`));
    assert.equal(tf.memory().numTensors, before);
    const { tensors } = await readSafetensors(join(folder, "compiled", "checkpoints", "step-00000004", "tensors.safetensors"));
    const { tensors: taught } = await readSafetensors(teacherModel);
    const names = Object.keys(taught);
    assert.ok(names.every((name) => `sampleFlow/${name}` in tensors));
    const learned = (name: string): boolean => float32Values(tensors[`sampleFlow/${name}`], name).some((value, index) => value !== float32Values(taught[name], name)[index]);
    assert.ok(names.some(learned));
  });

  it("lets the flow of the samples lead, and then the network's whole schedule run", async () => {
    const checkpointOf = async (step: number): Promise<Record<string, Float32Array>> => {
      const { tensors } = await readSafetensors(join(folder, "lead", "checkpoints", `step-${String(step).padStart(8, "0")}`, "tensors.safetensors"));
      return Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [key, float32Values(tensor, key)]));
    };
    // Leaving the loop saves a checkpoint.
    const until = async (last: number, existing: "fail" | "resume"): Promise<Record<string, Float32Array>> => {
      for await (const { step, learningRate } of train({ ...config, name: "lead", initialModel, sampleFlowLead: 2, warmupSteps: 2 }, { ...options, existing })) {
        rates.push(learningRate);
        if (step === last) break;
      }
      return checkpointOf(last);
    };
    const rates: number[] = [];
    const [first, led, after] = [await until(1, "fail"), await until(2, "resume"), await until(3, "resume")];
    const { learningRate: peak } = resolveConfig(config);
    assert.deepEqual(rates, [0, 0, peak / 2]);
    const changed = (group: string, from: typeof first, to: typeof first): boolean => Object.keys(from).filter((key) => key.startsWith(`${group}/`)).some((key) => from[key].some((value, index) => value !== to[key][index]));
    assert.deepEqual(["parameters", "sampleFlow"].map((group) => changed(group, first, led)), [false, true]);
    assert.ok(changed("parameters", led, after));
  });

  it("goes on bit for bit", async () => {
    const whole = await totals({ ...config, name: "whole" });
    const first = await totals({ ...config, name: "halves" }, 2);
    const second = await totals({ ...config, name: "halves" }, 4, "resume");
    assert.deepEqual([...first, ...second], whole);
  });

  it("refuses a teacher that is no latent flow, and says what it needs", async () => {
    const before = tf.memory().numTensors;
    await assert.rejects(totals({ ...config, name: "refused", teacherModel: initialModel }), /endTarget "distribution" needs a teacher of the method "latent-flow"/);
    assert.equal(tf.memory().numTensors, before);
    assert.throws(() => resolveConfig({ endTarget: "distribution", initialModel: "model.safetensors" }), /endTarget "distribution" learns from a trained latent flow: set teacherModel/);
    assert.throws(() => resolveConfig({ endTarget: "distribution", teacherModel: "flow.safetensors", method: "gan" }), /endTarget "distribution" is for the method "crossflow", not "gan"/);
    assert.throws(() => resolveConfig({ endTarget: "distribution", initialModel: "model.safetensors", teacherModel: "flow.safetensors", distilledShare: 0.6, refinedShare: 0.5 }), /distilledShare and refinedShare are parts of the same samples, and 0\.6 and 0\.5 are more than all/);
    assert.throws(() => resolveConfig({ endTarget: "distribution", teacherModel: "flow.safetensors", refinedShare: 0.5 }), /refinedShare is the share of the samples that learn from the initial model's images .* set initialModel to its file/);
    assert.throws(() => resolveConfig({ endTarget: "distribution", teacherModel: "flow.safetensors", steps: 9, sampleFlowLead: 9 }), /sampleFlowLead 9 leaves the network nothing of 9 steps/);
    assert.throws(() => resolveConfig({ matchingDraws: 5 }), /matchingDraws must be a whole number from 1 to 4 \(a sample and step\), not 5/);
    assert.throws(() => resolveConfig({ sampleFlowRate: -1 }), /sampleFlowRate must be a number of at least 0/);
  });
});
