import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { TrainConfig } from "../../src/model/config";
import { createDataset, epochBatches } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";
import { runPaths } from "../../src/model/run";
import { train, type TrainOptions } from "../../src/model/trainer";
import { batchesAhead, repeatedRows, rowsInMemory } from "../../src/model/training-rows";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-rows-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const CLASSES = ["common", "hard", "rare"];
const LABELS = [0, 0, 0, 0, 1, 1, 0, 2, 1, 0];
/** Ten images of 16 x 16 whose latent is their position in the data set. */
const rows = rowsInMemory(
  createDataset({ name: "numbered", split: "train", classes: CLASSES, imageSize: 16, pixels: new Uint8Array(LABELS.length * 16 * 16 * 3), labels: Int32Array.from(LABELS) }),
  Float32Array.from(LABELS, (_, index) => index),
);

describe("repeatedRows", () => {
  it("deals out each image of an epoch as often as its class says, with its own latent and label", async () => {
    const dealt = repeatedRows(rows, { hard: 2, rare: 5 });
    const epoch = 6 + 2 * 3 + 5;
    assert.equal(dealt.size, epoch);
    const batches = batchesAhead(epochBatches(dealt, { batchSize: epoch, stream: randomStream(0, "order") }), dealt);
    const orders: string[] = [];
    for (const _ of ["first epoch", "second epoch"]) {
      const { latents, labels } = await batches.next();
      const times = LABELS.map((_, index) => latents.filter((latent) => latent === index).length);
      assert.deepEqual(times, LABELS.map((label) => [1, 2, 5][label]));
      latents.forEach((index, position) => assert.equal(labels[position], LABELS[index]));
      orders.push(latents.join());
    }
    assert.notEqual(orders[0], orders[1]);
  });

  it("leaves the rows as they are where every class is dealt out once", () => {
    assert.equal(repeatedRows(rows, {}), rows);
    assert.equal(repeatedRows(rows, { rare: 1 }), rows);
  });

  it("names the classes that there are not, and those there are", () => {
    assert.throws(() => repeatedRows(rows, { hard: 2, rares: 3, none: 2 }), { message: 'classRepeats names "rares", "none", and the classes of numbered are common, hard, rare' });
  });
});

describe("a training with classRepeats", () => {
  async function run(config: Partial<TrainConfig>, options: TrainOptions = {}, stopAfter = Infinity): Promise<number[]> {
    const totals: number[] = [];
    for await (const { step, total } of train({ ...base, ...config }, { runsFolder: folder, resources, ...options })) {
      totals.push(total);
      if (step >= stopAfter) break;
    }
    return totals;
  }
  const classRepeats = { second: 3 };

  it("goes on bit for bit, and only with the same repeats", async () => {
    const whole = await run({ name: "whole", classRepeats });
    assert.notDeepEqual(whole, await run({ name: "plain" }));
    const start = await run({ name: "parts", classRepeats }, {}, 2);
    await assert.rejects(run({ name: "parts" }, { existing: "resume" }), /classRepeats \(\{"second":3\} there, \{\} here\)/);
    assert.deepEqual([...start, ...(await run({ name: "parts", classRepeats }, { existing: "resume" }))], whole);
  });

  it("refuses an unknown class and a number that is none, and leaves no run", async () => {
    const before = tf.memory().numTensors;
    await assert.rejects(run({ name: "bad", classRepeats: { third: 2 } }), /classRepeats names "third", and the classes of noise are first, second/);
    await assert.rejects(run({ name: "bad", classRepeats: { second: 0.5 } }), /classRepeats must be whole numbers of at least 1 by class name \(times\), not \{"second":0\.5\}/);
    assert.ok(!existsSync(runPaths("bad", folder).folder));
    assert.equal(tf.memory().numTensors, before);
  });
});
