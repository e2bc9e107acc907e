import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compile } from "../../src/model/engine/compile";
import { nativeBackend } from "../../src/model/engine/compile/backend";
import { canFuse, FUSED_OPERATION } from "../../src/model/engine/compile/fuse";
import { jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";

const backend = nativeBackend();
const fuses = backend !== undefined && canFuse(backend);

type Tensors = Record<string, tf.Tensor>;
const normal = (name: string, shape: number[]): tf.Tensor => tf.tensor(randomStream(0, name).normal(shape.reduce((product, size) => product * size, 1)), shape);

/** Operations that a function takes fused and not, and the largest relative difference between the fused function's results and the plain one's. */
function fused(fn: (inputs: Tensors) => Tensors, shapes: Record<string, number[]>): { operations: number; before: number; difference: number } {
  const inputs = (call: number): Tensors => Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, normal(`${name} ${call}`, shape)]));
  const [after, before] = [true, false].map((fuse) => compile(fn, { fuse }));
  for (const compiled of [after, before]) for (const call of [0, 1]) tf.dispose(compiled(inputs(call)));
  const [results, plain] = [after(inputs(2)), tf.tidy(() => fn(inputs(2)))];
  const differences = Object.keys(plain).map((name) => {
    assert.deepEqual(results[name].shape, plain[name].shape, name);
    return tf.tidy(() => tf.max(tf.abs(tf.sub(results[name], plain[name]))).dataSync()[0] / Math.max(tf.max(tf.abs(plain[name])).dataSync()[0], 1e-12));
  });
  const outcome = { operations: after.programs()[0].operations, before: before.programs()[0].operations, difference: Math.max(...differences) };
  tf.dispose([results, plain]);
  after.dispose();
  before.dispose();
  return outcome;
}

const norm = (x: tf.Tensor, scale: tf.Tensor): tf.Tensor => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-6))), scale);
const silu = (x: tf.Tensor): tf.Tensor => tf.mul(x, tf.sigmoid(x));

describe("fused elementwise operations", { skip: !fuses }, () => {
  it("compute a norm, its sums and what repeats over it in one operation", () => {
    const { operations, difference } = fused(({ x, scale }) => ({ y: silu(norm(x, scale)), sums: tf.sum(x, -1) }), { x: [3, 5, 24], scale: [24] });
    assert.ok(difference < 1e-6, String(difference));
    assert.ok(operations <= 3, `${operations} operations are left`);
  });

  it("agree with single operations in values, gradients and forward mode, from a few numbers to several blocks and threads", () => {
    for (const [rows, length] of [[1, 2], [7, 3], [40, 33], [600, 128], [3, 4096], [300, 1000]]) {
      const { difference, operations, before } = fused(
        ({ x, scale, tangent }) => {
          const f = (value: tf.Tensor): tf.Tensor => silu(norm(tf.add(value, tf.square(scale)), scale));
          const { value, grad } = tf.valueAndGrad((from) => tf.sum(tf.square(f(from))))(x);
          return { value, grad, tangent: jvp(f, [x], [tangent]).tangent };
        },
        { x: [rows, length], scale: [length], tangent: [rows, length] },
      );
      assert.ok(difference < 2e-5, `${rows} x ${length}: ${difference}`);
      assert.ok(operations < before / 2, `${operations} of ${before} operations are left`);
    }
  });

  it("compute each operation as TensorFlow does", () => {
    const operations: Record<string, (x: tf.Tensor, y: tf.Tensor) => tf.Tensor> = {
      add: tf.add, sub: tf.sub, mul: tf.mul, div: tf.div, maximum: tf.maximum, minimum: tf.minimum, neg: tf.neg, square: tf.square, abs: tf.abs, exp: tf.exp, sigmoid: tf.sigmoid, reciprocal: tf.reciprocal,
      sqrt: (x) => tf.sqrt(tf.abs(x)), rsqrt: (x) => tf.rsqrt(tf.abs(x)), sum: (x) => tf.sum(x, -1, true), mean: (x) => tf.mean(x, 1, true), addN: (x, y) => tf.addN([x, y, x]), "number before a row": (x) => tf.div(tf.mean(x, -1, true), x), "row before numbers": (x) => tf.sub(tf.sum(x, -1, true), x),
    };
    for (const [name, operation] of Object.entries(operations)) {
      for (const yShape of [[37, 19], [19], [37, 1], [1, 1]]) {
        if (name === "addN" && yShape[1] !== 19) continue;
        const { difference } = fused(({ x, y }) => ({ z: tf.mul(operation(tf.add(x, 0.25), y), 3) }), { x: [37, 19], y: yShape });
        assert.ok(difference < 1e-6, `${name} with [${yShape}]: ${difference}`);
      }
    }
  });

  it("give what is no number, and what is too large, where TensorFlow does", () => {
    const special = [Number.NaN, Infinity, -Infinity, 0, -0, 100, -100, 89, -89, 1e-30, 3e38];
    const fn = ({ x }: { x: tf.Tensor }): Tensors => ({ sigmoid: tf.add(tf.sigmoid(x), 0), exp: tf.mul(tf.exp(x), 1), maximum: tf.mul(tf.maximum(x, 0), 1), minimum: tf.mul(tf.minimum(x, 0), 1) });
    const compiled = compile(fn);
    for (const shift of [1, 2]) tf.dispose(compiled({ x: tf.tensor1d(special.map((value) => value + shift)) }));
    const [results, plain] = [compiled({ x: tf.tensor1d(special) }), fn({ x: tf.tensor1d(special) })];
    for (const name of Object.keys(plain)) {
      const [actual, expected] = [results[name].dataSync(), plain[name].dataSync()];
      special.forEach((value, index) => assert.ok(Object.is(actual[index], expected[index]) || Math.abs(actual[index] - expected[index]) <= 1e-6 * Math.abs(expected[index]) + 1e-37, `${name} of ${value}: ${actual[index]}, not ${expected[index]}`));
    }
    compiled.dispose();
  });

  it("never wait for themselves where a product lies between them", () => {
    const { difference } = fused(
      ({ x, w }) => {
        const before = tf.mul(tf.add(x, 1), 0.5);
        const product = tf.matMul(before as tf.Tensor2D, w as tf.Tensor2D);
        const beside = tf.square(tf.sub(before, 1));
        const both = tf.mul(tf.add(product, beside), before);
        return { y: tf.add(tf.matMul(both as tf.Tensor2D, w as tf.Tensor2D), tf.mul(both, before)), beside };
      },
      { x: [8, 8], w: [8, 8] },
    );
    assert.ok(difference < 1e-6, String(difference));
  });

  it("refuse a program that points outside of itself", () => {
    const attributes = (program: number[]): { name: string; type: number; value: unknown }[] => [
      { name: "N", type: 1, value: 0 },
      { name: "M", type: 1, value: 1 },
      { name: "program", type: 1, value: program },
      { name: "constants", type: 2, value: [1] },
    ];
    // size, length, scratch blocks, inputs, outputs (one number a position, of one axis of length 4), instructions (a copy of operand 9 to operand 1)
    const program = [4, 1, 0, 0, 1, 0, 1, 4, 1, 14, 0, 1, 9, 0, 9, 0];
    for (const broken of [program, program.slice(0, 5), [...program, 0], [4, 3, ...program.slice(2)], [4, 1, 0, 0, 1, 0, 1, 5, ...program.slice(8)]]) {
      assert.throws(() => backend!.binding.executeOp(FUSED_OPERATION, attributes(broken), [], 1), /program.*broken/);
    }
  });
});
