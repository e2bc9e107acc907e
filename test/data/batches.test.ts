import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { batchIndices, epochBatches } from "../../src/model/data/batches";
import { randomStream } from "../../src/model/random";

const batchesOf = (size: number, batchSize: number, seed = 1, horizontalFlip = false) => epochBatches({ size }, { batchSize, stream: randomStream(seed, "data order"), horizontalFlip });

/** The next `count` indices that batches deal out. */
function deal(batches: ReturnType<typeof batchesOf>, count: number): number[] {
  const dealt: number[] = [];
  while (dealt.length < count) dealt.push(...batches.next().value.indices);
  return dealt.slice(0, count);
}

describe("epoch batches", () => {
  it("hold every image once an epoch, whatever the batch size", () => {
    for (const batchSize of [1, 3, 4, 10, 25]) {
      const dealt = deal(batchesOf(10, batchSize), 50);
      for (let epoch = 0; epoch < 5; epoch++) {
        assert.deepEqual(dealt.slice(10 * epoch, 10 * epoch + 10).sort((a, b) => a - b), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], `batch size ${batchSize}, epoch ${epoch}`);
      }
    }
  });

  it("are shuffled anew each epoch, and by the seed", () => {
    const dealt = deal(batchesOf(100, 10), 200);
    assert.notDeepEqual(dealt.slice(0, 100), dealt.slice(100));
    assert.notDeepEqual(dealt.slice(0, 100), Array.from({ length: 100 }, (_, index) => index));
    assert.deepEqual(deal(batchesOf(100, 10), 200), dealt);
    assert.notDeepEqual(deal(batchesOf(100, 10, 2), 200), dealt);
  });

  it("count epochs by their first image and are all of one size", () => {
    const batches = batchesOf(10, 4);
    const dealt = Array.from({ length: 6 }, () => batches.next().value);
    assert.deepEqual(dealt.map(({ epoch }) => epoch), [0, 0, 0, 1, 1, 2]);
    assert.ok(dealt.every(({ indices, flipped }) => indices.length === 4 && flipped.length === 4));
  });

  it("go on after a restored state as if nothing had happened", () => {
    for (const taken of [0, 1, 2, 3, 7, 10]) {
      const batches = batchesOf(10, 4, 1, true);
      for (let step = 0; step < taken; step++) batches.next();
      const state = batches.state();
      const following = Array.from({ length: 8 }, () => batches.next().value);
      const resumed = batchesOf(10, 4, 99, true);
      resumed.next();
      resumed.restore(state);
      assert.equal(resumed.state(), state);
      assert.deepEqual(Array.from({ length: 8 }, () => resumed.next().value), following, `after ${taken} batches`);
    }
  });

  it("mirror about half of the images, differently in each epoch, if asked", () => {
    const plain = batchesOf(1000, 1000).next().value;
    assert.ok(plain.flipped.every((flip) => flip === 0));
    const batches = batchesOf(1000, 1000, 1, true);
    const [first, second] = [batches.next().value.flipped, batches.next().value.flipped];
    const share = first.reduce((sum, flip) => sum + flip, 0) / 1000;
    // Five standard deviations of a fair coin's share.
    assert.ok(Math.abs(share - 0.5) < 5 * Math.sqrt(0.25 / 1000), `share ${share}`);
    assert.notDeepEqual(first, second);
  });

  it("can be looped over", () => {
    let count = 0;
    for (const batch of batchesOf(5, 2)) if ((count += batch.indices.length) >= 20) break;
    assert.equal(count, 20);
  });

  it("refuse what can't be dealt or restored", () => {
    assert.throws(() => batchesOf(0, 4), /has no images/);
    for (const batchSize of [0, 1.5, Number.NaN]) assert.throws(() => batchesOf(10, batchSize), /batchSize must be a whole number from 1/);
    assert.throws(() => batchesOf(10, 4).restore(batchesOf(11, 4).state()), /data set of 11 images, this one has 10/);
    for (const text of ["", "{}", "null", '{"size":10,"epoch":0,"position":11,"stream":""}']) assert.throws(() => batchesOf(10, 4).restore(text), /isn't a saved order of images/);
  });
});

describe("batches in order", () => {
  it("hold each position once; the last may be short", () => {
    assert.deepEqual([...batchIndices(7, 3)].map((batch) => Array.from(batch)), [[0, 1, 2], [3, 4, 5], [6]]);
    assert.deepEqual([...batchIndices(0, 3)], []);
    assert.throws(() => [...batchIndices(7, 0)], /batchSize must be/);
  });
});
