import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { epochBatches } from "../../src/model/data";
import { openShardRows } from "../../src/model/encoder";
import { loadTrainingResources } from "../../src/model/resources";
import { randomStream } from "../../src/model/random";
import { runPaths } from "../../src/model/run";
import { readSafetensors, writeSafetensors, type SafetensorsTensor } from "../../src/model/safetensors";
import { train, type StepEvent } from "../../src/model/trainer";
import { batchesAhead, rowsInMemory } from "../../src/model/training-rows";
import { base, network, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-shards-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const { pixels, labels, imageSize } = resources.train;
const [image, latent] = [imageSize * imageSize * 3, 4 * 4 * 2];
const flipped = randomStream(3, "flipped latents").normal(resources.latents.length);
const shards = join(folder, "shards");

/** Writes the twenty images and latents of the tiny training as three shards, as the encoder does. */
async function writeShards(place: string, change: { keepImages?: boolean; encoder?: string } = {}): Promise<void> {
  mkdirSync(place);
  const listed: { file: string; images: number; skipped: number }[] = [];
  for (const [number, [first, count]] of [[0, 8], [8, 7], [15, 5]].entries()) {
    const file = `latents-${number}.safetensors`;
    const tensors: Record<string, SafetensorsTensor> = {
      latents: { dtype: "F32", shape: [count, 4, 4, 2], data: resources.latents.slice(first * latent, (first + count) * latent) },
      flipped: { dtype: "F32", shape: [count, 4, 4, 2], data: flipped.slice(first * latent, (first + count) * latent) },
      labels: { dtype: "I32", shape: [count], data: labels.slice(first, first + count) },
    };
    if (change.keepImages !== false) tensors.images = { dtype: "U8", shape: [count, imageSize, imageSize, 3], data: pixels.slice(first * image, (first + count) * image) };
    await writeSafetensors(join(place, file), tensors, { format: "crossflow latents 1", part: String(number), encoder: number === 1 ? (change.encoder ?? "fake") : "fake" });
    listed.push({ file, images: count, skipped: 0 });
  }
  const index = { format: "crossflow latent index 1", encoder: "fake", latentShape: [4, 4, 2], mean: [0, 0], standardDeviation: [1, 1], imageSize, flips: true, classes: ["first", "second"], images: 20, shards: listed };
  writeFileSync(join(place, "index.json"), JSON.stringify(index));
}

before(() => writeShards(shards));

describe("rows read from shards", () => {
  it("are those of memory, in any order, and mirrored with the latents of the mirrored images", async () => {
    const rows = await openShardRows(shards, { horizontalFlip: true });
    try {
      assert.deepEqual([rows.size, rows.classes, rows.imageSize, rows.latentShape, rows.encoder], [20, ["first", "second"], 16, [4, 4, 2], "fake"]);
      const indices = Int32Array.from([19, 0, 8, 7, 8, 14, 15]);
      const read = await rows.read(indices, new Uint8Array(7));
      assert.deepEqual(read, await rowsInMemory(resources.train, resources.latents).read(indices, new Uint8Array(7)));
      const mirrored = await rows.read(Int32Array.of(9, 9), Uint8Array.of(0, 1));
      assert.deepEqual(mirrored.latents.subarray(latent), flipped.subarray(9 * latent, 10 * latent));
      for (let row = 0; row < imageSize; row++)
        for (let column = 0; column < imageSize; column++) {
          const from = (row * imageSize + column) * 3;
          const to = image + (row * imageSize + imageSize - 1 - column) * 3;
          assert.deepEqual(mirrored.images.subarray(to, to + 3), mirrored.images.subarray(from, from + 3));
        }
    } finally {
      await rows.close();
    }
    await assert.rejects(rows.read(Int32Array.of(0), new Uint8Array(1)), /has ended/);
  });

  it("come one batch ahead, while the position told is that of the last batch given", async () => {
    const batches = (): ReturnType<typeof epochBatches> => epochBatches(resources.train, { batchSize: 6, stream: randomStream(4, "order") });
    const plain = batches();
    const asked: number[][] = [];
    const ahead = batchesAhead(batches(), { read: async (indices) => (asked.push([...indices]), { images: new Float32Array(0), latents: new Float32Array(0), labels: indices }) });
    assert.equal(ahead.position(), plain.state());
    for (let batch = 0; batch < 8; batch++) {
      assert.deepEqual((await ahead.next()).labels, plain.next().value.indices);
      assert.equal(ahead.position(), plain.state());
      assert.equal(asked.length, batch + 2);
    }
    const failing = batchesAhead(batches(), { read: async () => Promise.reject(new Error("no disk")) });
    await assert.rejects(failing.next(), /no disk/);
  });

  it("come from the files that were opened: one cut short or replaced since is told, a file written anew by renaming keeps its old rows", async () => {
    const place = join(folder, "changing");
    cpSync(shards, place, { recursive: true });
    const file = join(place, "latents-1.safetensors");
    const rows = await openShardRows(place);
    const ninth = (): ReturnType<typeof rows.read> => rows.read(Int32Array.of(8), new Uint8Array(1));
    const before = await ninth();
    const { tensors, metadata } = await readSafetensors(file);
    await writeSafetensors(file, { ...tensors, latents: { dtype: "F32", shape: [7, 4, 4, 2], data: new Float32Array(7 * latent) } }, metadata);
    assert.deepEqual(await ninth(), before);
    await rows.close();

    const again = await openShardRows(place);
    truncateSync(file, 3000);
    await assert.rejects(again.read(Int32Array.of(8), new Uint8Array(1)), /latents-1\.safetensors is another file than when the training began/);
    const [first] = (await again.read(Int32Array.of(0), new Uint8Array(1))).labels;
    truncateSync(join(place, "latents-0.safetensors"), 3000);
    await assert.rejects(again.read(Int32Array.of(7), new Uint8Array(1)), /latents-0\.safetensors ended while it was read/);
    assert.equal(first, labels[0]);
    await again.close();
  });

  it("are refused with the file and the cure where a shard can not serve", async () => {
    const spoiled = async (name: string, spoil: (place: string) => Promise<void> | void): Promise<string> => {
      const place = join(folder, name);
      cpSync(shards, place, { recursive: true });
      await spoil(place);
      return place;
    };
    await writeShards(join(folder, "latents-alone"), { keepImages: false });
    await assert.rejects(openShardRows(join(folder, "latents-alone")), /latents-0\.safetensors can not be trained on: .*--keep-images/);
    await writeShards(join(folder, "mixed"), { encoder: "another" });
    await assert.rejects(openShardRows(join(folder, "mixed")), /latents-1\.safetensors .*encoder another, those of the index of fake/);
    const half = await spoiled("half", async (place) => {
      const { tensors, metadata } = await readSafetensors(join(place, "latents-0.safetensors"));
      await writeSafetensors(join(place, "latents-0.safetensors"), { ...tensors, latents: { dtype: "F16", shape: [8, 4, 4, 2], data: new Uint16Array(8 * latent) } }, metadata);
    });
    await assert.rejects(openShardRows(half), /latents-0\.safetensors .*latents must be F32 \[8, 4, 4, 2\], not F16 \[8, 4, 4, 2\]/);
    const missing = await spoiled("missing", (place) => rmSync(join(place, "latents-2.safetensors")));
    await assert.rejects(openShardRows(missing), /There is no file .*latents-2\.safetensors/);
    const cut = await spoiled("cut", (place) => truncateSync(join(place, "latents-2.safetensors"), 3000));
    await assert.rejects(openShardRows(cut), /latents-2\.safetensors/);
    await assert.rejects(openShardRows(folder), /There is no .*index\.json/);
  });
});

describe("training from shards", () => {
  const settings: Partial<TrainConfig> = { ...base, dataset: "latent-shards", dataPath: shards, velocity: "conditional", preset: "tiny", batchSize: 6, compile: false };
  const run = async (config: Partial<TrainConfig>, options: Parameters<typeof train>[1] = {}, stopAfter = Infinity): Promise<unknown[]> => {
    const events: StepEvent[] = [];
    for await (const event of train({ ...settings, ...config }, { runsFolder: folder, ...options })) {
      events.push(event);
      if (event.step >= stopAfter) break;
    }
    return events.map(({ step, losses, gradientNorm }) => ({ step, losses, gradientNorm }));
  };
  const weights = async (name: string): Promise<unknown> => (await readSafetensors(join(latestCheckpoint(runPaths(name, folder).checkpoints)!, "tensors.safetensors"))).tensors;

  it("takes the very steps of a training in memory, and goes on bit for bit with flips", async () => {
    const config = resolveConfig({ ...settings, name: "shards" });
    const { resources: own, dispose } = await loadTrainingResources(config);
    await dispose();
    assert.deepEqual([own.network.latentSize, own.network.latentChannels, own.network.classes, own.rows.latents], [network.latentSize, 2, 2, undefined]);
    const fromShards = await run({ name: "shards", steps: 4 });
    assert.deepEqual(fromShards, await run({ name: "memory", steps: 4 }, { resources: { ...resources, network: own.network } }));
    const whole = await run({ name: "whole", horizontalFlip: true });
    assert.notDeepEqual(whole.slice(0, 4), fromShards);
    await run({ name: "parts", horizontalFlip: true }, {}, 3);
    assert.deepEqual(await run({ name: "parts", horizontalFlip: true }, { existing: "resume" }), whole.slice(3));
    assert.deepEqual(await weights("parts"), await weights("whole"));
  });

  it("says what shards do not serve, and what only they do", async () => {
    await assert.rejects(run({ name: "a", velocity: "marginal" }), /velocity "marginal" .*set velocity to "conditional"/);
    await assert.rejects(run({ name: "b", imageSize: 32 }), /holds images of 16 pixels, the configuration says 32/);
    await assert.rejects(run({ name: "c", dataPath: "" }), /needs dataPath/);
    await assert.rejects(run({ name: "d", trainCount: 5 }), /trainCount/);
    await assert.rejects(run({ name: "e", horizontalFlip: true }, { resources }), /horizontalFlip needs latents of the mirrored images/);
  });
});
