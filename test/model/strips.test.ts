import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../../src/model/engine/compile";
import { tf } from "../../src/model/engine/tf";
import { convolution } from "../../src/model/layers";
import { randomStream } from "../../src/model/random";
import { convolutionInStrips, stripRows } from "../../src/model/strips";

const draw = (name: string, shape: [number, number, number, number]): tf.Tensor4D => tf.tensor4d(randomStream(0, name).normal(shape.reduce((product, size) => product * size)), shape);
const off = (a: tf.Tensor, b: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]);

test("strips of any height give the convolution, for every kernel, stride and side", () => {
  const before = tf.memory().numTensors;
  for (const [height, width] of [[12, 10], [11, 7]]) {
    for (const [size, stride] of [[3, 1], [3, 2], [4, 2], [5, 1], [2, 1]]) {
      tf.tidy(() => {
        const [x, weight] = [draw("images", [2, height, width, 5]), draw("kernel", [size, size, 5, 4])];
        const whole = tf.conv2d(x, weight, stride, "same");
        for (const rows of [1, 3, 4, 50]) {
          const strips = convolutionInStrips(x, weight, stride, rows);
          assert.deepEqual(strips.shape, whole.shape);
          assert.ok(off(strips, whole) < 1e-4, `${height} x ${width}, kernel ${size}, stride ${stride}, strips of ${rows}: off by ${off(strips, whole)}`);
        }
      });
    }
  }
  assert.equal(tf.memory().numTensors, before);
});

test("a large convolution runs in strips, with the same images and gradients, compiled too; a small one whole", () => {
  assert.equal(stripRows([1, 32, 32, 64], [3, 3, 64, 64], 1), undefined);
  assert.equal(stripRows([1, 256, 256, 128], [1, 1, 128, 128], 1), undefined, "a kernel of one pixel copies nothing");
  assert.equal(stripRows([1, 256, 256, 128], [3, 3, 128, 128], 1), 3);
  const before = tf.memory().numTensors;
  tf.tidy(() => {
    const parameters = { "layer.weight": draw("kernel", [3, 3, 40, 4]), "layer.bias": tf.tensor1d([1, 2, 3, 4]) };
    const x = draw("images", [1, 112, 110, 40]);
    assert.ok(stripRows(x.shape, parameters["layer.weight"].shape, 1)! < 112);
    const whole = tf.add(tf.conv2d(x, parameters["layer.weight"], 1, "same"), parameters["layer.bias"]);
    assert.ok(off(convolution(parameters, "layer", x), whole) < 1e-3);
    const expected = tf.grad((input) => tf.conv2d(input as tf.Tensor4D, parameters["layer.weight"], 1, "same").square().sum())(x);
    const gradient = tf.grad((input) => convolution({ "layer.weight": parameters["layer.weight"] }, "layer", input as tf.Tensor4D).square().sum())(x);
    assert.ok(off(gradient, expected) < 1e-2);
    const compiled = compile(({ images }: { images: tf.Tensor4D }) => ({ images: convolution(parameters, "layer", images) }));
    for (let call = 0; call < 3; call++) assert.ok(off(compiled({ images: x }).images, whole) < 1e-3, `call ${call}`);
    compiled.dispose();
  });
  assert.equal(tf.memory().numTensors, before);
});
