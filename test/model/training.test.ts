import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { networkConfig, resolveConfig, type TrainConfig } from "../../src/model/config";
import { createDataset } from "../../src/model/data";
import type { Encoder } from "../../src/model/encoder";
import { tf } from "../../src/model/engine/tf";
import { defineLoss } from "../../src/model/losses";
import { loadModel } from "../../src/model/model";
import { randomStream } from "../../src/model/random";
import type { Resources } from "../../src/model/resources";
import { sample } from "../../src/model/sampler";
import { train, type StepEvent } from "../../src/model/trainer";

const runsFolder = mkdtempSync(join(tmpdir(), "crossflow-runs-"));
after(() => rmSync(runsFolder, { recursive: true, force: true }));

const stream = randomStream(0, "test data");
const dataset = createDataset({ name: "noise", split: "train", classes: ["a", "b"], imageSize: 16, pixels: Uint8Array.from(stream.integers(16 * 768, 256)), labels: Int32Array.from({ length: 16 }, (_, index) => index % 2) });
const encoder = { name: "none", imageSize: 16, latentSize: 4, latentChannels: 2, fingerprint: "fixed" } as Encoder;
const network = { ...networkConfig("tiny", { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 2 }), width: 16, depth: 1, heads: 2, headChannels: 16 };
const resources: Resources = { train: dataset, test: dataset, encoder, latents: stream.normal(16 * 32), network };
const base: Partial<TrainConfig> = { steps: 6, batchSize: 8, imageSize: 16, losses: { pixel: 1, adversarial: 0.5 }, lossStart: { adversarial: 3 }, criticLead: 1, criticChannels: 6, adversarialRamp: 2, sampleEvery: 0, checkpointEvery: 3 };
type Row = Pick<StepEvent, "step" | "losses" | "gradientNorm">;

async function run(config: Partial<TrainConfig>, options: { existing?: "resume" | "replace"; leaveAfter?: number } = {}): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const { step, losses, gradientNorm } of train(config, { resources, runsFolder, existing: options.existing })) {
    rows.push({ step, losses, gradientNorm });
    if (step === options.leaveAfter) break;
  }
  return rows;
}
const tensors = (name: string): Buffer => readFileSync(join(latestCheckpoint(join(runsFolder, name, "checkpoints"))!, "tensors.safetensors"));

test("a training that was left and resumed equals an uninterrupted one bit for bit, across the start of the critic", async () => {
  const whole = await run({ ...base, name: "whole" });
  const first = await run({ ...base, name: "parts" }, { leaveAfter: 2 });
  const second = await run({ ...base, name: "parts" }, { existing: "resume" });
  assert.deepEqual([...first, ...second], whole);
  assert.ok(tensors("whole").equals(tensors("parts")), "weights, averages and moments are equal to the bit");
});

test("compiled steps agree with eager ones", async () => {
  const compiled = await run({ ...base, name: "compiled" });
  const eager = await run({ ...base, name: "eager", compile: false });
  compiled.forEach((row, index) => {
    for (const [name, value] of Object.entries(row.losses)) assert.ok(Math.abs(value - eager[index].losses[name]) < 2e-3 * (1 + Math.abs(value)), `${name} at step ${row.step}: ${value} and ${eager[index].losses[name]}`);
  });
});

test("steps that recompute activations are those that keep them", async () => {
  const rows = await Promise.all([await run({ ...base, name: "all-activations", steps: 4 }), await run({ ...base, name: "activations-again", steps: 4, recompute: true })]);
  rows[0].forEach((row, index) => {
    for (const [name, value] of Object.entries(row.losses)) assert.ok(Math.abs(value - rows[1][index].losses[name]) < 1e-3 * (1 + Math.abs(value)), `${name} at step ${row.step}: ${value} and ${rows[1][index].losses[name]}`);
  });
});

test("a training leaks no tensor, and its model loads and samples", async () => {
  await run({ ...base, name: "leak" });
  const before = tf.memory().numTensors;
  await run({ ...base, name: "leak-again" });
  assert.equal(tf.memory().numTensors, before);
  const model = await loadModel(join(runsFolder, "leak", "model.safetensors"));
  const images = sample(model, [0, 1, 2], { seed: 1 });
  assert.deepEqual(images.shape, [3, 16, 16, 3]);
  assert.throws(() => sample(model, [3]), /label 3 is no class/);
});

test("a loss of the user's own plugs in by name; faults of a loss are named", async () => {
  defineLoss("own", ({ F, x0 }) => tf.mean(tf.abs(tf.sub(F, x0))) as tf.Scalar);
  const [row] = await run({ ...base, name: "own", steps: 1, losses: { pixel: 1, own: 0.1 } });
  assert.ok(row.losses.own > 0);
  defineLoss("vector", ({ F }) => tf.mean(F, [1, 2, 3]) as unknown as tf.Scalar);
  await assert.rejects(run({ ...base, name: "vector", losses: { vector: 1 } }), /loss "vector" must return a scalar tensor, not shape \[8\]/);
  defineLoss("infinite", ({ F }) => tf.div(tf.mean(tf.abs(F)), 0) as tf.Scalar);
  await assert.rejects(run({ ...base, name: "infinite", losses: { pixel: 1, infinite: 1 } }), /loss "infinite" became (NaN|Infinity) in step 1/);
  await assert.rejects(run({ ...base, name: "unknown", losses: { pixle: 1 } }), /no loss "pixle".*pixel/s);
});

test("a run that exists, a changed configuration and a cut checkpoint are clear errors; the run stays", async () => {
  await run({ ...base, name: "kept", losses: { pixel: 1 } }, { leaveAfter: 4 });
  await assert.rejects(run({ ...base, name: "kept", losses: { pixel: 1 } }), /there is a run "kept".*resume.*replace/s);
  await assert.rejects(run({ ...base, name: "kept", losses: { pixel: 1 }, batchSize: 4 }, { existing: "resume" }), /batchSize \(8 there, 4 here\)/);
  const newest = latestCheckpoint(join(runsFolder, "kept", "checkpoints"))!;
  truncateSync(join(newest, "tensors.safetensors"), 1000);
  await assert.rejects(run({ ...base, name: "kept", losses: { pixel: 1 } }, { existing: "resume" }), /tensors\.safetensors/);
  rmSync(newest, { recursive: true });
  const rows = await run({ ...base, name: "kept", losses: { pixel: 1 } }, { existing: "resume" });
  assert.deepEqual(rows.map(({ step }) => step), [4, 5, 6], "it goes on from the checkpoint before");
});

test("a step that fails leaves no checkpoint of its broken weights", async () => {
  let steps = 0;
  defineLoss("failing", ({ F }) => {
    if (steps++ === 3) throw new Error("broken on purpose");
    return tf.mean(tf.abs(F)) as tf.Scalar;
  });
  await assert.rejects(async () => {
    for await (const { step } of train({ ...base, name: "failing", losses: { failing: 1 }, compile: false, checkpointEvery: 2 }, { resources, runsFolder })) void step;
  }, /loss "failing" failed: broken on purpose/);
  assert.match(latestCheckpoint(join(runsFolder, "failing", "checkpoints")) ?? "", /step-00000002$/, "not the fourth step's, nor a third whose random streams moved on");
});

test("an aborted signal stops with a checkpoint", async () => {
  const controller = new AbortController();
  const seen: number[] = [];
  await assert.rejects(async () => {
    for await (const { step } of train({ ...base, name: "aborted", losses: { pixel: 1 } }, { resources, runsFolder, signal: controller.signal })) {
      seen.push(step);
      if (step === 2) controller.abort(new Error("stop now"));
    }
  }, /stop now/);
  assert.deepEqual(seen, [1, 2]);
  assert.match(latestCheckpoint(join(runsFolder, "aborted", "checkpoints")) ?? "", /step-00000002$/);
});

test("a faulty configuration lists every fault with near names", () => {
  assert.throws(() => resolveConfig({ batchSize: -4, stepps: 3, preset: "huge" } as Partial<TrainConfig>), /no option "stepps"; did you mean steps.*|batchSize must be.*-4/s);
  assert.throws(() => resolveConfig({ batchSize: 10, accumulation: 3 }), /accumulation 3 does not divide batchSize 10/);
});
