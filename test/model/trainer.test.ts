import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { TrainConfig } from "../../src/model/config";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { tf } from "../../src/model/engine/tf";
import { defineLoss } from "../../src/model/losses";
import { lossNetworksOf } from "../../src/model/metrics/independence";
import { disposeModel, loadModel, saveModel, trainedStepsOf } from "../../src/model/model";
import { readMetrics, runPaths } from "../../src/model/run";
import { readSafetensors } from "../../src/model/safetensors";
import { train, type StepEvent, type TrainOptions } from "../../src/model/trainer";
import { base, coarseEncoder, network, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-trainer-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Trains, leaving the loop after `stopAfter` steps where given. */
async function run(config: Partial<TrainConfig>, options: TrainOptions = {}, stopAfter = Infinity): Promise<StepEvent[]> {
  const events: StepEvent[] = [];
  for await (const event of train({ ...base, ...config }, { runsFolder: folder, resources, ...options })) {
    events.push(event);
    if (event.step >= stopAfter) break;
  }
  return events;
}

async function finalTensors(name: string): Promise<Record<string, Float32Array>> {
  const { tensors } = await readSafetensors(join(latestCheckpoint(runPaths(name, folder).checkpoints)!, "tensors.safetensors"));
  return Object.fromEntries(Object.entries(tensors).map(([key, { data: values }]) => [key, values as Float32Array]));
}

/** What a step computes, without the times it took. */
const numbers = (rows: { step: number }[]): unknown[] => rows.map((row) => ["step", "losses", "total", "gradientNorm", "residual", "learningRate"].map((key) => (row as Record<string, unknown>)[key]));

describe("train", () => {
  it("yields each step, and writes metrics, checkpoint and model", async () => {
    const events = await run({ name: "plain", accumulation: 2 });
    assert.deepEqual(events.map(({ step }) => step), [1, 2, 3, 4, 5, 6]);
    assert.ok(events.every(({ total, gradientNorm }) => Number.isFinite(total) && gradientNorm > 0));
    const paths = runPaths("plain", folder);
    assert.deepEqual(numbers(readMetrics(paths.metricsFile)), numbers(events));
    for (const { seconds, dataSeconds, waitShare } of events) {
      assert.ok(waitShare > 0 && waitShare < 1, `${waitShare}`);
      assert.ok(waitShare >= dataSeconds / seconds, "compiling does not count as work that data is compared with");
    }
    assert.ok(readMetrics(paths.metricsFile).every(({ waitShare }) => typeof waitShare === "number"), "the metrics tell it");
    assert.match(events[5].checkpoint!, /step-00000006$/);
    assert.ok((await readSafetensors(paths.modelFile)).metadata.kind === "crossflow model");
  });

  it("goes on bit for bit after an interruption, in weights, metrics and every step's numbers", async () => {
    const whole = await run({ name: "whole" });
    assert.equal((await run({ name: "parts" }, {}, 3)).length, 3);
    assert.match(latestCheckpoint(runPaths("parts", folder).checkpoints)!, /step-00000003$/, "leaving the loop writes a checkpoint");
    const rest = await run({ name: "parts" }, { existing: "resume" });
    assert.deepEqual(numbers(rest), numbers(whole.slice(3)));
    assert.deepEqual(await finalTensors("parts"), await finalTensors("whole"));
    assert.deepEqual(numbers(readMetrics(runPaths("parts", folder).metricsFile)), numbers(whole));
  });

  it("waits for the checkpoint of a training that was interrupted and let go of, and goes on from it", async () => {
    const controller = new AbortController();
    const first = train({ ...base, name: "let-go" }, { runsFolder: folder, resources, signal: controller.signal });
    assert.equal((await first.next()).value?.step, 1);
    const underWay = first.next();
    const stopped = assert.rejects(underWay, /stopped/);
    controller.abort(new Error("stopped"));
    const rest = await run({ name: "let-go" }, { existing: "resume" });
    await stopped;
    assert.deepEqual(rest.map(({ step }) => step), [2, 3, 4, 5, 6]);
  });

  for (const compile of [false, true])
    it(`leaves no tensor behind, step by step and at the end (compile: ${compile})`, async () => {
      const before = tf.memory().numTensors;
      const counts: number[] = [];
      for await (const { step } of train({ ...base, name: `leak-${compile}`, compile }, { runsFolder: folder, resources })) if (step > 1) counts.push(tf.memory().numTensors);
      assert.equal(new Set(counts).size, 1, `tensors alive after each step: ${counts.join()}`);
      assert.equal(tf.memory().numTensors, before);
    });

  it("refuses an existing run, moves it aside on request, and refuses to resume another configuration", async () => {
    await run({ name: "twice" }, {}, 1);
    await assert.rejects(run({ name: "twice" }), /there is a run "twice".*resume.*replace/);
    await assert.rejects(run({ name: "twice", learningRate: 0.5 }, { existing: "resume" }), /step 1 .*learningRate \(0\.002 there, 0\.5 here\)/);
    assert.equal((await run({ name: "twice", learningRate: 0.5 }, { existing: "replace" }, 1)).length, 1);
    assert.ok(readdirSync(folder).includes("twice.previous"));
  });

  it("names a checkpoint that was cut in half, and leaves it and the earlier one as they are", async () => {
    await run({ name: "cut", checkpointEvery: 1 }, {}, 2);
    const { checkpoints } = runPaths("cut", folder);
    const file = join(latestCheckpoint(checkpoints)!, "tensors.safetensors");
    const earlier = readFileSync(join(checkpoints, "step-00000001", "tensors.safetensors"));
    truncateSync(file, Math.floor(readFileSync(file).length / 2));
    await assert.rejects(run({ name: "cut", checkpointEvery: 1 }, { existing: "resume" }), (error: Error) => error.message.includes(file));
    assert.deepEqual(readFileSync(join(checkpoints, "step-00000001", "tensors.safetensors")), earlier);
    rmSync(join(checkpoints, "step-00000002"), { recursive: true });
    assert.equal((await run({ name: "cut", checkpointEvery: 1 }, { existing: "resume" }, 2))[0].step, 2, "the one before it serves");
  });

  it("says that a checkpoint belongs to another network", async () => {
    await run({ name: "network" }, {}, 1);
    await assert.rejects(run({ name: "network" }, { existing: "resume", resources: { ...resources, network: { ...network, width: 24, heads: 2 } } }), /are not those of this network.*another preset/);
  });

  it("leaves nothing, and the name free, where the data can not be loaded", async () => {
    const missing = { name: "no-data", dataset: "folder" as const, dataPath: join(folder, "nowhere") };
    for (let attempt = 0; attempt < 2; attempt++) await assert.rejects(run(missing, { resources: undefined }), /There is no folder .*nowhere/);
    assert.ok(!existsSync(runPaths("no-data", folder).folder));
    assert.equal((await run({ name: "no-data" }, {}, 1)).length, 1);
    await assert.rejects(run({ ...missing, name: "no-data" }, { resources: undefined }), /there is a run "no-data"/, "a name that is taken is refused before data is loaded");
  });

  it("leaves the name free where the first step fails, and moves aside what has metrics but no checkpoint", async () => {
    defineLoss("broken", () => assert.fail("broken on purpose"));
    await assert.rejects(run({ name: "retry", losses: { broken: 1 } }), /broken on purpose/);
    assert.equal((await run({ name: "retry" }, {}, 1)).length, 1);
    const { checkpoints, folder: path, metricsFile } = runPaths("retry", folder);
    const metrics = readFileSync(metricsFile, "utf8");
    rmSync(checkpoints, { recursive: true });
    await assert.rejects(run({ name: "retry" }), /there is a run "retry"/);
    assert.equal((await run({ name: "retry" }, { existing: "resume" }, 1))[0].step, 1);
    assert.equal(readFileSync(join(`${path}.previous`, "metrics.jsonl"), "utf8"), metrics);
  });

  it("starts weights and averages from a trained model", async () => {
    await run({ name: "source" });
    const { modelFile } = runPaths("source", folder);
    // At a rate of zero the weights stay what they start with.
    await run({ name: "from", initialModel: modelFile, learningRate: 0, matrixLearningRate: 0, steps: 1 });
    const { tensors: model } = await readSafetensors(modelFile);
    const tensors = await finalTensors("from");
    for (const [name, { data: expected }] of Object.entries(model)) {
      assert.deepEqual(tensors[`parameters/${name}`], expected, name);
      tensors[`average/${name}`].forEach((value, index) => assert.ok(Math.abs(value - Number(expected[index])) <= 1e-6 * (1 + Math.abs(value)), `average of ${name}`));
    }
    const made = await loadModel(runPaths("from", folder).modelFile);
    assert.equal((made.provenance.config as TrainConfig).initialModel, "model.safetensors", "where it lay on this machine stays here");
    disposeModel(made);
    const rows = await run({ name: "further", initialModel: modelFile }, {}, 3);
    assert.deepEqual(numbers([...rows, ...(await run({ name: "further", initialModel: modelFile }, { existing: "resume" }))]), numbers(await run({ name: "further-whole", initialModel: modelFile })), "resuming goes on from the checkpoint, not from the model");
  });

  it("knows the networks that the losses of a model before it used, and its steps, across an interruption and one more training", async () => {
    const source = await loadModel(runPaths("source", folder).modelFile);
    const seen = join(folder, "seen.safetensors");
    await saveModel(seen, { ...source, provenance: { config: { losses: { perceptual: 1 }, perceptualNetwork: "efficientnet-lite2" }, steps: 5, earlierSteps: 2 } });
    disposeModel(source);
    const [first] = await run({ name: "after", initialModel: seen }, {}, 1);
    assert.deepEqual(first.lossNetworks, ["efficientnet-lite2"], "the run's own losses use none");
    const rest = await run({ name: "after", initialModel: seen }, { existing: "resume" });
    assert.ok(rest.every(({ lossNetworks }) => lossNetworks.join() === "efficientnet-lite2"));
    const after = runPaths("after", folder).modelFile;
    await run({ name: "last", initialModel: after, steps: 1 });
    const model = await loadModel(runPaths("last", folder).modelFile);
    assert.deepEqual(lossNetworksOf(model), ["efficientnet-lite2"]);
    assert.equal(trainedStepsOf(model), 7 + (1 + rest.length) + 1, "the steps of all three");
    disposeModel(model);
    assert.deepEqual((await run({ name: "alone", steps: 1 }))[0].lossNetworks, []);
  });

  it("starts a latent flow from a CrossFlow network's transformer, with a head of its own", async () => {
    const { modelFile } = runPaths("source", folder);
    await run({ name: "flow-from", method: "latent-flow", initialModel: modelFile, learningRate: 0, matrixLearningRate: 0, steps: 1 }, { resources: { ...resources, encoder: coarseEncoder } });
    const { tensors: model } = await readSafetensors(modelFile);
    const tensors = await finalTensors("flow-from");
    assert.deepEqual(tensors["parameters/blocks.0.attention.qkv.weight"], model["blocks.0.attention.qkv.weight"].data);
    assert.deepEqual(tensors["parameters/classEmbedding"], model.classEmbedding.data);
    assert.equal(tensors["parameters/head.weight"].length, 16 * 2 * 2 * 2, "a token of latents, not of an image");
    assert.ok(tensors["parameters/head.weight"].every((value) => value === 0));
    assert.ok(tensors["average/finalNorm.scale"].every((value) => Math.abs(value - 1) < 1e-6));
    const wider = { ...resources, network: { ...network, width: 24 } };
    await assert.rejects(run({ name: "misfit", method: "latent-flow", initialModel: modelFile }, { resources: wider }), /does not fit this training: width \(16 there, 24 here\)\. Choose/);
  });

  it("says in one error all that a trained model differs in, and leaves no run", async () => {
    const { modelFile } = runPaths("source", folder);
    const wider = { ...resources, network: { ...network, width: 24, depth: 2, classes: 3 } };
    const before = tf.memory().numTensors;
    await assert.rejects(run({ name: "misfit", initialModel: modelFile }, { resources: wider }), /source.model\.safetensors does not fit this training: classes \(2 there, 3 here\), width \(16 there, 24 here\), depth \(1 there, 2 here\)\. Choose/);
    await assert.rejects(run({ name: "misfit", initialModel: join(folder, "none.safetensors") }), /There is no file .*none\.safetensors/);
    assert.equal(tf.memory().numTensors, before);
    assert.ok(!existsSync(runPaths("misfit", folder).folder));
  });
});
