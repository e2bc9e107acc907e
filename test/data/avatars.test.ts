import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { AVATAR_CLASSES, avatarSeed, avatarStyleCredits, loadAvatars } from "../../src/model/data/avatars";
import { imagePixels, type DatasetSplits } from "../../src/model/data/dataset";
import { projectRoot } from "../../src/model/files";
import { readSafetensors } from "../../src/model/safetensors";

const folder = mkdtempSync(join(tmpdir(), "crossflow-avatars-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const COUNTS = { trainCount: 48, testCount: 16 };

/** Mean red, green and blue of each of the first 16 training images; from a run of this code, to notice a change of what is drawn. */
const MEAN_COLOURS = join(projectRoot(), "test/golden/avatar_colours.json");

describe("avatars", () => {
  let splits: DatasetSplits;
  const dataFolder = join(folder, "whole");
  before(async () => {
    splits = await loadAvatars({ ...COUNTS, dataFolder });
  });

  it("are balanced: image i has class i mod 8", () => {
    for (const { size, labels } of [splits.train, splits.test]) {
      assert.deepEqual(Array.from(labels), Array.from({ length: size }, (_, index) => index % 8));
    }
    assert.equal(splits.train.size, 48);
    assert.equal(splits.test.size, 16);
    assert.deepEqual(splits.train.classes, AVATAR_CLASSES);
  });

  it("are drawn the same by another run, one image at a time or all", async () => {
    const again = await loadAvatars({ trainCount: 16, testCount: 3, dataFolder: join(folder, "again") });
    assert.deepEqual(again.train.pixels, splits.train.pixels.subarray(0, again.train.pixels.length), "a smaller set is the beginning of a larger one");
    assert.deepEqual(again.test.pixels, splits.test.pixels.subarray(0, again.test.pixels.length));
    const more = await loadAvatars({ ...COUNTS, dataFolder: join(folder, "again") });
    assert.deepEqual([more.train.fingerprint, more.test.fingerprint], [splits.train.fingerprint, splits.test.fingerprint]);
  });

  it("look as recorded", () => {
    const means = Array.from({ length: 16 }, (_, index) => {
      const pixels = imagePixels(splits.train, index);
      return [0, 1, 2].map((channel) => pixels.filter((_, offset) => offset % 3 === channel).reduce((sum, value) => sum + value, 0) / 1024);
    });
    const recorded: number[][] = JSON.parse(readFileSync(MEAN_COLOURS, "utf8"));
    means.flat().forEach((mean, index) => assert.ok(Math.abs(mean - recorded.flat()[index]) < 1, `image ${Math.floor(index / 3)}: mean ${mean}, recorded ${recorded.flat()[index]}`));
  });

  it("are all different, and another seed gives others", async () => {
    const other = await loadAvatars({ trainCount: 8, testCount: 0, seed: 1, dataFolder: join(folder, "other") });
    const keys = [splits.train, splits.test, other.train].flatMap((dataset) => Array.from({ length: dataset.size }, (_, index) => Buffer.from(imagePixels(dataset, index)).toString("base64")));
    assert.equal(new Set(keys).size, 48 + 16 + 8);
  });

  it("are read from the cache the second time, without rendering", async () => {
    let rendered = 0;
    const cached = await loadAvatars({ ...COUNTS, dataFolder }, { onProgress: () => rendered++ });
    assert.equal(rendered, 0);
    assert.equal(cached.train.fingerprint, splits.train.fingerprint);
  });

  it("are cached with counts, seed and versions", async () => {
    const [cache] = readdirSync(dataFolder);
    assert.match(cache, /^avatars-32-[0-9a-f]{12}$/);
    const { tensors, metadata } = await readSafetensors(join(dataFolder, cache, "train-00000.safetensors"));
    assert.deepEqual(tensors.pixels.shape, [48, 32, 32, 3]);
    assert.deepEqual(tensors.pixels.data, splits.train.pixels);
    assert.deepEqual(Array.from(tensors.labels.data, Number), Array.from(splits.train.labels));
    assert.equal(metadata.count, "48");
    assert.equal(metadata.seed, "0");
    assert.match(JSON.parse(metadata.versions)["@dicebear/core"], /^9\./);
  });

  it("are drawn again where the cache is damaged", async () => {
    const [cache] = readdirSync(dataFolder);
    const path = join(dataFolder, cache, "test-00000.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(path, bytes);
    writeFileSync(join(dataFolder, cache, "train-00000.safetensors"), bytes.subarray(0, 100));
    const mended = await loadAvatars({ ...COUNTS, dataFolder });
    assert.deepEqual([mended.train.fingerprint, mended.test.fingerprint], [splits.train.fingerprint, splits.test.fingerprint]);
  });

  it("that were rendered before an interruption aren't lost", async () => {
    const interrupted = join(folder, "interrupted");
    const controller = new AbortController();
    const stop = new Error("stop");
    await assert.rejects(loadAvatars({ ...COUNTS, dataFolder: interrupted }, { signal: controller.signal, onProgress: ({ done }) => done === 20 && controller.abort(stop) }), stop);
    const progress: number[] = [];
    const resumed = await loadAvatars({ ...COUNTS, dataFolder: interrupted }, { onProgress: ({ done }) => progress.push(done) });
    assert.ok(progress[0] > 20 && progress[0] <= 20 + 4, `went on with image ${progress[0]}`);
    assert.equal(progress[progress.length - 1], 64);
    assert.deepEqual([resumed.train.fingerprint, resumed.test.fingerprint], [splits.train.fingerprint, splits.test.fingerprint]);
  });

  it("come in the size asked for", async () => {
    const { train } = await loadAvatars({ imageSize: 64, trainCount: 8, testCount: 0, dataFolder: join(folder, "large") });
    assert.equal(train.pixels.length, 8 * 64 * 64 * 3);
    // Halved by a box filter, the large image is nearly the small one: the same picture, more finely drawn.
    const small = imagePixels(splits.train, 1);
    const large = imagePixels(train, 1);
    let difference = 0;
    for (let index = 0; index < small.length; index++) {
      const [row, column, channel] = [Math.floor(index / 96), Math.floor(index / 3) % 32, index % 3];
      const quarter = [0, 1].flatMap((y) => [0, 1].map((x) => large[((2 * row + y) * 64 + 2 * column + x) * 3 + channel]));
      difference += Math.abs(small[index] - quarter.reduce((sum, value) => sum + value, 0) / 4);
    }
    assert.ok(difference / small.length < 6, `mean difference ${difference / small.length}`);
  });

  it("refuse sizes and counts that make no sense", async () => {
    await assert.rejects(loadAvatars({ imageSize: 0 }), /imageSize must be a whole number/);
    await assert.rejects(loadAvatars({ trainCount: -1 }), /trainCount must be a whole number of images/);
    await assert.rejects(loadAvatars({ testCount: 1.5 }), /testCount must be a whole number of images/);
    await assert.rejects(loadAvatars({ seed: 0.5 }), /seed must be a whole number/);
  });
});

describe("the avatars' sources", () => {
  it("have seeds that no split or data set shares", () => {
    const seeds = [0, 1, 12].flatMap((seed) => (["train", "test"] as const).flatMap((split) => Array.from({ length: 5000 }, (_, index) => avatarSeed(seed, split, index))));
    assert.equal(new Set(seeds).size, seeds.length);
  });

  it("are designs under CC0 1.0, by the packages' own licence files, and data/README.md credits each", async () => {
    const readme = readFileSync(join(projectRoot(), "data/README.md"), "utf8");
    const credits = await avatarStyleCredits();
    assert.deepEqual(credits.map(({ className }) => className), AVATAR_CLASSES);
    const resolve = createRequire(require.resolve("@dicebear/collection")).resolve;
    for (const { className, title, author, licence, source } of credits) {
      assert.equal(licence, "CC0 1.0", className);
      const licenceFile = readFileSync(join(dirname(resolve(`@dicebear/${className}`)), "..", "LICENSE"), "utf8");
      assert.match(licenceFile, /# Design[^#]*License: CC0 1\.0/, className);
      const row = readme.split("\n").find((line) => line.startsWith(`| ${className} |`));
      assert.ok(row, `data/README.md has no row for ${className}`);
      for (const text of [title, author, licence, source]) assert.ok(row.includes(text), `data/README.md, ${className}: ${text}`);
    }
  });
});
