import assert from "node:assert/strict";
import { describe, test } from "node:test";
import sharp from "sharp";
import { imageGrid, imageGridBundle } from "../../src/kernel-helpers/image-grid";
import { tf } from "../../src/model/engine/tf";

async function decode(png: Uint8Array): Promise<{ width: number; height: number; at: (x: number, y: number) => number[] }> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, at: (x, y) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)] };
}

describe("an image grid", () => {
  test("shows each pixel as a sharp square of its exact colour", async () => {
    // Two images of 1x2 pixels: red, green; blue, white.
    const pixels = new Uint8Array([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
    const { width, height, at } = await decode(await imageGrid({ pixels, shape: [2, 1, 2, 3] }, { columns: 2, scale: 3 }));
    assert.deepEqual([width, height], [4 + 2 * (6 + 4), 4 + 3 + 4]);
    assert.deepEqual([at(4, 4), at(6, 6), at(7, 4), at(9, 6)], [[255, 0, 0], [255, 0, 0], [0, 255, 0], [0, 255, 0]]);
    assert.deepEqual([at(14, 4), at(17, 5)], [[0, 0, 255], [255, 255, 255]]);
  });

  test("takes tensors in [-1, 1], clips what lies outside, and keeps them", async () => {
    const images = tf.tensor4d([-1, 0, 1, -5, 5, 0.5], [2, 1, 1, 3]);
    const before = tf.memory().numTensors;
    const { at } = await decode(await imageGrid(images, { columns: 2, scale: 2 }));
    assert.deepEqual([at(4, 4), at(10, 4)], [[0, 128, 255], [0, 255, 191]]);
    assert.equal(tf.memory().numTensors, before);
    images.dispose();
  });

  test("shows grey images, and draws titles and row labels without touching the images", async () => {
    const options = { columns: 1, scale: 10, titles: ["<b>", "long ".repeat(20)], rowLabels: ["a & b", "row"] };
    const bundle = await imageGridBundle({ pixels: new Uint8Array([0, 128]), shape: [2, 1, 1, 1] }, options);
    const { width, at } = await decode(bundle["image/png"] as Uint8Array);
    assert.equal(width, 120 + 4 + 14);
    assert.deepEqual([at(130, 6), at(130, 4 + 10 + 4 + 18 + 2)], [[0, 0, 0], [128, 128, 128]]);
    assert.match(String(bundle["text/plain"]), /^2 images of 1x1 pixels: <b>, long/);
  });

  test("says which size is wrong", async () => {
    await assert.rejects(imageGrid({ pixels: new Uint8Array(5), shape: [1, 1, 2, 3] }), /shape \[1,1,2,3\] needs 6 bytes, got 5/);
    await assert.rejects(imageGrid({ pixels: new Uint8Array(2), shape: [1, 1, 1, 2] }), /expected images of shape \[B, H, W, 1\] or \[B, H, W, 3\]/);
    await assert.rejects(imageGrid({ pixels: new Uint8Array(3), shape: [1, 1, 1, 3] }, { titles: [] }), /a title for each of the 1 images/);
  });
});
