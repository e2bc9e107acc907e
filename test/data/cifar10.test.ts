import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, it } from "node:test";
import { loadCifar10 } from "../../src/model/data/cifar10";
import { imagePixels } from "../../src/model/data/dataset";
import { writeBytes } from "./small-images";

const parent = mkdtempSync(join(tmpdir(), "crossflow-cifar-"));
const folder = join(parent, "cifar-10-batches-bin");
after(() => rmSync(parent, { recursive: true, force: true }));

const NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const options = { path: folder, imagesPerFile: 2 };

/** A byte that depends on everything that could be mixed up. */
const byteAt = (image: number, channel: number, row: number, column: number): number => (image * 31 + channel * 97 + row * 7 + column * 3) % 256;

/** Two records: label, red plane, green plane, blue plane; images `first` and `first + 1`, label = image mod 10. */
function batchFile(first: number): Uint8Array {
  const bytes: number[] = [];
  for (const image of [first, first + 1]) {
    bytes.push(image % 10);
    for (let channel = 0; channel < 3; channel++) for (let row = 0; row < 32; row++) for (let column = 0; column < 32; column++) bytes.push(byteAt(image, channel, row, column));
  }
  return Uint8Array.from(bytes);
}

beforeEach(() => {
  for (let number = 1; number <= 5; number++) writeBytes(join(folder, `data_batch_${number}.bin`), batchFile(2 * (number - 1)));
  writeBytes(join(folder, "test_batch.bin"), batchFile(15));
  writeBytes(join(folder, "batches.meta.txt"), `${NAMES.join("\n")}\n\n`);
});

describe("CIFAR-10", () => {
  it("is read in order, its colour planes interleaved", async () => {
    const { train, test } = await loadCifar10(options);
    assert.deepEqual(train.classes, NAMES);
    assert.deepEqual(Array.from(train.labels), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual(Array.from(test.labels), [5, 6]);
    for (const [dataset, index, image] of [[train, 0, 0], [train, 7, 7], [test, 1, 16]] as const) {
      const pixels = imagePixels(dataset, index);
      for (const [row, column, channel] of [[0, 0, 0], [0, 1, 2], [31, 31, 1], [5, 17, 0]]) {
        assert.equal(pixels[(row * 32 + column) * 3 + channel], byteAt(image, channel, row, column));
      }
    }
  });

  it("is found from the folder above, in part and in another size", async () => {
    const { train, test } = await loadCifar10({ ...options, path: parent, imageSize: 16, trainCount: 3, testCount: 0 });
    assert.deepEqual([train.size, test.size, train.pixels.length], [3, 0, 3 * 16 * 16 * 3]);
    assert.deepEqual(Array.from(train.labels), [0, 1, 2]);
  });

  it("names a file that is missing, short, or holds a wrong label", async () => {
    const third = join(folder, "data_batch_3.bin");
    writeBytes(third, batchFile(4).subarray(0, 6000));
    await assert.rejects(loadCifar10(options), /data_batch_3\.bin has 6000 bytes, expected 6146 \(2 images of 3073\)/);
    const mislabelled = batchFile(4);
    mislabelled[3073] = 10;
    writeBytes(third, mislabelled);
    await assert.rejects(loadCifar10(options), /data_batch_3\.bin: image 1 has label 10, expected 0 to 9/);
    rmSync(third);
    await assert.rejects(loadCifar10(options), /isn't CIFAR-10 in its binary version: data_batch_3\.bin missing/);
    await assert.rejects(loadCifar10({ path: join(parent, "nowhere") }), /There is no folder .*nowhere/);
    await assert.rejects(loadCifar10({ path: join(folder, "test_batch.bin") }), /is a file: unpack the archive/);
  });

  it("expects the published sizes by default", async () => {
    await assert.rejects(loadCifar10({ path: folder }), /expected 30730000 \(10000 images of 3073\)/);
  });

  it("needs ten class names", async () => {
    writeBytes(join(folder, "batches.meta.txt"), NAMES.slice(1).join("\n"));
    await assert.rejects(loadCifar10(options), /batches\.meta\.txt must name 10 different classes, one a line, but names 9/);
  });
});
