import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { createDataset, imageBatch, loadAvatars, subset, type Dataset, type DatasetSplits } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import { classifyDataset, loadClassifier, saveClassifier, trainClassifier } from "../../src/model/features/classifier";
import { heldOutAccuracy, loadJudge } from "../../src/model/features/judge";
import { randomStream } from "../../src/model/random";
import { writeSafetensors } from "../../src/model/safetensors";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "classifier-"));
after(() => fs.rmSync(folder, { recursive: true }));

/** Images of noise in which the class is the bright half: left, right or top. */
function halves(split: "train" | "test", size: number): Dataset {
  const imageSize = 8;
  const noise = randomStream(split === "train" ? 1 : 2, "pixels").integers(size * imageSize * imageSize * 3, 120);
  const labels = Int32Array.from({ length: size }, (_, i) => i % 3);
  const pixels = Uint8Array.from(noise, (value, i) => {
    const column = Math.floor(i / 3) % imageSize;
    const row = Math.floor(i / (3 * imageSize)) % imageSize;
    const label = labels[Math.floor(i / (3 * imageSize * imageSize))];
    const bright = [column < 4, column >= 4, row < 4][label];
    return bright ? value + 100 : value;
  });
  return createDataset({ name: "halves", split, classes: ["left", "right", "top"], imageSize, pixels, labels });
}

const splits: DatasetSplits = { train: halves("train", 240), test: halves("test", 90) };
const OPTIONS = { steps: 25, batchSize: 32 };

test("training reaches every held-out label, repeats bit for bit from its seed, and leaks nothing", async () => {
  const tensors = tf.memory().numTensors;
  const events: number[] = [];
  const classifier = await trainClassifier(splits.train, { ...OPTIONS, onProgress: ({ done }) => events.push(done) });
  assert.ok((await heldOutAccuracy(classifier, splits.test)) > 0.95);
  assert.deepEqual(events, Array.from({ length: OPTIONS.steps }, (_, i) => i + 1));
  const again = await trainClassifier(splits.train, OPTIONS);
  assert.equal(again.fingerprint, classifier.fingerprint);
  const other = await trainClassifier(splits.train, { ...OPTIONS, steps: 1, seed: 5 });
  assert.notEqual(other.fingerprint, classifier.fingerprint);
  for (const trained of [classifier, again, other]) trained.dispose();
  assert.equal(tf.memory().numTensors, tensors);
});

test("a saved classifier is the same after loading", async () => {
  const classifier = await trainClassifier(splits.train, { steps: 2, batchSize: 8 });
  const file = path.join(folder, "classifier.safetensors");
  await saveClassifier(classifier, file);
  const loaded = await loadClassifier(file);
  assert.equal(loaded.fingerprint, classifier.fingerprint);
  assert.deepEqual(loaded.classes, ["left", "right", "top"]);
  assert.equal(loaded.madeBy.datasetFingerprint, splits.train.fingerprint);
  const { images, labels } = imageBatch(splits.test, [0, 1]);
  const [a, b] = [classifier.logits(images), loaded.logits(images)];
  assert.deepEqual(b.dataSync(), a.dataSync());
  assert.deepEqual(classifier.features(images).map(({ shape }) => shape), [[2, 8, 8, 16], [2, 4, 4, 32], [2, 2, 2, 64], [2, 1, 1, 96]]);
  assert.deepEqual(await classifyDataset(loaded, subset(splits.test, [0, 1])), a.argMax(1).dataSync());
  tf.dispose([images, labels, a, b]);
  classifier.dispose();
  loaded.dispose();
});

test("a judge is trained once, kept, and found again", async () => {
  const judges = path.join(folder, "judges");
  const first = await loadJudge(splits, { ...OPTIONS, folder: judges });
  const second = await loadJudge(splits, { folder: judges, signal: AbortSignal.abort() }); // training would throw
  assert.equal(second.fingerprint, first.fingerprint);
  assert.ok(Number(second.madeBy.heldOutAccuracy) > 0.95);
  first.dispose();
  second.dispose();
});

test("the judge that comes with the project knows avatars rendered on this machine", async () => {
  const avatars = await loadAvatars({ trainCount: 8, testCount: 120, dataFolder: path.join(folder, "data") });
  const judge = await loadJudge(avatars, { signal: AbortSignal.abort() });
  assert.ok((await heldOutAccuracy(judge, avatars.test)) >= 0.97);
  assert.ok(Number(judge.madeBy.heldOutAccuracy) > 0.99);
  judge.dispose();
});

test("aborting stops training with the signal's reason and frees its tensors", async () => {
  const tensors = tf.memory().numTensors;
  const controller = new AbortController();
  const onProgress = ({ done }: { done: number }): void => {
    if (done === 3) controller.abort(new Error("enough"));
  };
  await assert.rejects(trainClassifier(splits.train, { ...OPTIONS, onProgress, signal: controller.signal }), /enough/);
  assert.equal(tf.memory().numTensors, tensors);
});

test("an empty data set and a file that is no classifier are clear errors", async () => {
  await assert.rejects(trainClassifier(subset(splits.train, [])), /"halves" has no images/);
  const file = path.join(folder, "other.safetensors");
  await writeSafetensors(file, { w: { dtype: "F32", shape: [1], data: Float32Array.of(1) } });
  await assert.rejects(loadClassifier(file), /other\.safetensors is not a classifier: expected "classes"/);
  await writeSafetensors(file, { w: { dtype: "F32", shape: [1], data: Float32Array.of(1) } }, { classes: '["a"]', imageSize: "8" });
  await assert.rejects(loadClassifier(file), /expected convolutions\.0\.weight of shape \[3,3,3,16\], found nothing/);
});
