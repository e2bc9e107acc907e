import assert from "node:assert/strict";
import { test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { loadLpips, lpipsHeadWeights, vgg16Weights } from "../../src/model/features/lpips";
import { densityCoverage } from "../../src/model/metrics/density-coverage";
import { frechetDistance } from "../../src/model/metrics/frechet";
import { frechetStandardError } from "../../src/model/metrics/frechet-error";
import { accumulateInceptionScore } from "../../src/model/metrics/inception-score";
import { kernelDistance } from "../../src/model/metrics/kid";
import { lpipsDiversity } from "../../src/model/metrics/lpips-diversity";
import { precisionRecall } from "../../src/model/metrics/precision-recall";
import { createReservoir } from "../../src/model/metrics/reservoir";
import { accumulateStatistics, type FeatureStatistics } from "../../src/model/metrics/statistics";
import { randomStream } from "../../src/model/random";
import { readGolden, seededFile, seededImages, uniform } from "../seeded-weights";

interface Golden {
  "torch-fidelity": { frechetDistance: number; kernelDistance: number; precision: number; recall: number; inceptionScore: { value: number; standardDeviation: number } };
  "clean-fid": { frechetDistance: number };
  prdc: { precision: number; recall: number; density: number; coverage: number };
}

const golden = readGolden<Golden>("metric-peers.json");
const ORIGIN = { network: "test", resize: "none" };

function features(name: string, count: number, dimension: number, scale: number, shift: number): tf.Tensor2D {
  return tf.tensor2d(uniform(name, count * dimension).map((value) => Math.fround(Math.fround(scale) * value) + Math.fround(shift)), [count, dimension]);
}

async function statisticsOf(values: tf.Tensor2D): Promise<FeatureStatistics> {
  const accumulator = accumulateStatistics(values.shape[1], ORIGIN);
  await accumulator.add(values);
  return accumulator.finish();
}

const close = (actual: number, expected: number, tolerance: number, what: string): void => assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test("distances and shares equal torch-fidelity's, clean-fid's and prdc's on the same features", async () => {
  const before = tf.memory().numTensors;
  const [real, fake] = [features("real", 120, 16, 1, 0), features("fake", 120, 16, 0.9, 0.1)];
  const distance = frechetDistance(await statisticsOf(fake), await statisticsOf(real));
  close(distance, golden["torch-fidelity"].frechetDistance, 1e-5, "Frechet distance, torch-fidelity");
  close(distance, golden["clean-fid"].frechetDistance, 1e-5, "Frechet distance, clean-fid");
  close((await kernelDistance(fake, real)).value, golden["torch-fidelity"].kernelDistance, 1e-5, "kernel distance");
  const three = await precisionRecall(real, fake);
  close(three.precision, golden["torch-fidelity"].precision, 1e-6, "precision");
  close(three.recall, golden["torch-fidelity"].recall, 1e-6, "recall");
  const five = await precisionRecall(real, fake, { neighbours: 5 });
  const { density, coverage } = await densityCoverage(real, fake);
  close(five.precision, golden.prdc.precision, 1e-6, "precision, prdc");
  close(five.recall, golden.prdc.recall, 1e-6, "recall, prdc");
  close(mean(density), golden.prdc.density, 1e-6, "density");
  close(mean(coverage), golden.prdc.coverage, 1e-6, "coverage");
  tf.dispose([real, fake]);
  assert.equal(tf.memory().numTensors, before);
});

test("the Inception score equals torch-fidelity's, in batches that straddle the splits", async () => {
  const logits = features("logits", 103, 20, 3, 0);
  const accumulator = accumulateInceptionScore(103);
  for (let start = 0; start < 103; start += 17) {
    const batch = logits.slice([start, 0], [Math.min(17, 103 - start), 20]);
    await accumulator.add(batch);
    batch.dispose();
  }
  const { value, standardDeviation } = accumulator.finish();
  close(value, golden["torch-fidelity"].inceptionScore.value, 1e-5, "score");
  close(standardDeviation, golden["torch-fidelity"].inceptionScore.standardDeviation, 1e-5, "standard deviation");
  await assert.rejects(accumulator.add(logits), /announced 103 images, and more came/);
  assert.throws(() => accumulateInceptionScore(20).finish(), /only 0 came/);
  assert.throws(() => accumulateInceptionScore(9), /at least 10 images/);
  logits.dispose();
});

test("the Frechet distance's standard error is its spread over draws of the images", async () => {
  const stream = randomStream(3, "draws");
  const draw = (count: number, center: number): tf.Tensor2D => tf.tensor2d(stream.normal(count * 4).map((value) => value + center), [count, 4]);
  const real = draw(4000, 0);
  const reference = await statisticsOf(real);
  const before = tf.memory().numTensors;
  const distances: number[] = [];
  const errors: number[] = [];
  for (let i = 0; i < 60; i++) {
    const fake = draw(200, 0.4);
    distances.push(frechetDistance(await statisticsOf(fake), reference));
    if (i < 6) errors.push(await frechetStandardError(fake, reference, { resamples: 40, seed: i }));
    fake.dispose();
  }
  assert.equal(tf.memory().numTensors, before);
  const average = distances.reduce((sum, value) => sum + value, 0) / distances.length;
  const spread = Math.sqrt(distances.reduce((sum, value) => sum + (value - average) ** 2, 0) / (distances.length - 1));
  const estimate = errors.reduce((sum, value) => sum + value, 0) / errors.length;
  assert.ok(estimate / spread > 0.7 && estimate / spread < 1.45, `${estimate}, spread ${spread}`);
  real.dispose();
});

test("a reservoir keeps each row with one probability, and all in order while they fit", () => {
  const few = createReservoir(10, 2, randomStream(0, "kept"));
  few.add(Float32Array.of(1, 2, 3, 4));
  few.add(Float32Array.of(5, 6));
  assert.deepEqual([few.count(), [...few.values()]], [3, [1, 2, 3, 4, 5, 6]]);
  const times = new Float64Array(50);
  for (let seed = 0; seed < 400; seed++) {
    const reservoir = createReservoir(10, 1, randomStream(seed, "kept"));
    for (let start = 0; start < 50; start += 25) reservoir.add(Float32Array.from({ length: 25 }, (_, i) => start + i));
    assert.equal(new Set(reservoir.values()).size, 10);
    for (const row of reservoir.values()) times[row]++;
  }
  // Each row is kept 80 times of 400 on average, with a deviation of 8.
  assert.ok(times.every((count) => Math.abs(count - 80) < 36), `${times}`);
});

test("LPIPS diversity is the mean distance of neighbours in each class", async () => {
  const lpips = await loadLpips({ path: seededFile(vgg16Weights()), headsPath: seededFile(lpipsHeadWeights()) });
  const images = seededImages("diverse", [5, 16, 16, 3]);
  const before = tf.memory().numTensors;
  const batch = (): { images: tf.Tensor4D; labels: tf.Tensor1D } => ({ images: images.clone(), labels: tf.tensor1d([0, 1, 0, 1, 0], "int32") });
  const { value, pairs } = await lpipsDiversity(lpips, [batch()]);
  const expected = tf.tidy(() => lpips.distance(images.slice(0, 2), images.slice(2, 2)).mean().dataSync()[0]);
  assert.equal(pairs, 2);
  close(value, expected, 1e-4 * Math.abs(expected), "diversity");
  await assert.rejects(lpipsDiversity(lpips, []), /no batch holds two images of one class/);
  assert.equal(tf.memory().numTensors, before);
  lpips.dispose();
  images.dispose();
});
