import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { resizeImages, resizeMatrix, type ResizeMethod } from "../../src/model/features/resize";
import { projectRoot } from "../../src/model/files";

interface ResizeCase {
  /** PyTorch's antialiased resize where it isn't given. */
  by?: string;
  method: ResizeMethod;
  size: [number, number];
  target: [number, number];
  images: number[];
  resized: number[];
}

const { cases } = JSON.parse(fs.readFileSync(path.join(projectRoot(), "test/golden/resize.json"), "utf8")) as { cases: ResizeCase[] };

for (const { by = "PyTorch, antialiased", method, size, target, images, resized } of cases) {
  test(`${method} from ${size.join(" x ")} to ${target.join(" x ")} equals ${by}`, () => {
    const x = tf.tensor4d(images, [2, ...size, 3]);
    const tensors = tf.memory().numTensors;
    const result = resizeImages(x, target, method);
    assert.equal(tf.memory().numTensors, tensors + 1);
    assert.deepEqual(result.shape, [2, ...target, 3]);
    const largest = Math.max(...result.dataSync().map((value, i) => Math.abs(value - resized[i])));
    // Pillow's cases are pixels up to 255, the others in [-1, 1]; Pillow and TensorFlow 1 work in float32 themselves.
    assert.ok(largest < (by === "Pillow" ? 1.5e-4 : 2e-6), `largest difference ${largest}`);
    tf.dispose([x, result]);
  });
}

test("rows of the matrix sum to one, so a flat image stays flat", () => {
  for (const method of ["bilinear", "bicubic", "bilinear-tensorflow1", "bicubic-sampled"] as const) {
    for (const [from, to] of [[3, 10], [10, 3], [32, 96], [5, 5]]) {
      const matrix = resizeMatrix(from, to, method);
      for (let row = 0; row < to; row++) {
        const sum = matrix.subarray(row * from, (row + 1) * from).reduce((total, value) => total + value, 0);
        assert.ok(Math.abs(sum - 1) < 1e-12);
      }
    }
  }
});

test("resizing is linear: forward mode gives the resized tangent, reverse mode its transpose", async () => {
  const x = tf.randomNormal<tf.Rank.R4>([1, 5, 6, 3], 0, 1, "float32", 1);
  const tangent = tf.randomNormal<tf.Rank.R4>([1, 5, 6, 3], 0, 1, "float32", 2);
  const cotangent = tf.randomNormal<tf.Rank.R4>([1, 8, 4, 3], 0, 1, "float32", 3);
  const resize = (images: tf.Tensor): tf.Tensor4D => resizeImages(images as tf.Tensor4D, [8, 4], "bicubic");
  const forward = jvp(resize, [x], [tangent]);
  const expected = resize(tangent);
  const backward = tf.grad((images) => resize(images))(x, cotangent);
  const largest = forward.tangent.sub(expected).abs().max().dataSync()[0];
  assert.ok(largest < 1e-6, `${largest}`);
  const [left, right] = [cotangent.mul(expected).sum().dataSync()[0], backward.mul(tangent).sum().dataSync()[0]]; // <c, A t> = <A^T c, t>
  assert.ok(Math.abs(left - right) < 1e-4, `${left} and ${right}`);
});

test("a size that is no size is a clear error, and the same size gives the images themselves", () => {
  const x = tf.zeros([1, 4, 4, 3]) as tf.Tensor4D;
  assert.equal(resizeImages(x, [4, 4], "bicubic"), x);
  assert.throws(() => resizeImages(x, [0, 4], "bicubic"), /two whole numbers above 0/);
  assert.throws(() => resizeImages(x, [2.5, 4], "bicubic"), /two whole numbers above 0/);
  x.dispose();
});
