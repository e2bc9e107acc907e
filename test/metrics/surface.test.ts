import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { accumulateSurface, type SurfaceMeasures } from "../../src/model/metrics/surface";
import { randomStream } from "../../src/model/random";

before(() => startEngine());

const LEVEL = 1 / 127.5;
/** Measures of grey images whose levels (0 to 255) a function of image, row and column gives. */
async function measured(level: (image: number, row: number, column: number) => number, batches = [2]): Promise<SurfaceMeasures> {
  const surface = accumulateSurface();
  let first = 0;
  for (const count of batches) {
    const values = Array.from({ length: count * 256 * 3 }, (_, index) => level(first + Math.floor(index / 768), Math.floor(index / 48) % 16, Math.floor(index / 3) % 16) * LEVEL - 1);
    const images = tf.tensor4d(values, [count, 16, 16, 3]);
    const before = tf.memory().numTensors;
    await surface.add(images);
    assert.equal(tf.memory().numTensors, before);
    images.dispose();
    first += count;
  }
  return surface.finish();
}
const near = (actual: number | undefined, wanted: number): void => assert.ok(Math.abs(actual! - wanted) < 1e-4, `${actual} for ${wanted}`);

describe("the surface of images", () => {
  it("of one colour is flat, without seams or edges to speak of", async () => assert.deepEqual(await measured(() => 100), { seams: undefined, flat: 1, softEdges: undefined }));

  it("that rises evenly has seams of 1; a step between patches adds to them what it adds to their borders", async () => {
    near((await measured((_, row, column) => 2 * row + 2 * column)).seams, 1);
    // Across the one border of 16 pixels, 8 | 8, a step of 10 beside the rise of 2, downwards alone: the mean of 12 and 2 over 2.
    near((await measured((_, row, column) => 2 * row + 2 * column + (row >= 8 ? 10 : 0))).seams, 7 / 2);
    near((await measured((_, row, column) => 2 * row + 2 * column + (row >= 5 ? 10 : 0))).seams, 2 / ((2 * 28 + 10) / 28));
  });

  it("has flat windows, soft and sharp edges by their range, in all batches together", async () => {
    // A step of `height` at column 6: 2 of the 14 columns of windows hold it.
    const step = (height: number) => (_: number, __: number, column: number): number => (column >= 6 ? height : 0);
    for (const [height, flat, softEdges] of [[2, 1, undefined], [6, 12 / 14, undefined], [30, 12 / 14, 1], [90, 12 / 14, 0]] as const) {
      const surface = await measured(step(height));
      near(surface.flat, flat);
      if (softEdges === undefined) assert.equal(surface.softEdges, undefined);
      else near(surface.softEdges, softEdges);
    }
    const both = await measured((image, row, column) => (image === 0 ? step(30) : step(90))(0, row, column) + 20, [1, 1]);
    near(both.softEdges, 0.5);
    near(both.flat, 12 / 14);
  });

  it("of grain is not flat from a few levels on", async () => {
    const noise = randomStream(1, "grain").normal(2 * 256);
    const grain = (deviation: number) => (image: number, row: number, column: number): number => 128 + deviation * noise[image * 256 + row * 16 + column];
    const [fine, coarse] = [await measured(grain(0.2)), await measured(grain(2))];
    assert.ok(fine.flat > 0.99 && coarse.flat < 0.05, `${fine.flat}, ${coarse.flat}`);
  });
});
