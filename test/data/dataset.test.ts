import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createDataset, imagePixels, subset, summarizeDataset, type Dataset } from "../../src/model/data/dataset";
import { imageBatch, imagesToPixels } from "../../src/model/data/image-batch";
import { loadDataset, type DatasetConfig } from "../../src/model/data/load";
import { tf } from "../../src/model/engine/tf";

/** Three images of 2 x 2; byte k of image i is 20 i + k. */
function smallDataset(change: Partial<Dataset> = {}): Dataset {
  const pixels = Uint8Array.from({ length: 36 }, (_, index) => 20 * Math.floor(index / 12) + (index % 12));
  return createDataset({ name: "small", split: "train", classes: ["a", "b"], imageSize: 2, pixels, labels: Int32Array.of(0, 1, 0), ...change });
}

describe("a data set", () => {
  it("has a fingerprint of what it holds, not of where it came from", () => {
    const { fingerprint } = smallDataset();
    assert.match(fingerprint, /^[0-9a-f]{16}$/);
    assert.equal(smallDataset({ name: "other", split: "test" }).fingerprint, fingerprint);
    const pixels = smallDataset().pixels;
    pixels[35] ^= 1;
    for (const change of [{ pixels }, { labels: Int32Array.of(0, 1, 1) }, { classes: ["a", "c"] }]) assert.notEqual(smallDataset(change).fingerprint, fingerprint);
  });

  it("refuses parts that disagree", () => {
    assert.throws(() => smallDataset({ labels: Int32Array.of(0, 1) }), /small \(train\): 2 labels need 24 bytes of pixels, got 36/);
    assert.throws(() => smallDataset({ labels: Int32Array.of(0, 2, 0) }), /image 1 has label 2, expected 0 to 1/);
  });

  it("gives a subset in the order asked for", () => {
    const part = subset(smallDataset(), [2, 1]);
    assert.deepEqual([part.size, imagePixels(part, 0)[0], imagePixels(part, 1)[0], ...part.labels], [2, 40, 20, 0, 1]);
    assert.throws(() => subset(smallDataset(), [3]), /Image 3 isn't in small \(train\), which has images 0 to 2/);
  });

  it("is summarised as the formulas say", () => {
    const dataset = smallDataset();
    const { classCounts, channelMeans, channelDeviations } = summarizeDataset(dataset);
    assert.deepEqual(classCounts, [2, 1]);
    for (let channel = 0; channel < 3; channel++) {
      const values = Array.from(dataset.pixels).filter((_, index) => index % 3 === channel).map((byte) => byte / 255);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      assert.ok(Math.abs(channelMeans[channel] - mean) < 1e-12);
      assert.ok(Math.abs(channelDeviations[channel] - Math.sqrt(variance)) < 1e-12);
    }
  });
});

describe("image batches", () => {
  it("hold the images in [-1, 1] and their labels", () => {
    const { images, labels } = imageBatch(smallDataset(), [1, 1, 2]);
    assert.deepEqual([images.shape, images.dtype, labels.shape, labels.dtype], [[3, 2, 2, 3], "float32", [3], "int32"]);
    assert.deepEqual(Array.from(labels.dataSync()), [1, 1, 0]);
    const values = images.dataSync();
    for (let index = 0; index < 12; index++) assert.equal(values[24 + index], Math.fround((40 + index) / 127.5 - 1));
    tf.dispose([images, labels]);
  });

  it("map 0 to -1 and 255 to 1 exactly", () => {
    const pixels = Uint8Array.of(0, 255, 0);
    const { images, labels } = imageBatch(createDataset({ name: "ends", split: "test", classes: ["a"], imageSize: 1, pixels, labels: Int32Array.of(0) }), [0]);
    assert.deepEqual(Array.from(images.dataSync()), [-1, 1, -1]);
    tf.dispose([images, labels]);
  });

  it("mirror the images that are marked, as tfjs does", () => {
    const { images, labels } = imageBatch(smallDataset(), [0, 1], { flipped: Uint8Array.of(0, 1) });
    const { images: plain, labels: sameLabels } = imageBatch(smallDataset(), [0, 1]);
    const mirrored = plain.reverse(2);
    assert.deepEqual(images.slice([0], [1]).dataSync(), plain.slice([0], [1]).dataSync());
    assert.deepEqual(images.slice([1], [1]).dataSync(), mirrored.slice([1], [1]).dataSync());
    tf.dispose([images, labels, plain, sameLabels, mirrored]);
  });

  it("leave two tensors and no more", () => {
    const before = tf.memory().numTensors;
    const { images, labels } = imageBatch(smallDataset(), [0, 1]);
    assert.equal(tf.memory().numTensors, before + 2);
    tf.dispose([images, labels]);
  });

  it("refuse an image that isn't there", () => {
    assert.throws(() => imageBatch(smallDataset(), [0, 3]), /Image 3 isn't in small \(train\), which has images 0 to 2/);
    assert.throws(() => imageBatch(smallDataset(), [-1]), RangeError);
  });

  it("come back as the same bytes; what lies beyond is clipped", async () => {
    const dataset = smallDataset();
    const { images, labels } = imageBatch(dataset, [0, 1, 2]);
    assert.deepEqual([...(await imagesToPixels(images))], [...dataset.pixels]);
    const beyond = tf.tensor4d([-1.5, 1.5, Number.NaN], [1, 1, 1, 3]);
    assert.deepEqual([...(await imagesToPixels(beyond))], [0, 255, 0]);
    tf.dispose([images, labels, beyond]);
  });

  it("hold every byte's value through the way there and back", async () => {
    const pixels = Uint8Array.from({ length: 768 }, (_, index) => Math.floor(index / 3));
    const dataset = createDataset({ name: "bytes", split: "train", classes: ["a"], imageSize: 16, pixels, labels: Int32Array.of(0) });
    const { images, labels } = imageBatch(dataset, [0]);
    assert.deepEqual([...(await imagesToPixels(images))], [...pixels]);
    tf.dispose([images, labels]);
  });
});

describe("loading by name", () => {
  it("passes the options on", async () => {
    await assert.rejects(loadDataset({ name: "cifar10", path: "/nowhere/at/all" }), /There is no folder \/nowhere\/at\/all: expected the unpacked cifar-10-batches-bin/);
    await assert.rejects(loadDataset({ name: "avatars", imageSize: -1 }), /imageSize/);
  });

  it("offers near names for one it doesn't know", async () => {
    await assert.rejects(loadDataset({ name: "cifar" } as unknown as DatasetConfig), /Unknown data set "cifar". Did you mean cifar10\?/);
    await assert.rejects(loadDataset({ name: "imagenet" } as unknown as DatasetConfig), /Known: avatars, folder, cifar10, mnist\./);
  });
});
