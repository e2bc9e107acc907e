import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { describeEngine, startEngine, tf } from "../../src/model/engine";

/** Numbers that are the same on every engine. */
const values = (shape: number[], phase: number): tf.Tensor =>
  tf.tensor(Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(1.7 * i + phase + 0.01 * i * i)), shape);

/** Operations whose gradients need kernels that WebAssembly lacks or has wrong. */
const OPERATIONS: Record<string, { f: (...inputs: tf.Tensor[]) => tf.Tensor; shapes: number[][] }> = {
  "convolution, stride 2": { f: (x, w) => tf.conv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, "same"), shapes: [[2, 5, 6, 3], [3, 3, 3, 4]] },
  "depthwise convolution, stride 2": { f: (x, w) => tf.depthwiseConv2d(x as tf.Tensor4D, w as tf.Tensor4D, 2, "same"), shapes: [[2, 5, 6, 3], [3, 3, 3, 2]] },
  "maximum pooling": { f: (x) => tf.maxPool(x as tf.Tensor4D, [3, 2], 2, "same"), shapes: [[2, 5, 6, 3]] },
  "average pooling": { f: (x) => tf.avgPool(x as tf.Tensor4D, 3, 2, "same"), shapes: [[2, 5, 6, 3]] },
  gather: { f: (x) => tf.gather(x, tf.tensor1d([1, 0, 1], "int32")), shapes: [[3, 4]] },
  "transposed product": { f: (a, b) => tf.matMul(a, b, true, true), shapes: [[2, 4, 3], [2, 5, 4]] },
};

const gradients = (name: string): number[] =>
  tf.tidy(() => {
    const { f, shapes } = OPERATIONS[name];
    const weighted = (...inputs: tf.Tensor[]): tf.Tensor => {
      const output = f(...inputs);
      return tf.sum(tf.mul(output, values(output.shape, 9)));
    };
    return tf.grads(weighted)(shapes.map(values)).flatMap((gradient) => Array.from(gradient.dataSync()));
  });

describe("engine", () => {
  let native: Record<string, number[]> = {};
  before(async () => {
    await startEngine();
    native = Object.fromEntries(Object.keys(OPERATIONS).map((name) => [name, gradients(name)]));
  });
  after(() => startEngine());

  it("describes TensorFlow and rounds integers to themselves", async () => {
    const { name, version, device } = await startEngine();
    assert.equal(name, "tensorflow");
    assert.match(version, /^\d+\.\d+/);
    assert.ok(device.length > 0);
    assert.deepEqual(Array.from(tf.round(tf.tensor1d([1, 2, 7], "int32")).dataSync()), [1, 2, 7]);
  });

  for (const name of Object.keys(OPERATIONS)) {
    it(`WebAssembly has TensorFlow's gradients: ${name}`, async () => {
      await startEngine({ prefer: "wasm" });
      assert.equal(describeEngine().name, "wasm");
      gradients(name).forEach((value, index) => assert.ok(Math.abs(value - native[name][index]) < 1e-4));
    });
  }

  it("WebAssembly names a kernel that it cannot run", async () => {
    await startEngine({ prefer: "wasm" });
    assert.throws(() => tf.einsum("ij->ji", tf.ones([2, 2])), /The WebAssembly engine cannot run "Einsum"/);
  });
});
