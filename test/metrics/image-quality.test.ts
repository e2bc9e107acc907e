import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";
import { bootstrapMean } from "../../src/model/metrics/bootstrap";
import { classAccuracy } from "../../src/model/metrics/class-accuracy";
import { psnr } from "../../src/model/metrics/psnr";
import { ssim } from "../../src/model/metrics/ssim";
import { randomStream } from "../../src/model/random";

interface ImageCase {
  image: { shape: number[]; data: number[] };
  reference: { data: number[] };
  psnr: number;
  ssim: number;
}

test("PSNR and SSIM equal NumPy's and SciPy's, image by image", () => {
  const { images: expected } = JSON.parse(fs.readFileSync(path.join(projectRoot(), "test/golden/metrics.json"), "utf8")) as { images: ImageCase };
  const shape: [number, number, number, number] = [2, expected.image.shape[0], expected.image.shape[1], expected.image.shape[2]];
  const { data } = expected.image;
  const images = tf.tensor4d([...data, ...data], shape);
  const references = tf.tensor4d([...expected.reference.data, ...data], shape); // the second pair is equal
  const tensors = tf.memory().numTensors;
  const [noise, similarity] = [psnr(images, references), ssim(images, references)];
  const [noisy, equal] = noise.dataSync();
  assert.ok(Math.abs(noisy - expected.psnr) < 1e-4, `${noisy} dB, expected ${expected.psnr}`);
  assert.equal(equal, Infinity);
  const [similar, same] = similarity.dataSync();
  assert.ok(Math.abs(similar - expected.ssim) < 1e-5, `${similar}, expected ${expected.ssim}`);
  assert.ok(Math.abs(same - 1) < 1e-5, `${same}`);
  assert.equal(tf.memory().numTensors, tensors + 2);
  tf.dispose([images, references, noise, similarity]);
});

test("images smaller than SSIM's window, or of another shape, are clear errors", () => {
  const small = tf.zeros([1, 8, 32, 3]) as tf.Tensor4D;
  const large = tf.zeros([1, 32, 32, 3]) as tf.Tensor4D;
  assert.throws(() => ssim(small, small), /8 x 32 pixels are smaller than its window of 11 x 11/);
  assert.throws(() => psnr(small, large), /psnr: /);
  tf.dispose([small, large]);
});

test("a bootstrap interval has the width that theory gives for a mean, and covers it as often as it says", () => {
  const stream = randomStream(1, "values");
  let covered = 0;
  let width = 0;
  for (let trial = 0; trial < 100; trial++) {
    const { low, high } = bootstrapMean(stream.normal(100), { resamples: 200, seed: trial });
    covered += Number(low <= 0 && 0 <= high);
    width += (high - low) / 100;
  }
  assert.ok(Math.abs(width - 2 * 1.96 * 0.1) < 0.03, `width ${width}`);
  assert.ok(covered >= 88 && covered <= 99, `covered ${covered} of 100`);
  assert.deepEqual(bootstrapMean([3, 3, 3]), { value: 3, low: 3, high: 3 });
  assert.deepEqual(bootstrapMean([1, 2, 5], { seed: 2 }), bootstrapMean([1, 2, 5], { seed: 2 }));
  assert.throws(() => bootstrapMean([]), /no values/);
});

test("class accuracy counts hits, by class and in all", () => {
  const accuracy = classAccuracy([0, 0, 1, 1, 1, 3], [0, 1, 1, 1, 2, 3], 4);
  assert.equal(accuracy.value, 4 / 6);
  assert.ok(accuracy.low < accuracy.value && accuracy.value < accuracy.high);
  assert.deepEqual(accuracy.perClass, [1 / 2, 2 / 3, NaN, 1]);
  assert.deepEqual(accuracy.confusion, [[1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]);
  assert.throws(() => classAccuracy([0, 9], [0, 0], 4), /image 1 has labels 9 and 0, expected 0 to 3/);
  assert.throws(() => classAccuracy([0], [0, 0], 4), /1 labels asked for, 2 seen/);
});
