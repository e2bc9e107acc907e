import assert from "node:assert/strict";
import { createWriteStream, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { after, before, test } from "node:test";
import sharp from "sharp";
import { pack } from "tar-stream";
import { networkConfig, PAPER_SETTINGS, resolveConfig, type TrainConfig } from "../../src/model/config";
import { createAutoencoder } from "../../src/model/encoder/autoencoder";
import { autoencoderWeights, type AutoencoderConfig } from "../../src/model/encoder/autoencoder-plan";
import { encodeToShards, readLatentShard, readShardIndex, skippedImages, type EncoderChoice } from "../../src/model/encoder/latent-shards";
import { imageSource, readImages } from "../../src/model/encoder/latent-shards/source";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";
import { writeSafetensors, type SafetensorsTensor } from "../../src/model/safetensors";
import { loadWeights } from "../../src/model/weights/load";
import { runCli } from "../cli/run";
import { seededFile, seededTensor, uniform } from "../seeded-weights";

const folder = mkdtempSync(join(tmpdir(), "shards-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const CONFIG: AutoencoderConfig = { latentChannels: 2, channels: [8, 8], blocksPerLevel: 1, attentionAtCoarsest: false, normGroups: 4 };
const STATISTICS = { mean: [0, 0.5], standardDeviation: [1, 2] };
const weights = join(folder, "autoencoder.safetensors");
const choice: EncoderChoice = { kind: "autoencoder", config: CONFIG, path: weights, imageSize: 16, ...STATISTICS };

/** A 16 x 16 picture of its own, lossless. */
async function picture(name: string): Promise<{ pixels: Uint8Array; file: Buffer }> {
  const pixels = Uint8Array.from(uniform(name, 16 * 16 * 3), (value) => (value + 1) * 127.5);
  return { pixels, file: await sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } }).png().toBuffer() };
}

async function tarFile(path: string, members: Record<string, Buffer | string>): Promise<void> {
  const archive = pack();
  for (const [name, content] of Object.entries(members)) archive.entry({ name }, content);
  archive.finalize();
  await pipeline(archive, createWriteStream(path));
}

before(async () => {
  const wanted = autoencoderWeights(CONFIG);
  const tensors = Object.entries(seededFile(wanted).shapes).map(([name, shape]): [string, SafetensorsTensor] => [name, { dtype: "F32", shape: [...shape], data: seededTensor(name, shape) }]);
  await writeSafetensors(weights, Object.fromEntries(tensors));
});

test("an image folder becomes shards with flips by two processes; a second call encodes nothing, a third only what is missing", async () => {
  const [images, out] = [join(folder, "images"), join(folder, "latents")];
  for (const [className, count] of [["cat", 3], ["dog", 4]] as const) {
    mkdirSync(join(images, className), { recursive: true });
    for (let i = 0; i < count; i++) writeFileSync(join(images, className, `${i}.png`), (await picture(`${className}/${i}`)).file);
  }
  writeFileSync(join(images, "dog", "broken.png"), "no image");
  const seen: string[] = [];
  const options = { workers: 2, imagesPerShard: 4, batchSize: 3, keepImages: true };
  const first = await encodeToShards(images, out, choice, { ...options, onProgress: ({ label }) => seen.push(label) });
  assert.deepEqual([first.images, first.encoded, first.latentShape, first.classes], [7, 8, [8, 8, 2], ["cat", "dog"]]);
  assert.deepEqual(first.shards, [{ file: "latents-00000.safetensors", images: 4, skipped: 0 }, { file: "latents-00001.safetensors", images: 3, skipped: 1 }]);
  const [skipped, ...others] = await skippedImages(out);
  assert.deepEqual([skipped.key, others], ["dog/broken", []]);
  assert.match(skipped.reason, /no PNG, JPEG or WebP image/);
  assert.deepEqual(await skippedImages(out, 0), []);
  assert.ok(seen.some((label) => /encoding images \([\d.]+ images\/s\)/.test(label)));
  const { encoded, seconds, imagesPerSecond, processorSeconds, ...index } = first;
  assert.deepEqual(await readShardIndex(out), index);
  assert.ok(encoded > 0 && seconds > 0 && imagesPerSecond > 0 && Object.values(processorSeconds).every((spent) => spent > 0));

  // The shards hold what the encoder gives for the same pixels in this process.
  const { parameters } = await loadWeights(autoencoderWeights(CONFIG), seededFile(autoencoderWeights(CONFIG)));
  const encoder = createAutoencoder("autoencoder", CONFIG, parameters, "", { imageSize: 16, ...STATISTICS });
  const shard = await readLatentShard(join(out, "latents-00001.safetensors"));
  assert.deepEqual([shard.keys, [...shard.labels], shard.skipped.map(({ key }) => key)], [["dog/1", "dog/2", "dog/3"], [1, 1, 1], ["dog/broken"]]);
  const { pixels } = await picture("dog/2");
  assert.deepEqual(shard.images?.slice(768, 2 * 768), pixels);
  const expected = tf.tidy(() => {
    const x = tf.tensor4d(Float32Array.from(pixels, (value) => value / 127.5 - 1), [1, 16, 16, 3]);
    return [encoder.encode(x), encoder.encode(x.reverse(2))].map((latents) => latents.dataSync());
  });
  for (const [i, latents] of [shard.latents, shard.flipped!].entries()) {
    const error = Math.max(...latents.subarray(128, 256).map((value, k) => Math.abs(value - expected[i][k])));
    assert.ok(error < 1e-4, `${error}`);
  }
  encoder.dispose();

  const times = (): number[] => readdirSync(out).filter((name) => name.startsWith("latents")).map((name) => statSync(join(out, name)).mtimeMs);
  readdirSync(out).forEach((name) => utimesSync(join(out, name), 1, 1));
  const second = await encodeToShards(images, out, choice, options);
  assert.deepEqual([second.encoded, second.images, times()], [0, 7, [1000, 1000]]);
  assert.deepEqual(second.processorSeconds, { decode: 0, encode: 0, write: 0 });
  rmSync(join(out, "latents-00000.safetensors"));
  const third = await encodeToShards(images, out, choice, options);
  assert.deepEqual([third.encoded, third.images, third.shards], [4, 7, first.shards]);
  // Other options make other shards: what is there is not taken for them.
  const fourth = await encodeToShards(images, out, choice, { ...options, flips: false });
  assert.equal(fourth.encoded, 8);
  assert.equal((await readLatentShard(join(out, "latents-00000.safetensors"))).flipped, undefined);
});

test("tar files in WebDataset's layout are read; what breaks the layout is named", async () => {
  const place = join(folder, "tars");
  mkdirSync(place);
  const [a, b] = [await picture("a"), await picture("b")];
  await tarFile(join(place, "train-0.tar"), { "n1/a.cls": "7", "n1/a.png": a.file, "n1/a.json": "{}", "n1/b.png": b.file, "n1/b.cls": " 3\n" });
  await tarFile(join(place, "train-1.tar"), { "c.png": b.file, "c.cls": "0" });
  const { parts, classes } = await imageSource(place);
  assert.deepEqual([parts.map(({ name }) => name), classes], [["train-0", "train-1"], []]);
  const read: [string, number][] = [];
  for await (const { key, label, file } of readImages(parts[0])) {
    read.push([key, label]);
    assert.deepEqual(file, key === "n1/a" ? a.file : b.file);
  }
  assert.deepEqual(read, [["n1/a", 7], ["n1/b", 3]]);
  const result = await encodeToShards(place, join(folder, "tar-latents"), choice, { workers: 1 });
  assert.deepEqual(result.shards, [{ file: "latents-train-0.safetensors", images: 2, skipped: 0 }, { file: "latents-train-1.safetensors", images: 1, skipped: 0 }]);

  await tarFile(join(place, "train-2.tar"), { "d.png": a.file, "e.cls": "1" });
  await assert.rejects(encodeToShards(place, join(folder, "tar-latents"), choice, { workers: 1 }), /Part train-2 could not be encoded: .*train-2\.tar: d has no label; expected d\.cls/);
  await tarFile(join(place, "train-2.tar"), { "d.png": a.file, "d.cls": "cat" });
  await assert.rejects(encodeToShards(place, join(folder, "tar-latents"), choice, { workers: 1 }), /d\.cls holds "cat", expected a whole number/);
  writeFileSync(join(place, "train-2.tar"), readFileSync(join(place, "train-0.tar")).subarray(0, 700));
  await assert.rejects(encodeToShards(place, join(folder, "tar-latents"), choice, { workers: 1 }), /train-2\.tar can't be read as a tar file/);
});

test("an interruption stops the processes, keeps finished shards, and the next call goes on", async () => {
  const images = join(folder, "many");
  mkdirSync(join(images, "one"), { recursive: true });
  for (let i = 0; i < 12; i++) writeFileSync(join(images, "one", `${String(i).padStart(2, "0")}.png`), (await picture(`many ${i}`)).file);
  const out = join(folder, "interrupted");
  const controller = new AbortController();
  const onProgress = ({ done }: { done: number }): void => {
    if (done === 1) controller.abort(new Error("stopped"));
  };
  await assert.rejects(encodeToShards(images, out, choice, { workers: 1, imagesPerShard: 3, onProgress, signal: controller.signal }), /stopped/);
  const kept = readdirSync(out).filter((name) => name.endsWith(".safetensors")).length;
  assert.ok(kept >= 1 && kept < 4, `${kept}`);
  const result = await encodeToShards(images, out, choice, { workers: 1, imagesPerShard: 3 });
  assert.deepEqual([result.encoded, result.images], [12 - 3 * kept, 12]);
});

test("a worker's failure, a folder without images and wrong usage are clear errors", async () => {
  await assert.rejects(encodeToShards(join(folder, "images"), join(folder, "x"), { ...choice, path: "/nowhere/w.safetensors" }, { workers: 1 }), /There is no file \/nowhere\/w\.safetensors/);
  mkdirSync(join(folder, "empty"));
  await assert.rejects(encodeToShards(join(folder, "empty"), join(folder, "x"), choice), /holds no images: expected tar files in WebDataset's layout/);
  await assert.rejects(encodeToShards(join(folder, "absent"), join(folder, "x"), choice), /There is no folder/);
  await assert.rejects(encodeToShards(join(folder, "images"), join(folder, "x"), choice, { workers: 0 }), /workers must be a whole number from 1, not 0/);
  await assert.rejects(encodeToShards(join(folder, "images"), join(folder, "x"), choice, { batchSize: 0 }), /batchSize must be a whole number from 1, not 0/);
  await assert.rejects(readShardIndex(join(folder, "empty")), /There is no .*index\.json/);
  assert.equal(runCli(["encode", "--images", folder]).code, 2);
  const unknown = runCli(["encode", "--images", folder, "--out", folder, "--encoder", "sd-va"]);
  assert.deepEqual([unknown.code, /Did you mean sd-vae/.test(unknown.stderr)], [2, true]);
});

test("the paper's configurations are accepted and mean the paper's sizes", () => {
  const steps = (160 * 1_281_167) / 2048;
  for (const [preset, width, depth] of [["B", 768, 12], ["L", 1024, 24], ["XL", 1152, 28]] as const) {
    const config = resolveConfig(JSON.parse(readFileSync(join(projectRoot(), "configs", `crossflow-${preset}-256.json`), "utf8")) as Partial<TrainConfig>);
    assert.deepEqual([config.batchSize, config.steps, config.warmupSteps], [2048, Math.floor(steps), Math.round((5 * steps) / 160)]);
    assert.deepEqual([config.optimizer, config.matrixLearningRate, config.emaDecay, config.losses], ["muon", 8e-4, 0.9999, { "pixel-paper": 1 }]);
    for (const [key, value] of Object.entries(PAPER_SETTINGS)) assert.deepEqual(config[key as keyof TrainConfig], value, key);
    const network = networkConfig(config.preset, { imageSize: 256, latentSize: 32, latentChannels: 4, classes: 1000 });
    assert.deepEqual([network.width, network.depth, network.heads], [width, depth, preset === "B" ? 12 : 16]);
  }
});
