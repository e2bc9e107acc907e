import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { tf } from "../src/model/engine/tf";
import { projectRoot } from "../src/model/files";
import { publishedShape, sourcesOf, type Dialect, type WantedWeights } from "../src/model/weights/name-map";
import type { WeightsFile } from "../src/model/weights/weights-file";

/** Some values of a tensor with their positions, as seeded_weights.py writes them. */
export interface Sampled {
  shape: number[];
  norm: number;
  positions: number[];
  values: number[];
}

/** `count` numbers in [-1, 1): murmur3's finaliser of FNV-1a(name) + i * 0x9e3779b9, upper 24 bits. As test/golden/seeded_weights.py. */
export function uniform(name: string, count: number): Float32Array {
  let seed = 0x811c9dc5;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 0x01000193);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (seed + Math.imul(i, 0x9e3779b9)) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    values[i] = ((x ^ (x >>> 16)) >>> 8) / 2 ** 23 - 1;
  }
  return values;
}

function scaleAndOffset(name: string, shape: readonly number[], count: number): [scale: number, offset: number] {
  if (name.endsWith("running_var")) return [0.5, 1];
  if (name.endsWith("lambda1") || name.endsWith("gamma")) return [0.2, 0.5];
  if (shape.length === 1) return name.endsWith("weight") ? [0.2, 1] : [0.1, 0];
  if (shape.length === 3 && shape[0] === 1) return [0.5, 0];
  return [Math.sqrt(6 / (count / shape[0])), 0];
}

/** A published tensor, the same numbers as in Python. */
export function seededTensor(name: string, shape: readonly number[]): Float32Array {
  const count = shape.reduce((product, side) => product * side, 1);
  const [scale, offset] = scaleAndOffset(name, shape, count).map(Math.fround);
  const values = uniform(name, count);
  for (let i = 0; i < count; i++) values[i] = Math.fround(scale * values[i]) + offset;
  return values;
}

/** A file of seeded weights in a network's first dialect, or another; nothing is on the disk. */
export function seededFile(wanted: WantedWeights, dialect: Dialect = wanted.dialects[0]): WeightsFile {
  const shapes = Object.fromEntries(Object.values(dialect.parameters).flatMap((parameter) => sourcesOf(parameter).map((name): [string, readonly number[]] => [name, publishedShape(parameter)])));
  return { path: "seeded", shapes, metadata: {}, read: async (name) => seededTensor(name, shapes[name]), digest: async () => "seeded", close: async () => undefined };
}

/** Images [B, H, W, C] in [-1, 1). */
export function seededImages(name: string, shape: [number, number, number, number]): tf.Tensor4D {
  return tf.tensor4d(uniform(name, shape.reduce((product, side) => product * side, 1)), shape);
}

/** Largest difference of the sampled values over the root mean square of the expected tensor; the norm must agree as well. */
export function assertClose(actual: tf.Tensor, expected: Sampled, tolerance: number, what: string): void {
  assert.deepEqual(actual.shape, expected.shape, what);
  const data = actual.dataSync() as Float32Array;
  const scale = expected.norm / Math.sqrt(data.length);
  const error = Math.max(...expected.positions.map((position, i) => Math.abs(data[position] - expected.values[i]) / scale));
  assert.ok(error < tolerance, `${what}: relative error ${error}`);
  const norm = Math.sqrt(data.reduce((sum, value) => sum + value * value, 0));
  assert.ok(Math.abs(norm / expected.norm - 1) < tolerance, `${what}: norm ${norm}, expected ${expected.norm}`);
}

export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(join(projectRoot(), "test", "golden", name), "utf8")) as T;
}
