import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import sharp from "sharp";
import { decodeSquareImage, resizeSquareImages } from "../../src/model/data/resize";
import { projectRoot } from "../../src/model/files";
import { noisePixels } from "./small-images";

interface GoldenImage {
  name: string;
  imageSize: number;
  tolerance: number;
  /** The image file, base64. */
  file: string;
  /** Pillow's pixels. */
  expected: number[];
}

const { cases }: { cases: GoldenImage[] } = JSON.parse(readFileSync(join(projectRoot(), "test/golden/image_files.json"), "utf8"));

describe("images decode to what Pillow makes of them", () => {
  for (const { name, imageSize, tolerance, file, expected } of cases) {
    it(name, async () => {
      const pixels = await decodeSquareImage(Buffer.from(file, "base64"), imageSize);
      assert.equal(pixels.length, expected.length);
      const largest = Math.max(...expected.map((value, index) => Math.abs(value - pixels[index])));
      assert.ok(largest <= tolerance, `largest difference ${largest}, tolerance ${tolerance}`);
    });
  }
});

describe("files that are no usable image", () => {
  const noise = sharp(noisePixels(40, 40, 1), { raw: { width: 40, height: 40, channels: 3 } });

  it("cut off: PNG, JPEG and WebP", async () => {
    for (const whole of [await noise.png().toBuffer(), await noise.jpeg().toBuffer(), await noise.webp().toBuffer()]) {
      await decodeSquareImage(whole, 8);
      for (const share of [0.3, 0.7]) await assert.rejects(decodeSquareImage(whole.subarray(0, share * whole.length), 8), /it is damaged or cut off \([^\n]+\)$/);
    }
  });

  it("empty, text, or a format that isn't read", async () => {
    await assert.rejects(decodeSquareImage(new Uint8Array(0), 8), /the file is empty/);
    await assert.rejects(decodeSquareImage(Buffer.from("not an image at all"), 8), /it is no PNG, JPEG or WebP image/);
    await assert.rejects(decodeSquareImage(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"/>'), 8), /it is a svg file, expected PNG, JPEG or WebP/);
    await assert.rejects(decodeSquareImage(await noise.gif().toBuffer(), 8), /it is a gif file/);
  });

  it("CMYK becomes three channels", async () => {
    const cmyk = await noise.toColourspace("cmyk").jpeg().toBuffer();
    assert.equal((await decodeSquareImage(cmyk, 8)).length, 8 * 8 * 3);
  });
});

describe("resizing", () => {
  it("keeps one colour and the images' order", async () => {
    const pixels = Uint8Array.from({ length: 3 * 4 * 4 * 3 }, (_, index) => 50 * Math.floor(index / 48) + (index % 3));
    const resized = await resizeSquareImages(pixels, 4, 8);
    assert.deepEqual(resized, Uint8Array.from({ length: 3 * 8 * 8 * 3 }, (_, index) => 50 * Math.floor(index / 192) + (index % 3)));
  });

  it("to the same size copies nothing", async () => {
    const pixels = noisePixels(4, 4, 2);
    assert.equal(await resizeSquareImages(pixels, 4, 4), pixels);
  });
});
