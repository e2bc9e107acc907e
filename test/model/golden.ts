import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";

/** A tensor as the scripts in test/golden write it: float32, little endian, in base 64. */
export interface Packed {
  shape: number[];
  base64: string;
}

/** Reads test/golden/NAME.json. */
export function readGolden<Content>(name: string): Content {
  return JSON.parse(readFileSync(join(projectRoot(), "test", "golden", `${name}.json`), "utf8")) as Content;
}

export function unpack({ shape, base64 }: Packed): tf.Tensor {
  const bytes = Uint8Array.from(Buffer.from(base64, "base64"));
  return tf.tensor(new Float32Array(bytes.buffer), shape);
}

export function unpackAll(tensors: Record<string, Packed>): Record<string, tf.Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, packed]) => [name, unpack(packed)]));
}

/** Asserts that a tensor equals a golden one: the largest difference, as a share of the golden one's largest number, is at most `tolerance`. */
export function assertMatches(actual: tf.Tensor, golden: Packed, tolerance: number, what: string): void {
  assert.deepEqual(actual.shape, golden.shape, what);
  const expected = unpack(golden).dataSync() as Float32Array;
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  const off = (actual.dataSync() as Float32Array).reduce((most, value, index) => (Number.isFinite(value) ? Math.max(most, Math.abs(value - expected[index])) : Infinity), 0);
  assert.ok(off <= tolerance * scale, `${what}: off by ${off}, where the largest number is ${scale}`);
}
