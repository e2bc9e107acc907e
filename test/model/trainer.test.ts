import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { TrainConfig } from "../../src/model/config";
import { createDataset } from "../../src/model/data";
import { latestCheckpoint } from "../../src/model/checkpoint";
import type { Encoder } from "../../src/model/encoder";
import { tf } from "../../src/model/engine/tf";
import type { NetworkConfig } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import type { Resources } from "../../src/model/resources";
import { readMetrics, runPaths } from "../../src/model/run";
import { readSafetensors } from "../../src/model/safetensors";
import { train, type StepEvent, type TrainOptions } from "../../src/model/trainer";

const folder = mkdtempSync(join(tmpdir(), "crossflow-trainer-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const network: NetworkConfig = { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 2, patchSize: 2, width: 16, depth: 1, heads: 2, bottleneck: 0, classTokens: 1, timeTokens: 1, head: "linear", headChannels: 16 };
const COUNT = 20;
const bytes = Uint8Array.from(randomStream(1, "pixels").integers(COUNT * 16 * 16 * 3, 256));
const data = createDataset({ name: "noise", split: "train", classes: ["first", "second"], imageSize: 16, pixels: bytes, labels: Int32Array.from({ length: COUNT }, (_, index) => index % 2) });
const unused = (): never => {
  throw new Error("training must not encode");
};
const encoder: Encoder = { name: "none", imageSize: 16, latentSize: 4, latentChannels: 2, mean: [0, 0], standardDeviation: [1, 1], fingerprint: "fake", encode: unused, decode: unused, save: unused, dispose: () => undefined };
const resources: Resources = { train: data, test: data, encoder, latents: randomStream(2, "latents").normal(COUNT * 32), network };

const base: Partial<TrainConfig> = { steps: 6, batchSize: 8, imageSize: 16, warmupSteps: 1, sampleEvery: 0, checkpointEvery: 100 };

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
});
