import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import sharp from "sharp";
import { imageGrid, writePicture, type Picture } from "../src/model/image-files";

const folder = mkdtempSync(join(tmpdir(), "crossflow-pictures-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Images of one colour: image i is (i, i, i). */
const plainImages = (count: number, imageSize: number): Uint8Array => Uint8Array.from({ length: count * imageSize * imageSize * 3 }, (_, index) => Math.floor(index / (imageSize * imageSize * 3)));

const redAt = ({ width, pixels }: Picture, row: number, column: number): number => pixels[(row * width + column) * 3];

describe("an image grid", () => {
  it("lays images out in rows with gaps", () => {
    const grid = imageGrid(plainImages(5, 2), 2, { columns: 3, gap: 1, background: [200, 0, 0] });
    assert.deepEqual([grid.width, grid.height], [10, 7]);
    const rows = Array.from({ length: 7 }, (_, row) => Array.from({ length: 10 }, (_, column) => redAt(grid, row, column)));
    const b = 200;
    assert.deepEqual(rows, [
      [b, b, b, b, b, b, b, b, b, b],
      [b, 0, 0, b, 1, 1, b, 2, 2, b],
      [b, 0, 0, b, 1, 1, b, 2, 2, b],
      [b, b, b, b, b, b, b, b, b, b],
      [b, 3, 3, b, 4, 4, b, b, b, b],
      [b, 3, 3, b, 4, 4, b, b, b, b],
      [b, b, b, b, b, b, b, b, b, b],
    ]);
  });

  it("keeps each image's own pixels in their places", () => {
    const pixels = Uint8Array.from({ length: 12 }, (_, index) => index);
    assert.deepEqual(imageGrid(pixels, 2, { gap: 0 }), { width: 2, height: 2, pixels });
  });

  it("is nearly square by default and enlarges pixels to squares", () => {
    const grid = imageGrid(plainImages(10, 2), 2, { gap: 0, scale: 3 });
    assert.deepEqual([grid.width, grid.height], [4 * 2 * 3, 3 * 2 * 3]);
    for (const [row, column, image] of [[0, 0, 0], [5, 5, 0], [5, 6, 1], [6, 0, 4]]) assert.equal(redAt(grid, row, column), image);
  });

  it("refuses what is no grid", () => {
    assert.throws(() => imageGrid(new Uint8Array(0), 2), /at least one image of 2 x 2 x 3 bytes, got 0/);
    assert.throws(() => imageGrid(new Uint8Array(13), 2), /got 13 bytes/);
    assert.throws(() => imageGrid(plainImages(1, 2), 2, { columns: 0 }), /columns must be/);
    assert.throws(() => imageGrid(plainImages(1, 2), 2, { scale: 1.5 }), /scale must be/);
  });
});

describe("pictures are written", () => {
  const picture = imageGrid(plainImages(4, 8), 8);

  it("as PNG with every pixel", async () => {
    const path = join(folder, "new", "grid.png");
    await writePicture(path, picture);
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height, info.channels], [picture.width, picture.height, 3]);
    assert.deepEqual(new Uint8Array(data), picture.pixels);
    assert.deepEqual(readdirSync(join(folder, "new")), ["grid.png"]);
  });

  it("in the format of the name", async () => {
    for (const [name, format] of [["a.jpg", "jpeg"], ["b.JPEG", "jpeg"], ["c.webp", "webp"]]) {
      await writePicture(join(folder, name), picture);
      const metadata = await sharp(join(folder, name)).metadata();
      assert.deepEqual([metadata.format, metadata.width], [format, picture.width]);
    }
    await assert.rejects(writePicture(join(folder, "grid.gif"), picture), /Can't tell the format of .*grid\.gif: expected a name that ends in \.png/);
  });
});
