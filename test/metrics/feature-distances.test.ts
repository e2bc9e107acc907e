import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";
import { frechetDistance } from "../../src/model/metrics/frechet";
import { classDistances } from "../../src/model/metrics/class-distances";
import { kernelDistance } from "../../src/model/metrics/kid";
import { precisionRecall } from "../../src/model/metrics/precision-recall";
import { accumulateStatistics, loadStatistics, saveStatistics, type FeatureStatistics } from "../../src/model/metrics/statistics";
import { randomStream } from "../../src/model/random";

interface Numbers {
  shape: number[];
  data: number[];
}

interface FeatureCase {
  name: string;
  a: Numbers;
  b: Numbers;
  mean: Numbers;
  covariance: Numbers;
  frechetDistance: number;
  kernelDistance: number;
  precisionRecall: { precision: number; recall: number };
}

const golden = JSON.parse(fs.readFileSync(path.join(projectRoot(), "test/golden/metrics.json"), "utf8")) as { features: FeatureCase[] };
const ORIGIN = { network: "test network", resize: "none" };

const featuresOf = ({ data, shape }: Numbers): tf.Tensor2D => tf.tensor2d(data, shape as [number, number]);

/** Statistics of features that arrive in batches of 16. */
async function statisticsOf(features: tf.Tensor2D, origin = ORIGIN): Promise<FeatureStatistics> {
  const [count, dimension] = features.shape;
  const accumulator = accumulateStatistics(dimension, origin);
  for (let start = 0; start < count; start += 16) {
    const batch = features.slice([start, 0], [Math.min(16, count - start), dimension]);
    await accumulator.add(batch);
    batch.dispose();
  }
  return accumulator.finish();
}

function assertClose(actual: number, expected: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual}, expected ${expected}`);
}

for (const expected of golden.features) {
  test(`distances of features equal NumPy's and SciPy's: ${expected.name}`, async () => {
    const a = featuresOf(expected.a);
    const b = featuresOf(expected.b);
    const tensors = tf.memory().numTensors;
    const [statisticsA, statisticsB] = [await statisticsOf(a), await statisticsOf(b)];
    const scale = Math.max(...expected.covariance.data.map(Math.abs));
    expected.mean.data.forEach((value, i) => assertClose(statisticsA.mean[i], value, 1e-12 * Math.max(1, Math.abs(value)), `mean ${i}`));
    expected.covariance.data.forEach((value, i) => assertClose(statisticsA.covariance[i], value, 1e-12 * scale, `covariance ${i}`));
    assertClose(frechetDistance(statisticsA, statisticsB), expected.frechetDistance, 1e-7 * scale, "Frechet distance");
    assertClose(frechetDistance(statisticsB, statisticsA), expected.frechetDistance, 1e-7 * scale, "Frechet distance, other way round");
    assertClose(frechetDistance(statisticsA, statisticsA), 0, 1e-7 * scale, "Frechet distance to itself");

    // These two work in float32, in which a far mean drowns differences; features of networks have none.
    if (expected.name !== "a mean far above the spread") {
      assertClose((await kernelDistance(a, b)).value, expected.kernelDistance, 1e-5, "kernel distance");
      assert.deepEqual(await precisionRecall(a, b), expected.precisionRecall);
    }
    assert.equal(tf.memory().numTensors, tensors);
    tf.dispose([a, b]);
  });
}

test("the Frechet distance of normal distributions in closed form", () => {
  const diagonal = (mean: number[], variances: number[]): FeatureStatistics => ({
    count: 100,
    dimension: mean.length,
    mean: Float64Array.from(mean),
    covariance: Float64Array.from({ length: mean.length ** 2 }, (_, i) => (i % (mean.length + 1) === 0 ? variances[i % mean.length] : 0)),
    origin: ORIGIN,
  });
  const distance = frechetDistance(diagonal([1, 2, 3], [4, 9, 0]), diagonal([1, 0, 3], [1, 16, 25]));
  assertClose(distance, 4 + (2 - 1) ** 2 + (3 - 4) ** 2 + 25, 1e-12, "distance"); // |m1 - m2|^2 + sum (s1 - s2)^2
});

for (const shift of [0, 0.15, 0.7]) {
  test(`the kernel distance's standard error is the spread over draws, at a shift of ${shift}`, async () => {
    const stream = randomStream(4, "draws");
    const draw = (count: number, center: number): tf.Tensor2D => tf.tensor2d(stream.normal(count * 6).map((value) => value + center), [count, 6]);
    const estimates: { value: number; standardError: number }[] = [];
    for (let i = 0; i < 100; i++) {
      const [x, y] = [draw(50, 0), draw(70, shift)];
      estimates.push(await kernelDistance(x, y));
      tf.dispose([x, y]);
    }
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    const center = mean(estimates.map(({ value }) => value));
    const spread = Math.sqrt(mean(estimates.map(({ value }) => (value - center) ** 2)));
    const claimed = Math.sqrt(mean(estimates.map(({ standardError }) => standardError ** 2)));
    assert.ok(claimed / spread > 0.75 && claimed / spread < 1.3, `claimed ${claimed}, spread ${spread}`);
    if (shift === 0) assert.ok(Math.abs(center) < (3 * spread) / Math.sqrt(estimates.length), `not unbiased: mean ${center} at a spread of ${spread}`);
  });
}

test("distances by class tell which class is behind, where all together are alike", async () => {
  const stream = randomStream(6, "classes");
  // Three classes about 0, 3 and 6; the generated ones of the last two have changed places.
  const [labels, centers] = [[0, 1, 2, 0, 1, 2].flatMap((label) => Array<number>(40).fill(label)), [0, 3, 6]];
  const draw = (centerOf: (label: number) => number): tf.Tensor2D => tf.tensor2d(labels.flatMap((label) => Array.from(stream.normal(4), (value) => value + centerOf(label))), [labels.length, 4]);
  const [real, generated] = [draw((label) => centers[label]), draw((label) => centers[(3 - label) % 3])];
  const whole = await kernelDistance(generated, real);
  assert.ok(Math.abs(whole.value) < 4 * whole.standardError, `${whole.value} +- ${whole.standardError}`);
  const tensors = tf.memory().numTensors;
  const byClass = await classDistances({ features: real, labels }, { features: generated, labels }, ["alike", "second", "third", "without images"]);
  assert.equal(tf.memory().numTensors, tensors);
  assert.deepEqual(byClass.map(({ className, count }) => [className, count]), [["alike", 80], ["second", 80], ["third", 80]]);
  assert.deepEqual(byClass.map(({ kernelDistance: distance, kernelDistanceError: error }) => distance > 5 * error), [false, true, true]);
  tf.dispose([real, generated]);
});

test("precision falls when generated images leave the data, recall when they miss part of it", async () => {
  const stream = randomStream(5, "points");
  const points = (count: number, center: number): number[] => Array.from(stream.normal(count * 4), (value) => value + center);
  const real = tf.tensor2d([...points(100, 0), ...points(100, 30)], [200, 4]);
  const oneMode = tf.tensor2d(points(200, 0), [200, 4]);
  const halfAstray = tf.tensor2d([...points(50, 0), ...points(50, 30), ...points(100, 100)], [200, 4]);
  const missing = await precisionRecall(real, oneMode);
  const astray = await precisionRecall(real, halfAstray);
  assert.ok(missing.precision > 0.8 && missing.recall > 0.35 && missing.recall <= 0.5, JSON.stringify(missing));
  assert.ok(astray.precision > 0.35 && astray.precision <= 0.5 && astray.recall > 0.8, JSON.stringify(astray));
  tf.dispose([real, oneMode, halfAstray]);
});

test("statistics are the same after saving, and are not compared with others made differently", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "statistics-"));
  try {
    const features = featuresOf(golden.features[0].a);
    const statistics = await statisticsOf(features);
    features.dispose();
    const file = path.join(folder, "reference.safetensors");
    await saveStatistics(file, statistics, { dataset: "avatars" });
    const loaded = await loadStatistics(file);
    assert.deepEqual(loaded, { ...statistics, about: { dataset: "avatars" } });
    assert.throws(() => frechetDistance(statistics, { ...loaded, origin: { ...ORIGIN, network: "another" } }), /network "test network" against "another"/);
    assert.throws(() => frechetDistance(statistics, { ...loaded, origin: { ...ORIGIN, resize: "bilinear 64" } }), /resize "none" against "bilinear 64"/);
    assert.throws(() => frechetDistance(statistics, { ...loaded, mean: loaded.mean.map(() => NaN) }), /NaN or infinity/);
    await saveStatistics(file, { ...statistics, covariance: statistics.covariance.map(() => Infinity) });
    await assert.rejects(loadStatistics(file), /holds NaN or infinity/);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test("too few images and mismatched features are clear errors", async () => {
  const one = tf.zeros([1, 3]) as tf.Tensor2D;
  const three = tf.zeros([3, 3]) as tf.Tensor2D;
  const wide = tf.zeros([3, 4]) as tf.Tensor2D;
  await assert.rejects(statisticsOf(one), /at least 2 images, not 1/);
  await assert.rejects(kernelDistance(one, three), /at least 2 images on each side.* 1 and 3/);
  await assert.rejects(kernelDistance(wide, three), /features of 4 and 3 numbers/);
  await assert.rejects(precisionRecall(three, three), /3 images are too few for 3 neighbours/);
  tf.dispose([one, three, wide]);
});
