import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { rowsInMemory } from "../../src/model/training-rows";
import { createProbe, REGION_COLUMNS, REGION_ROWS, regionOf, type Diagnostics } from "../../src/model/diagnostics";
import { createRegionSums } from "../../src/model/diagnostics/regions";
import { updateToWeight } from "../../src/model/diagnostics/update-ratio";
import { tf } from "../../src/model/engine/tf";
import { pixelLoss } from "../../src/model/losses/pixel";
import { initializeParameters, parameterShapes } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { readDiagnostics, runPaths } from "../../src/model/run";
import { train, type StepEvent } from "../../src/model/trainer";
import { createTrainingState, disposeTrainingState } from "../../src/model/training-state";
import { SAMPLE_OUTPUTS, trainingStep, type StepInputs } from "../../src/model/training-step";
import type { Terms } from "../../src/model/losses";
import { base, network, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-diagnostics-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const near = (actual: number, expected: number, tolerance: number): void => assert.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);

async function run(config: Partial<TrainConfig>, options: { existing?: "resume"; leaveAfter?: number } = {}): Promise<StepEvent[]> {
  const events: StepEvent[] = [];
  for await (const event of train({ ...base, ...config }, { runsFolder: folder, resources, existing: options.existing })) {
    events.push(event);
    if (event.step === options.leaveAfter) break;
  }
  return events;
}

describe("regions of (r, t)", () => {
  it("have the diagonal at the top and r = 0 at the bottom, and average what falls in them", () => {
    const name = (r: number, t: number): string => regionOf(r, t).map((index, axis) => (axis === 0 ? REGION_ROWS : REGION_COLUMNS)[index]).join(", ");
    assert.equal(name(0.5, 0.5), "r = t, 0.4 to 0.6");
    assert.equal(name(0, 1), "r = 0, 0.8 to 1");
    assert.equal(name(0.05, 0.15), "0 to 0.1, 0.1 to 0.2");
    assert.equal(name(0.85, 0.9), "0.8 to 1, 0.8 to 1");
    const sums = createRegionSums();
    sums.add([0, 0, 0.3], [1, 0.9, 0.3], { gradient: [1, 3, 5], residual: [2, 4, 6], derivative: [7, 9, 1] });
    const { count, gradient, residual, derivative } = sums.maps();
    assert.deepEqual([count, gradient, residual, derivative].map((map) => map[7][5]), [2, 2, 3, 8]);
    assert.deepEqual([count, gradient, residual, derivative].map((map) => map[0][2]), [1, 5, 6, null]);
    assert.equal(count.flat().reduce((sum, samples) => sum + samples, 0), 3);
    assert.equal(gradient[3][3], null);
  });
});

describe("what a step tells of each sample", () => {
  it("is the gradient in F of the loss, and the residual, of each sample", () => {
    const config = resolveConfig({ ...base, losses: { "pixel-paper": 2, pixel: 0.5 }, compile: false, batchSize: 4, accumulation: 2, clipNorm: 0 });
    const state = createTrainingState(config, network);
    const stream = randomStream(3, "batch");
    const draw = (shape: [number, number, number, number]): tf.Tensor4D => tf.tensor4d(stream.normal(shape.reduce((product, size) => product * size)), shape);
    const [r, t] = [[0.2, 0.5, 0.1, 0.05], [0.6, 0.5, 0.8, 0.05]];
    const inputs: StepInputs = {
      x0: draw([4, 16, 16, 3]), y: tf.tensor1d([0, 1, 1, 0], "int32"), z: draw([4, 4, 4, 2]), eps: draw([4, 4, 4, 2]), r: tf.tensor1d(r), t: tf.tensor1d(t),
      learningRate: tf.scalar(0), matrixLearningRate: tf.scalar(0), stepCount: tf.scalar(1), emaDecay: tf.scalar(0.5), lossShares: tf.tensor1d([1, 0.5]), earlier: tf.tensor1d(t),
    };
    // At the start F = 0 and dF/dt = 0: R = -r / t^2 x0, and every gradient has a closed form.
    const outputs = trainingStep(config, state)(inputs, { atEnd: 0, offDiagonal: 1, active: "pixel-paper,pixel", critic: false });
    const images = inputs.x0;
    const R = tf.mul(tf.neg(images), tf.tensor4d(r.map((value, index) => value / t[index] ** 2), [4, 1, 1, 1]));
    const terms = (F: tf.Tensor): Terms => ({ F, residual: tf.add(R, tf.mul(F, tf.tensor4d(r.map((value, index) => value / t[index] ** 2), [4, 1, 1, 1]))), r: inputs.r, t: inputs.t }) as unknown as Terms;
    const gradient = tf.grad((F) => tf.add(tf.mul(2, pixelLoss({ distance: "L1", weight: "none", through: "residual", adaptivePower: 0 })(terms(F))), tf.mul(0.25, pixelLoss()(terms(F)))))(tf.zerosLike(images));
    const norms = tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])).dataSync();
    const missed = tf.sqrt(tf.mean(tf.square(tf.mul(R, tf.tensor4d(t, [4, 1, 1, 1]))), [1, 2, 3])).dataSync();
    outputs[SAMPLE_OUTPUTS.gradient].dataSync().forEach((value, index) => near(value, (norms[index] * Math.sqrt(768) * 4) / 2, 1e-4));
    outputs[SAMPLE_OUTPUTS.residual].dataSync().forEach((value, index) => near(value, missed[index], 1e-4));
    disposeTrainingState(state);
  });
});

describe("probe", () => {
  it("measures sensitivities, PSNR and the derivative's error, and repeats itself", async () => {
    const before = tf.memory().numTensors;
    const probe = await createProbe(network, rowsInMemory(resources.train, resources.latents), 5);
    const parameters = initializeParameters(parameterShapes(network), randomStream(2, "weights"));
    const still = probe.measure(parameters);
    assert.deepEqual(still.sensitivity, { class: 0, noise: 0, r: 0 }, "a network whose last layer is zero answers to nothing");
    assert.equal(still.derivativeError, 0);
    const grey = still.diagonal.psnr[0];
    assert.ok(still.diagonal.psnr.every((psnr) => psnr === grey) && grey > 3 && grey < 12, `noise against grey: ${grey} dB`);
    for (const [name, variable] of Object.entries(parameters)) if (name.startsWith("head") || name.endsWith("gate")) tf.tidy(() => variable.assign(tf.tensor(randomStream(2, name).normal(variable.size).map((value) => value / 4), variable.shape)));
    const moved = probe.measure(parameters);
    assert.ok(Object.values(moved.sensitivity).every((share) => share > 0));
    assert.ok(moved.derivativeError > 0 && moved.derivativeError < 0.02, `relative difference ${moved.derivativeError}`);
    assert.deepEqual(probe.measure(parameters), moved);
    const classBlind = { ...parameters, classEmbedding: tf.zerosLike(parameters.classEmbedding) };
    assert.equal(probe.measure(classBlind).sensitivity.class, 0);
    probe.dispose();
    tf.dispose([parameters, classBlind]);
    assert.equal(tf.memory().numTensors, before);
  });

  it("update-to-weight ratios are those of the parts' joint norms", () => {
    const variables = { "blocks.0.a": tf.variable(tf.tensor1d([3, 4.5])), "blocks.1.b": tf.variable(tf.tensor1d([0])), head: tf.variable(tf.tensor1d([1])), classEmbedding: tf.variable(tf.tensor1d([2])) };
    const ratios = updateToWeight({ "blocks.0.a": Float32Array.of(3, 4), "blocks.1.b": Float32Array.of(0), head: Float32Array.of(2), classEmbedding: Float32Array.of(2) }, variables);
    assert.deepEqual(ratios, { blocks: 0.1, head: 0.5, embedding: 0 });
    tf.dispose(variables);
  });
});

describe("diagnostics of a training", () => {
  const numbers = (events: StepEvent[]): unknown[] => events.map(({ losses, total, gradientNorm }) => [losses, total, gradientNorm]);

  it("are saved and yielded every so many steps and at the end, and change nothing in the training", async () => {
    const events = await run({ name: "watched", diagnosticsEvery: 4 });
    const seen = events.flatMap(({ diagnostics }) => diagnostics ?? []);
    assert.deepEqual(seen.map(({ step, steps }) => [step, steps]), [[4, 4], [6, 2]]);
    assert.deepEqual(readDiagnostics(runPaths("watched", folder).diagnosticsFile), JSON.parse(JSON.stringify(seen)));
    const [{ regions, updateToWeight: ratios, residual }] = seen;
    assert.equal(regions.count.flat().reduce((sum, samples) => sum + samples, 0), 4 * 8);
    near(residual.mean, events.slice(0, 4).reduce((sum, event) => sum + event.residual, 0) / 4, 1e-3);
    assert.ok(Object.values(ratios).every((ratio) => ratio > 0 && ratio < 10));
    assert.deepEqual(numbers(await run({ name: "unwatched", diagnosticsEvery: 0 })), numbers(events));
    assert.equal(readDiagnostics(runPaths("unwatched", folder).diagnosticsFile).length, 0);
    const parts = [...(await run({ name: "resumed", diagnosticsEvery: 4 }, { leaveAfter: 3 })), ...(await run({ name: "resumed", diagnosticsEvery: 4 }, { existing: "resume" }))];
    assert.deepEqual(numbers(parts), numbers(events));
    const lines = readFileSync(runPaths("resumed", folder).diagnosticsFile, "utf8").trim().split("\n");
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as Diagnostics).step), [4, 6]);
  });

  it("tell the critic's balance where there is one", async () => {
    const [, event] = await run({ name: "critic", steps: 2, diagnosticsEvery: 2, compile: false, losses: { pixel: 1, adversarial: 0.5 }, criticLead: 0, criticChannels: 3 });
    const { accuracy, gap, loss } = event.diagnostics!.critic!;
    assert.ok(accuracy >= 0 && accuracy <= 1 && Number.isFinite(gap) && loss > 0);
  });
});
