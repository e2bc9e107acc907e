import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { imagePixels, type Dataset } from "../../src/model/data/dataset";
import { loadImageFolder } from "../../src/model/data/image-folder";
import { noisePixels, writeBytes, writeColour, writeImage } from "./small-images";

const folder = mkdtempSync(join(tmpdir(), "crossflow-folder-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The red value of each image's first pixel: the tests' images of one colour carry their number there. */
const numbersOf = (dataset: Dataset): number[] => Array.from({ length: dataset.size }, (_, index) => imagePixels(dataset, index)[0]);

describe("an image folder", () => {
  const root = join(folder, "animals");
  before(async () => {
    for (let number = 0; number < 20; number++) await writeColour(join(root, "cats", number < 10 ? "old" : ".", `${String(number).padStart(2, "0")}.png`), [number, 10, 20]);
    for (let number = 0; number < 10; number++) await writeColour(join(root, "dogs", `${number}.PNG`), [100 + number, 10, 20]);
    writeBytes(join(root, "cats", "notes.txt"), "not an image by its name");
    writeBytes(join(root, "cats", "._00.png"), "what macOS leaves behind");
    writeBytes(join(root, ".thumbnails", "1.png"), "hidden");
  });

  it("gives each image once, with its sub-folder as the class, deeper folders too", async () => {
    const { train, test } = await loadImageFolder({ path: root, imageSize: 4 });
    assert.deepEqual(train.classes, ["cats", "dogs"]);
    const numbers = [...numbersOf(train), ...numbersOf(test)];
    assert.deepEqual(numbers.sort((a, b) => a - b), [...Array(20).keys(), ...Array.from({ length: 10 }, (_, index) => 100 + index)]);
    for (const dataset of [train, test]) assert.deepEqual(numbersOf(dataset).map((number) => (number >= 100 ? 1 : 0)), Array.from(dataset.labels));
    assert.deepEqual([train.skipped, test.skipped], [[], []]);
  });

  it("is split class by class, by the seed", async () => {
    const options = { path: root, imageSize: 4, testShare: 0.2 };
    const first = await loadImageFolder(options);
    assert.deepEqual(Array.from(first.test.labels), [0, 0, 0, 0, 1, 1]);
    assert.equal((await loadImageFolder(options)).test.fingerprint, first.test.fingerprint);
    const others = await Promise.all([1, 2, 3].map((seed) => loadImageFolder({ ...options, seed })));
    assert.ok(others.some(({ test }) => test.fingerprint !== first.test.fingerprint));
    const everything = await loadImageFolder({ ...options, testShare: 0 });
    assert.deepEqual([everything.train.size, everything.test.size], [30, 0]);
  });

  it("gives a part of each split if asked", async () => {
    const { train, test } = await loadImageFolder({ path: root, imageSize: 4, trainCount: 7, testCount: 1 });
    assert.deepEqual([train.size, test.size], [7, 1]);
    assert.equal(new Set(numbersOf(train)).size, 7);
  });

  it("takes train and test folders as they are", async () => {
    const split = join(folder, "split");
    for (const [part, number] of [["train", 1], ["val", 2]] as const) {
      await writeColour(join(split, part, "a", "1.png"), [number, 0, 0]);
      await writeColour(join(split, part, "b", "1.png"), [10 + number, 0, 0]);
    }
    const { train, test } = await loadImageFolder({ path: split, imageSize: 4 });
    assert.deepEqual([numbersOf(train), numbersOf(test)], [[1, 11], [2, 12]]);
    await writeColour(join(split, "val", "c", "1.png"), [3, 0, 0]);
    await assert.rejects(loadImageFolder({ path: split, imageSize: 4 }), /val has a class "c" that .*train doesn't have/);
  });

  it("follows a link to a class folder", async () => {
    const linked = join(folder, "linked");
    mkdirSync(linked);
    symlinkSync(join(root, "cats"), join(linked, "cats"));
    symlinkSync(join(root, "dogs"), join(linked, "dogs"));
    assert.equal((await loadImageFolder({ path: linked, imageSize: 4, testShare: 0 })).train.size, 30);
  });

  it("is cropped to the middle and turned upright", async () => {
    const wide = join(folder, "wide");
    const noise = noisePixels(12, 8, 3);
    await writeImage(join(wide, "a", "1.png"), noise, 12, 8);
    const { train } = await loadImageFolder({ path: wide, imageSize: 8, allowSingleClass: true });
    const middle = Array.from({ length: 8 }, (_, row) => [...noise.subarray((row * 12 + 2) * 3, (row * 12 + 10) * 3)]).flat();
    assert.deepEqual([...train.pixels], middle);
  });

  it("stops at the signal", async () => {
    const controller = new AbortController();
    const loading = loadImageFolder({ path: root, imageSize: 4 }, { signal: controller.signal, onProgress: () => controller.abort(new Error("stop")) });
    await assert.rejects(loading, /^Error: stop$/);
  });
});

describe("an image folder with broken images", () => {
  const root = join(folder, "broken");
  before(async () => {
    for (const className of ["a", "b"]) for (let number = 0; number < 10; number++) await writeColour(join(root, className, `${number}.png`), [number, 0, 0]);
    const whole = join(root, "whole.png");
    await writeImage(whole, noisePixels(32, 32, 5), 32, 32);
    const bytes = readFileSync(whole);
    rmSync(whole);
    writeBytes(join(root, "a", "cut-off.png"), bytes.subarray(0, bytes.length / 2));
  });

  it("leaves them out and names them", async () => {
    const { train, test } = await loadImageFolder({ path: root, imageSize: 4, testShare: 0.2 });
    const skipped = [...train.skipped, ...test.skipped];
    assert.equal(skipped.length, 1);
    assert.equal(skipped[0].path, join(root, "a", "cut-off.png"));
    assert.match(skipped[0].reason, /damaged or cut off/);
    assert.equal(train.size + test.size, 20);
    for (const dataset of [train, test]) assert.ok(numbersOf(dataset).every((number) => number < 10), "the good images moved up whole");
  });

  it("stops with the list where they are too many", async () => {
    await assert.rejects(loadImageFolder({ path: root, imageSize: 4, maxSkippedShare: 0.04 }), /1 of 21 images in .* can't be used, more than 4 %.*\n  a\/cut-off\.png: it is damaged/);
    await assert.rejects(loadImageFolder({ path: root, imageSize: 4, maxSkipped: 0 }), /more than 0\. .*\n  a\/cut-off\.png/);
  });
});

describe("a folder that is no image folder gives one clear error", () => {
  const cases: [name: string, make: (root: string) => void | Promise<void>, message: RegExp][] = [
    ["no such path", () => undefined, /There is no folder .*: expected one sub-folder per class with PNG, JPEG or WebP/],
    ["a file", (root) => writeBytes(root, "text"), /is a file, not a folder: expected one sub-folder per class/],
    ["an empty folder", (root) => void mkdirSync(root), /holds no class folders: expected one sub-folder/],
    ["loose images", (root) => writeColour(join(root, "1.png"), [0, 0, 0]), /no class folders \(1 images lie in the folder itself, outside any class\)/],
    ["an empty class", (root) => void mkdirSync(join(root, "a"), { recursive: true }), /class folder .*a holds no PNG, JPEG or WebP image/],
    ["one class", (root) => writeColour(join(root, "a", "1.png"), [0, 0, 0]), /has one class, "a": expected .*at least two. A training tells classes apart; loadImageFolder\(\{ allowSingleClass/],
  ];
  cases.forEach(([name, make, message], index) =>
    it(name, async () => {
      const root = join(folder, `case-${index}`);
      await make(root);
      await assert.rejects(loadImageFolder({ path: root }), message);
    }),
  );

  it("options out of range", async () => {
    await assert.rejects(loadImageFolder({ path: folder, testShare: 1 }), /testShare must be from 0 to less than 1/);
    await assert.rejects(loadImageFolder({ path: folder, trainCount: 0 }), /trainCount must be a whole number of images, at least 1/);
    await assert.rejects(loadImageFolder({ path: folder, imageSize: 32.5 }), /imageSize must be a whole number/);
  });
});
