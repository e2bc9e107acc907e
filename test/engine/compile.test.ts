import assert from "node:assert/strict";
import { test } from "node:test";
import { compile, CompileError } from "../../src/model/engine/compile";
import { tf } from "../../src/model/engine/tf";

const inputs = (x: number[]): { x: tf.Tensor } => ({ x: tf.tensor1d(x) });
const read = (outputs: Record<string, tf.Tensor>, name: string): number[] => {
  const values = Array.from(outputs[name].dataSync());
  tf.dispose(outputs);
  return values;
};

test("a compiled function gives what the eager one gives, for new inputs and new shapes", () => {
  const f = ({ x }: { x: tf.Tensor }) => ({ y: tf.softmax(tf.mul(x, tf.sigmoid(x))) });
  const compiled = compile(f);
  for (const x of [[1, 2, 3], [0, 1, 0], [-1, 5, 2], [4, 4], [1, 0], [2, 7]]) {
    const given = inputs(x);
    const expected = read(tf.tidy(() => f(given)), "y");
    read(compiled(given), "y").forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-6));
    tf.dispose(given);
  }
  assert.equal(compiled.programs().length, 2);
  compiled.dispose();
});

test("variables live in the session: readable, writable, shared, and clones keep their value", () => {
  const total = tf.variable(tf.tensor1d([0]), false);
  const add = compile(({ x }) => { total.assign(tf.add(total, x)); return { total: tf.add(total, 0) }; });
  const double = compile(({ x }) => { total.assign(tf.mul(total, tf.add(x, 1))); return { total: tf.add(total, 0) }; });
  const one = inputs([1]);
  for (let call = 1; call <= 4; call++) assert.deepEqual(read(add(one), "total"), [call]);
  const clone = tf.clone(total);
  assert.deepEqual(read(add(one), "total"), [5]);
  assert.equal(clone.dataSync()[0], 4);
  assert.equal(total.dataSync()[0], 5);
  for (const expected of [10, 20, 40]) assert.deepEqual(read(double(one), "total"), [expected]);
  assert.deepEqual(read(add(one), "total"), [41]);
  total.assign(tf.tensor1d([100]));
  assert.deepEqual(read(add(one), "total"), [101]);
  add.dispose();
  double.dispose();
  assert.equal(total.dataSync()[0], 101);
});

test("what would be frozen by mistake is an error that names the operation and the cure", () => {
  const given = inputs([1, 2]);
  let calls = 0;
  const others = [tf.tensor1d([1, 1]), tf.tensor1d([2, 2])];
  const faults: [(x: tf.Tensor) => tf.Tensor, RegExp][] = [
    [(x) => tf.mul(x, ++calls), /Mul.*constant that changed.*pass it as an input/s],
    [(x) => tf.mul(x, others[calls++ % 2]), /Mul.*another one in the next call.*pass it as an input/s],
    [(x) => tf.mul(x, x.dataSync()[0]), /can not read a tensor's values/],
    [(x) => (calls++ % 2 ? tf.exp(x) : tf.sin(x)), /same work in every call/],
  ];
  for (const [fault, message] of faults) {
    const compiled = compile(({ x }) => ({ y: fault(x) }));
    assert.throws(() => { tf.dispose(compiled(given)); tf.dispose(compiled(given)); }, (error: Error) => error instanceof CompileError && message.test(error.message));
  }
  assert.deepEqual(Array.from(tf.add(given.x, 1).dataSync()), [2, 3], "the engine goes on working");
});

test("prepare compiles without changing a variable, and nothing leaks", () => {
  const count = tf.variable(tf.scalar(3), false);
  const step = compile(({ x }) => { count.assign(tf.add(count, tf.sum(x)) as tf.Scalar); return { count: tf.add(count, 0) }; });
  const [a, b] = [inputs([1, 1]), inputs([2, 5])];
  step.prepare(a, b);
  assert.equal(count.dataSync()[0], 3);
  assert.equal(step.programs().length, 1);
  const before = tf.memory().numTensors;
  for (let call = 0; call < 20; call++) read(step(a), "count");
  assert.equal(tf.memory().numTensors, before);
  assert.equal(count.dataSync()[0], 43);
  step.dispose();
});
