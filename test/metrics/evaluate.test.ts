import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { createDataset, type Dataset } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import { trainClassifier } from "../../src/model/features/classifier";
import type { FeatureNetwork } from "../../src/model/features/feature-network";
import { formatEvaluation } from "../../src/cli/evaluate";
import { classAccuracy } from "../../src/model/metrics/class-accuracy";
import { evaluateImages } from "../../src/model/metrics/evaluate";
import { asSaved, datasetBatches, datasetFeatures, generatedBatches } from "../../src/model/metrics/feature-set";
import { networksOfLosses } from "../../src/model/metrics/independence";
import { randomStream } from "../../src/model/random";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "evaluate-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** Flat images in three colours, one a class, of varying strength. */
function colours(split: "train" | "test", size: number): Dataset {
  const imageSize = 8;
  const strengths = randomStream(split === "train" ? 1 : 2, "strengths").integers(size, 150);
  const labels = Int32Array.from({ length: size }, (_, i) => i % 3);
  const pixelsPerImage = imageSize * imageSize * 3;
  const pixels = Uint8Array.from({ length: size * pixelsPerImage }, (_, i) => (i % 3 === labels[Math.floor(i / pixelsPerImage)] ? 100 + strengths[Math.floor(i / pixelsPerImage)] : 20));
  return createDataset({ name: "colours", split, classes: ["red", "green", "blue"], imageSize, pixels, labels });
}

/** Mean and mean square of each channel; counts how often it is called. */
function colourNetwork(): FeatureNetwork & { calls: number } {
  const network = {
    name: "colour",
    fingerprint: "colour 1",
    resize: "none",
    embeddingSize: 6,
    calls: 0,
    features: (images: tf.Tensor4D) => [images],
    embedding: (images: tf.Tensor4D) => {
      network.calls++;
      return tf.tidy(() => tf.concat([images.mean([1, 2]), images.square().mean([1, 2])], 1) as tf.Tensor2D);
    },
    dispose: () => undefined,
  };
  return network;
}

const train = colours("train", 150);
const held = colours("test", 90);

test("images of the data's own distribution score well, and the record says what it depends on", async () => {
  const features = colourNetwork();
  const judge = await trainClassifier(train, { steps: 20, batchSize: 30 });
  const tensors = tf.memory().numTensors;
  const labels: string[] = [];
  const record = await evaluateImages(datasetBatches(train, { batchSize: 40 }), held, { features, judge }, { count: 100, folder, onProgress: ({ label }) => labels.push(label) });
  assert.equal(tf.memory().numTensors, tensors);
  const { frechetDistance, frechetDistanceError, kernelDistance, kernelDistanceError, precision, recall, density, coverage, intervals, classAccuracy, classDistances, surface, ...about } = record;
  assert.ok(frechetDistanceError !== undefined && frechetDistanceError > 0 && frechetDistanceError < 0.05, `${frechetDistanceError}`);
  assert.ok(density > 0.6 && density < 1.4 && coverage > 0.8, `${density} ${coverage}`);
  for (const [name, [low, high]] of Object.entries(intervals)) {
    const value = record[name as keyof typeof intervals] as number;
    assert.ok(low <= value && value <= high, `${name} ${low} ${value} ${high}`);
  }
  assert.ok(frechetDistance >= 0 && frechetDistance < 0.02, `${frechetDistance}`);
  assert.ok(Math.abs(kernelDistance) < 4 * kernelDistanceError, `${kernelDistance} +- ${kernelDistanceError}`);
  assert.ok(precision > 0.8 && recall > 0.8);
  assert.deepEqual(classDistances?.map(({ className }) => className), held.classes);
  assert.equal(classDistances.reduce((sum, { count }) => sum + count, 0), 100);
  for (const each of classDistances) assert.ok(Math.abs(each.kernelDistance) < 4 * each.kernelDistanceError, JSON.stringify(each));
  assert.ok(classAccuracy && classAccuracy.value > 0.95 && classAccuracy.confusion.flat().reduce((sum, count) => sum + count) === 100);
  for (const { seams, flat, softEdges } of [surface.generated, surface.reference]) assert.deepEqual([seams, flat, softEdges], [undefined, 1, undefined], "images of one colour");
  assert.deepEqual(about, {
    dataset: "colours",
    split: "test",
    datasetFingerprint: held.fingerprint,
    count: 100,
    referenceCount: 90,
    features: "colour",
    featuresFingerprint: "colour 1",
    resize: "none",
    neighbours: 3,
    densityNeighbours: 5,
    seed: 0,
    judgeFingerprint: judge.fingerprint,
    reference: undefined,
    lossNetworks: [],
    independent: true,
    notIndependent: [],
    inceptionScore: undefined,
    lpipsDiversity: undefined,
  });
  assert.deepEqual([...new Set(labels)], ["features of colours (test)", "measuring images"]);

  // A generator that ignores its label and repeats one colour: every measure falls.
  const collapsed = generatedBatches((asked) => tf.tidy(() => tf.tile(tf.tensor4d([0.6, -0.8, -0.8], [1, 1, 1, 3]), [asked.length, 8, 8, 1])), held, { count: 60, batchSize: 25 });
  const bad = await evaluateImages(collapsed, held, { features, judge }, { count: 60, folder });
  assert.ok(bad.frechetDistance > 20 * frechetDistance && bad.kernelDistance > 5 * bad.kernelDistanceError && bad.recall < 0.1, JSON.stringify(bad));
  assert.ok(Math.abs((bad.classAccuracy?.value ?? 0) - 1 / 3) < 0.01);
  assert.equal(tf.memory().numTensors, tensors);
  judge.dispose();
});

test("features of a data set are computed once; a damaged file says so", async () => {
  const features = colourNetwork();
  const own = path.join(folder, "own");
  const first = await datasetFeatures(held, features, { folder: own, count: 50 });
  const { calls } = features;
  assert.deepEqual(await datasetFeatures(held, features, { folder: own, count: 50 }), first);
  assert.equal(features.calls, calls);
  await datasetFeatures(train, features, { folder: own, count: 50 });
  assert.ok(features.calls > calls);
  assert.equal(fs.readdirSync(own).length, 2);
  await assert.rejects(datasetFeatures(held, { ...features, embeddingSize: 7 }, { folder: own, count: 50 }), /does not hold 50 features of 7 numbers and their statistics. Delete it/);
  await assert.rejects(datasetFeatures(held, features, { folder: own, count: 91 }), /has 90 images, 91 were asked for/);
});

test("generated batches carry the data's labels and a seed each", () => {
  const seeds: number[] = [];
  const generate = (labels: Int32Array, seed: number): tf.Tensor4D => {
    seeds.push(seed);
    return tf.zeros([labels.length, 8, 8, 3]);
  };
  const batches = [...generatedBatches(generate, held, { count: 100, batchSize: 40, seed: 7 })];
  assert.deepEqual(seeds, [7, 8, 9]);
  assert.deepEqual(batches.flatMap(({ labels }) => [...labels.dataSync()]), Array.from({ length: 100 }, (_, i) => held.labels[i % 90]));
  tf.dispose(batches.map(({ images, labels }) => [images, labels]));
});

test("images are seen as 8 bits would hold them", () => {
  const values = [-3, -1, -0.999, -0.9961, 0, 0.5, 1, 1.7];
  const saved = asSaved(tf.tensor4d(values, [1, 1, 8, 1]));
  const expected = values.map((value) => Math.round((Math.min(1, Math.max(-1, value)) + 1) * 127.5));
  // 127.5 lies between two levels: either is right.
  assert.deepEqual([...saved.dataSync()].map((value) => Math.round((value + 1) * 127.5)).filter((_, i) => values[i] !== 0), expected.filter((_, i) => values[i] !== 0));
  saved.dispose();
});

test("too few images, and an abort, end with one error and no tensor left", async () => {
  const features = colourNetwork();
  await datasetFeatures(held, features, { folder });
  const tensors = tf.memory().numTensors;
  await assert.rejects(evaluateImages(datasetBatches(train, { count: 30 }), held, { features }, { count: 100, folder }), /100 images were asked for, but only 30 came/);
  await assert.rejects(evaluateImages(datasetBatches(train, { count: 3 }), held, { features }, { count: 3, folder }), /at least 4 samples, one more than the 3 neighbours of precision and recall, not 3/);
  const controller = new AbortController();
  const onProgress = ({ label, done }: { label: string; done: number }): void => {
    if (label === "measuring images" && done === 20) controller.abort(new Error("stopped"));
  };
  await assert.rejects(evaluateImages(datasetBatches(train, { batchSize: 10 }), held, { features }, { count: 100, folder, onProgress, signal: controller.signal }), /stopped/);
  assert.equal(tf.memory().numTensors, tensors);
});

test("a network that a loss used is marked, whatever the loss is called, and saved statistics of another making are refused", async () => {
  const features = colourNetwork();
  assert.deepEqual(networksOfLosses({ losses: { pixel: 1, perceptual: 0.5, adversarial: 0 }, perceptualNetwork: "colour", criticNetwork: "other" }), ["colour"]);
  assert.deepEqual(networksOfLosses({ losses: { "adversarial-hinge": 0.1 }, perceptualNetwork: "colour", criticNetwork: "other" }), ["other"]);
  assert.deepEqual(networksOfLosses({ losses: { adversarial: 0.1 }, perceptualNetwork: "colour" }), []);
  const { statistics } = await datasetFeatures(train, features, { folder });
  const about = { dataset: "colours", split: "train" };
  const record = await evaluateImages(datasetBatches(train), held, { features }, { count: 150, folder, lossNetworks: ["colour"], referenceStatistics: { ...statistics, about } });
  assert.deepEqual([record.independent, record.lossNetworks], [false, ["colour"]]);
  assert.deepEqual(record.notIndependent, ["frechetDistance", "kernelDistance", "precision", "recall", "density", "coverage"]);
  // The table marks each of them, and class accuracy not, which another network tells.
  const lines = formatEvaluation("model.safetensors", { ...record, classAccuracy: classAccuracy([0, 1], [0, 1], 3) }).split("\n");
  const marked = lines.filter((line) => line.includes("(not independent)")).map((line) => line.split(/ {2,}/)[0]);
  assert.deepEqual(marked, ["Frechet distance", "kernel distance", "kernel distance by class", "precision", "recall", "density", "coverage"]);
  assert.match(lines.join("\n"), /150 samples, seed 0, against 90 images of \w+ \(test\), the Frechet distance to saved statistics of 150 images of colours \(train\); features: colour, none/);
  const surface = { generated: { seams: 1.234, flat: 0.5, softEdges: undefined }, reference: { seams: 1.1, flat: 0.25, softEdges: 0.4 } };
  assert.match(formatEvaluation("model", { ...record, surface }), /seams between patches of 8 +1\.23; 1\.10, the data's\n.*flat areas, share +0\.50; 0\.25, the data's\n.*soft edges, share +-; 0\.40, the data's/);
  const classDistances = Array.from({ length: 9 }, (_, index) => ({ className: `c${index}`, count: 2, kernelDistance: index === 8 ? 123.45 : index / 1000, kernelDistanceError: 0 }));
  assert.match(formatEvaluation("model", { ...record, notIndependent: [], classDistances }), /kernel distance by class +c8 123, c7 0\.007, .*c1 0\.001, \.\.\. \(9 classes\)/);
  assert.doesNotMatch(formatEvaluation("model", { ...record, classDistances: undefined }), /by class/);
  assert.match(formatEvaluation("model.safetensors", record, 0.8), /one step a sample at temperature 0\.8; 150 samples/);
  assert.match(lines.at(-1)!, /A loss learned from colour: what is measured there is not independent, and does not judge this training\.$/);
  assert.deepEqual([record.reference, record.referenceCount], [{ count: 150, about }, 90]);
  assert.ok(record.frechetDistance < 1e-9, `${record.frechetDistance}`);
  // Pairs of one class: flat colours that differ in their own channel alone.
  const lpips = { name: "lpips-vgg16", distance: (a: tf.Tensor4D, b: tf.Tensor4D) => tf.tidy(() => a.sub(b).abs().mean<tf.Tensor1D>([1, 2, 3])) };
  const diverse = await evaluateImages(datasetBatches(train, { batchSize: 75 }), held, { features, lpips }, { count: 150, folder, lossNetworks: ["lpips-vgg16"] });
  assert.equal(diverse.lpipsDiversity?.pairs, 72, "twice 75 images, an odd one left in each class");
  assert.ok(diverse.lpipsDiversity.low < diverse.lpipsDiversity.value && diverse.lpipsDiversity.value < diverse.lpipsDiversity.high);
  assert.deepEqual([diverse.independent, diverse.notIndependent], [true, ["lpipsDiversity"]]);
  assert.match(formatEvaluation("model", diverse), /LPIPS diversity +0\.\d+ \(not independent\), 95 % interval/);
  const other = { ...statistics, origin: { ...statistics.origin, resize: "bicubic 96" }, about };
  await assert.rejects(evaluateImages(datasetBatches(train), held, { features }, { count: 150, folder, referenceStatistics: other }), /resize "none" against "bicubic 96"/);
  const larger = { ...statistics, about: { ...about, imageSize: "64" } };
  await assert.rejects(evaluateImages(datasetBatches(train), held, { features }, { count: 150, folder, referenceStatistics: larger }), /have \d+ pixels a side, those of the saved statistics \(colours\) had 64/);
  const fewer = { ...statistics, dimension: 5, about };
  await assert.rejects(evaluateImages(datasetBatches(train), held, { features }, { count: 150, folder, referenceStatistics: fewer }), /colour gives 6 numbers an image, the saved statistics are of 5/);
});

test("of a large set only a sample of the features is kept, and the statistics of all", async () => {
  const features = colourNetwork();
  const all = await datasetFeatures(train, features, { folder });
  const few = await datasetFeatures(train, features, { folder, kept: 20 });
  assert.deepEqual([few.count, few.kept, few.values.length], [150, 20, 20 * 6]);
  assert.deepEqual(few.statistics, all.statistics);
  assert.deepEqual(await datasetFeatures(train, features, { folder, kept: 20 }), few);
});
