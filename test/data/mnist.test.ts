import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { imagePixels, type Dataset } from "../../src/model/data/dataset";
import { loadMnist } from "../../src/model/data/mnist";
import { writeBytes } from "./small-images";

const parent = mkdtempSync(join(tmpdir(), "crossflow-mnist-"));
after(() => rmSync(parent, { recursive: true, force: true }));

const SIDE = 28;
const greyAt = (image: number, row: number, column: number): number => (image * 41 + row * 9 + column * 2) % 256;

function bigEndian(...numbers: number[]): number[] {
  return numbers.flatMap((number) => [number >>> 24, (number >>> 16) & 255, (number >>> 8) & 255, number & 255]);
}

function imagesFile(count: number, { magic = 0x803, announced = count } = {}): Uint8Array {
  const values: number[] = [];
  for (let image = 0; image < count; image++) for (let row = 0; row < SIDE; row++) for (let column = 0; column < SIDE; column++) values.push(greyAt(image, row, column));
  return Uint8Array.from([...bigEndian(magic, announced, SIDE, SIDE), ...values]);
}

function labelsFile(labels: readonly number[]): Uint8Array {
  return Uint8Array.from([...bigEndian(0x801, labels.length), ...labels]);
}

/** A folder with the four files; some may be given in place of the good ones. */
function makeFolder(name: string, prefix = "", files: Record<string, Uint8Array> = {}): string {
  const folder = join(parent, name);
  const whole: Record<string, Uint8Array> = {
    [`${prefix}train-images-idx3-ubyte`]: imagesFile(3),
    [`${prefix}train-labels-idx1-ubyte`]: labelsFile([2, 1, 2]),
    [`${prefix}${prefix ? "test" : "t10k"}-images-idx3-ubyte.gz`]: gzipSync(imagesFile(2)),
    [`${prefix}${prefix ? "test" : "t10k"}-labels-idx1-ubyte.gz`]: gzipSync(labelsFile([4, 1])),
    ...files,
  };
  for (const [file, bytes] of Object.entries(whole)) writeBytes(join(folder, file), bytes);
  return folder;
}

const pixelAt = (dataset: Dataset, index: number, row: number, column: number): number[] => {
  const start = (row * dataset.imageSize + column) * 3;
  return [...imagePixels(dataset, index).subarray(start, start + 3)];
};

const grey = (value: number): number[] => [value, value, value];

describe("MNIST", () => {
  it("is padded to 32 x 32, grey in all three channels, gzipped or not", async () => {
    const { train, test } = await loadMnist({ path: makeFolder("plain") });
    assert.deepEqual([train.size, test.size, train.imageSize, train.name], [3, 2, 32, "mnist"]);
    assert.deepEqual(train.classes, ["1", "2", "4"]);
    assert.deepEqual([Array.from(train.labels), Array.from(test.labels)], [[1, 0, 1], [2, 0]]);
    for (const dataset of [train, test]) {
      assert.deepEqual(pixelAt(dataset, 1, 2, 2), grey(greyAt(1, 0, 0)));
      assert.deepEqual(pixelAt(dataset, 1, 12, 7), grey(greyAt(1, 10, 5)));
      for (const [row, column] of [[0, 0], [1, 15], [15, 1], [30, 15], [15, 30], [31, 31]]) assert.deepEqual(pixelAt(dataset, 1, row, column), grey(0));
    }
  });

  it("is scaled where that is asked for or padding can't be", async () => {
    const path = makeFolder("scaled");
    assert.equal((await loadMnist({ path, imageSize: 16 })).train.pixels.length, 3 * 16 * 16 * 3);
    assert.notDeepEqual(pixelAt((await loadMnist({ path, placement: "resize" })).train, 1, 16, 0), grey(0));
    assert.deepEqual(pixelAt((await loadMnist({ path, imageSize: 28 })).train, 0, 3, 4), grey(greyAt(0, 3, 4)));
    await assert.rejects(loadMnist({ path, imageSize: 16, placement: "pad" }), /imageSize 16 is smaller than the images \(28\)/);
  });

  it("can be read in part, with names of its own", async () => {
    const classes = ["T-shirt", "trousers", "pullover", "dress", "coat"];
    const { train } = await loadMnist({ path: makeFolder("named"), classes, trainCount: 2 });
    assert.equal(train.size, 2);
    assert.deepEqual(Array.from(train.labels, (label) => train.classes[label]), ["pullover", "trousers"]);
    await assert.rejects(loadMnist({ path: makeFolder("named"), classes: ["a"] }), /label 2 .* has no class name/);
  });
});

describe("EMNIST", () => {
  it("is turned: rows and columns are exchanged on disk", async () => {
    const path = makeFolder("emnist", "emnist-letters-", { "emnist-letters-mapping.txt": Buffer.from("1 65 97\n2 66 98\n4 68 100\n") });
    const { train } = await loadMnist({ path, imageSize: 28 });
    assert.equal(train.name, "emnist-letters");
    assert.deepEqual(train.classes, ["A", "B", "D"]);
    assert.deepEqual(pixelAt(train, 2, 3, 20), grey(greyAt(2, 20, 3)));
    const { train: asStored } = await loadMnist({ path, imageSize: 28, transposed: false });
    assert.deepEqual(pixelAt(asStored, 2, 3, 20), grey(greyAt(2, 3, 20)));
  });

  it("asks which, where a folder holds several", async () => {
    const path = makeFolder("several", "emnist-letters-");
    makeFolder("several", "emnist-digits-");
    await assert.rejects(loadMnist({ path }), /several data sets \((letters, digits|digits, letters)\): choose one with emnistSplit/);
    assert.equal((await loadMnist({ path, emnistSplit: "digits" })).train.name, "emnist-digits");
    await assert.rejects(loadMnist({ path, emnistSplit: "balanced" }), /no EMNIST files of "balanced"/);
  });
});

describe("IDX files that aren't right are named", () => {
  const images = "train-images-idx3-ubyte";
  const whole = gzipSync(imagesFile(3));
  const cases: [name: string, files: Record<string, Uint8Array>, message: RegExp][] = [
    ["wrong magic number", { [images]: imagesFile(3, { magic: 0x801 }) }, /train-images-idx3-ubyte begins with the magic number 0x00000801, expected 0x00000803/],
    ["fewer images than announced", { [images]: imagesFile(3, { announced: 4 }) }, /announces 4 images of 28 x 28, which is 3136 bytes, but 2352 follow/],
    ["more images than announced", { [images]: imagesFile(3, { announced: 2 }) }, /announces 2 images/],
    ["images and labels of different number", { [images]: imagesFile(2) }, /holds 2 images, but .*train-labels-idx1-ubyte 3 labels/],
    ["a header cut off", { [images]: imagesFile(3).subarray(0, 10) }, /has 10 bytes, fewer than its header/],
    ["gzip data cut off", { [images]: whole.subarray(0, whole.length / 2) }, /its gzip data is damaged or cut off/],
    ["images that aren't square", { [images]: Uint8Array.from([...bigEndian(0x803, 1, 2, 3), 1, 2, 3, 4, 5, 6]) }, /images of 2 x 3 pixels, expected squares/],
  ];
  cases.forEach(([name, files, message], index) => it(name, () => assert.rejects(loadMnist({ path: makeFolder(`wrong-${index}`, "", files) }), message)));

  it("a missing file, folder, or a folder without any", async () => {
    const path = makeFolder("missing");
    rmSync(join(path, "train-labels-idx1-ubyte"));
    await assert.rejects(loadMnist({ path }), /has no file with the training labels/);
    await assert.rejects(loadMnist({ path: join(parent, "nowhere") }), /There is no folder .*nowhere/);
    await assert.rejects(loadMnist({ path: parent }), /holds no IDX files: expected names such as/);
    await assert.rejects(loadMnist({ path: join(path, images) }), /is a file, not a folder/);
  });
});
