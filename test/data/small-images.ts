import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import sharp from "sharp";
import { randomStream } from "../../src/model/random";

/** Noise, [height, width, 3]: every pixel differs from its neighbours, so that none can be mixed up. */
export function noisePixels(width: number, height: number, seed: number): Uint8Array {
  return Uint8Array.from(randomStream(seed, "test image").integers(width * height * 3, 256));
}

/** Writes a PNG, JPEG or WebP of RGB pixels. */
export async function writeImage(path: string, pixels: Uint8Array, width: number, height: number): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  await sharp(pixels, { raw: { width, height, channels: 3 } }).toFile(path);
}

/** Writes a PNG of one colour, 4 x 4. */
export async function writeColour(path: string, colour: readonly [number, number, number]): Promise<void> {
  await writeImage(path, Uint8Array.from({ length: 48 }, (_, index) => colour[index % 3]), 4, 4);
}

/** Writes bytes, with the folders above them. */
export function writeBytes(path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
}
