import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compile, CompileError } from "../../src/model/engine/compile";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";

const values = (tensor: tf.Tensor): number[] => Array.from(tensor.dataSync());
const native = tf.getBackend() === "tensorflow";

/** A function that adds its input to a variable, and returns the sum. */
function counter(): { total: tf.Variable; add: ReturnType<typeof compile<{ x: tf.Tensor }, { sum: tf.Tensor }>> } {
  const total = tf.variable(tf.tensor1d([0, 0]));
  const add = compile(({ x }: { x: tf.Tensor }) => {
    total.assign(tf.add(total, x) as tf.Tensor1D);
    return { sum: tf.sum(total) };
  });
  return { total, add };
}

describe("compile", () => {
  it("keeps variables readable, writable and clonable between calls", () => {
    const { total, add } = counter();
    const x = tf.tensor1d([1, 2]);
    for (let call = 1; call <= 4; call++) assert.deepEqual(values(add({ x }).sum), [3 * call]);
    const clone = tf.clone(total);
    assert.deepEqual(values(total), [4, 8]);
    add({ x });
    assert.deepEqual(values(clone), [4, 8], "a clone keeps its value");
    assert.deepEqual(values(tf.mul(total, 1)), [5, 10], "an eager operation sees the newest value");
    total.assign(tf.tensor1d([100, 0]));
    assert.deepEqual(values(add({ x }).sum), [103]);
    add.dispose();
    assert.deepEqual(values(total), [101, 2], "disposing keeps the newest value");
  });

  it("keeps functions that share a variable coherent", () => {
    const { total, add } = counter();
    const double = compile(() => {
      total.assign(tf.mul(total, 2) as tf.Tensor1D);
      return { sum: tf.sum(total) };
    });
    const x = tf.tensor1d([1, 0]);
    let expected = 0;
    for (let round = 0; round < 5; round++) {
      expected = (expected + 1) * 2;
      add({ x });
      assert.deepEqual(values(double({}).sum), [expected]);
    }
    add.dispose();
    double.dispose();
  });

  it("makes a program for each shape and static argument, and keeps the last ones used", { skip: !native }, () => {
    const scale = compile(({ x }: { x: tf.Tensor }, { factor }) => ({ y: tf.mul(x, Number(factor)) }), { maximumPrograms: 2 });
    for (const factor of [2, 3, 4]) for (const length of [1, 2]) for (let call = 0; call < 3; call++) assert.deepEqual(values(scale({ x: tf.ones([length]) }, { factor }).y), new Array(length).fill(factor));
    assert.equal(scale.programs().length, 2);
    assert.ok(scale.programs().every(({ key }) => key.includes("factor=4")));
    scale.dispose();
  });

  it("names what can not be compiled, and leaves the engine usable", { skip: !native }, () => {
    let draw = 0;
    // These values still wait in JavaScript when they are read.
    const [fresh, table] = [tf.variable(tf.scalar(2)), tf.scalar(3)];
    const faults: [string, (x: tf.Tensor) => tf.Tensor, RegExp][] = [
      ["constant", (x) => tf.add(x, draw++), /constant that changed.*pass it as an input/],
      ["reading", (x) => tf.mul(x, tf.square(x).dataSync()[0]), /can not read a tensor's values/],
      ["reading an input", (x) => tf.mul(x, x.dataSync()[0]), /can not read a tensor's values/],
      ["reading a variable", (x) => tf.mul(x, fresh.dataSync()[0]), /can not read a tensor's values/],
      ["reading a table", (x) => tf.mul(x, table.arraySync()), /can not read a tensor's values/],
      ["shape", (x) => tf.unique(x).values, /shape of its result depends on values|can not read/],
      ["branch", (x) => (draw++ % 2 ? tf.exp(x) : tf.sin(x)), /same work in every call/],
      ["exception", () => assert.fail("mine"), /mine/],
    ];
    for (const [name, fn, message] of faults) {
      const faulty = compile(({ x }: { x: tf.Tensor }) => ({ y: fn(x) }), { name });
      assert.throws(() => [1, 2].forEach((value) => faulty({ x: tf.tensor1d([value]) })), message, name);
      assert.deepEqual(values(tf.add(tf.scalar(1), 2)), [3], `the engine works after: ${name}`);
    }
    assert.deepEqual([values(fresh), values(table)], [[2], [3]], "reading works again outside");
    let captured = tf.scalar(1);
    const capturing = compile(({ x }: { x: tf.Tensor }) => ({ y: tf.mul(x, captured) }));
    capturing({ x: tf.scalar(1) });
    captured = tf.scalar(2);
    assert.throws(() => capturing({ x: tf.scalar(1) }), (error: Error) => error instanceof CompileError && /tensor from outside/.test(error.message));
  });

  it("prepares ahead without changing a variable", { skip: !native }, () => {
    const { total, add } = counter();
    total.assign(tf.tensor1d([7, 7]));
    add.prepare({ x: tf.tensor1d([1, 2]) }, { x: tf.tensor1d([3, 4]) });
    assert.deepEqual(values(total), [7, 7]);
    assert.equal(add.programs().length, 1);
    assert.deepEqual(values(add({ x: tf.tensor1d([1, 1]) }).sum), [16]);
    add.dispose();
  });

  it("prepares without computing: what it prepares is what calls record", { skip: !native }, () => {
    const table = tf.tensor1d([0.5, -1, 2]);
    const state = tf.variable(tf.zeros([3]));
    const work = ({ x, index }: { x: tf.Tensor; index: tf.Tensor }): Record<string, tf.Tensor> => {
      const whole = tf.floorDiv(x.toInt(), tf.scalar(2, "int32")); // a division of whole numbers, which zeros would make fail
      const divided = tf.floorDiv(tf.scalar(12, "int32"), tf.add(index, 1));
      const rows = tf.matMul(tf.oneHot(index as tf.Tensor1D, 3).toFloat() as tf.Tensor2D, x as tf.Tensor2D);
      const sum = tf.sum(tf.mul(tf.sigmoid(tf.matMul(rows as tf.Tensor2D, x as tf.Tensor2D, false, true)), tf.tile(table.reshape([1, 3]), [2, 1])), 1);
      state.assign(tf.add(state, tf.mean(x, 1)) as tf.Tensor1D);
      return { whole: whole.toFloat(), divided: divided.toFloat(), sum, order: tf.topk(sum, 2).indices, complex: tf.real(tf.spectral.fft(tf.complex(rows, rows))) };
    };
    const inputs = (seed: number): { x: tf.Tensor; index: tf.Tensor } => ({ x: tf.tensor2d(randomStream(seed, "x").normal(12), [3, 4]), index: tf.tensor1d([seed % 3, 1], "int32") });
    const ahead = compile(work);
    ahead.prepare(inputs(1), inputs(2));
    assert.equal(ahead.programs().length, 1);
    assert.deepEqual(values(state), [0, 0, 0]);
    const byCalls = compile(work);
    for (const seed of [1, 2]) tf.dispose(byCalls(inputs(seed)));
    state.assign(tf.zeros([3]));
    assert.equal(ahead.programs()[0].operations, byCalls.programs()[0].operations);
    for (let seed = 3; seed < 6; seed++) {
      const [actual, expected] = [ahead(inputs(seed)), byCalls(inputs(seed))];
      for (const name of Object.keys(expected)) assert.deepEqual(values(actual[name]), values(expected[name]), name);
    }
    ahead.dispose();
    byCalls.dispose();
    state.dispose();
  });

  it("leaves no tensor behind", () => {
    const { total, add } = counter();
    const x = tf.tensor1d([1, 2]);
    const call = (): void => add({ x }).sum.dispose();
    call();
    const before = tf.memory().numTensors;
    for (let round = 0; round < 4; round++) call();
    assert.equal(tf.memory().numTensors, before);
    add.dispose();
    assert.equal(tf.memory().numTensors, before);
    total.dispose();
  });

  it("stays usable, with its variables, after a call that failed while it ran", { skip: !native }, () => {
    const total = tf.variable(tf.tensor1d([0, 0]));
    const divide = compile(({ divisor }: { divisor: tf.Tensor }) => {
      const quotient = tf.floorDiv(tf.scalar(12, "int32"), divisor); // whole numbers: TensorFlow refuses to divide by 0
      total.assign(tf.add(total, quotient.toFloat()) as tf.Tensor1D);
      return { quotient };
    });
    const call = (divisor: number): number[] => values(divide({ divisor: tf.scalar(divisor, "int32") }).quotient);
    for (const divisor of [1, 2, 3]) assert.deepEqual(call(divisor), [12 / divisor]);
    assert.throws(() => call(0), /[Dd]ivi/);
    assert.deepEqual(call(4), [3]);
    assert.deepEqual(values(total), [25, 25], "the failed call added nothing");
    divide.dispose();
    assert.deepEqual(values(tf.add(total, 1)), [26, 26]);
  });

  it("leaves resident memory flat over 5,000 training steps", { skip: !native }, () => {
    const stream = randomStream(1, "memory");
    const weights = [tf.variable(tf.tensor2d(stream.normal(64 * 64), [64, 64])), tf.variable(tf.tensor2d(stream.normal(64 * 64), [64, 64]))];
    const step = compile(({ x, rate }: { x: tf.Tensor; rate: tf.Tensor }) => {
      const { value, grads } = tf.variableGrads(() => tf.mean(tf.square(tf.matMul(tf.tanh(tf.matMul(x as tf.Tensor2D, weights[0] as tf.Tensor2D)), weights[1] as tf.Tensor2D))) as tf.Scalar, weights);
      for (const weight of weights) weight.assign(tf.sub(weight, tf.mul(rate, grads[weight.name])));
      return { loss: value };
    });
    const x = tf.tensor2d(stream.normal(256 * 64), [256, 64]); // 64 kB of activations a layer: a leak of one a step would be 320 MB
    const run = (steps: number): number => {
      let last = 0;
      for (let index = 0; index < steps; index++) {
        const rate = tf.scalar(0.01);
        const { loss } = step({ x, rate });
        if (index === steps - 1) last = values(loss)[0];
        tf.dispose([loss, rate]);
      }
      return last;
    };
    const early = run(500);
    const before = process.memoryUsage.rss();
    const late = run(5000);
    const grown = (process.memoryUsage.rss() - before) / 2 ** 20;
    assert.ok(late < early, `the loss fell from ${early} to ${late}`);
    assert.ok(grown < 64, `grown by ${grown.toFixed(0)} MiB`);
    step.dispose();
  });

  it("computes what the plain function computes, over random graphs", () => {
    const unary: ((x: tf.Tensor2D) => tf.Tensor)[] = [tf.sigmoid, tf.tanh, tf.relu, tf.square, (x) => tf.softmax(x), (x) => tf.transpose(x), (x) => tf.sub(x, tf.mean(x, 1, true)), (x) => tf.cumsum(x, 1), (x) => tf.reverse(x, 0), (x) => tf.concat([x.slice([1, 0], [2, 3]), x.slice([0, 0], [1, 3])]), (x) => tf.pad(tf.max(x, 0, true), [[1, 1], [0, 0]]), (x) => tf.tile(tf.expandDims(tf.argMax(x, 1).toFloat(), 1), [1, 3]), (x) => tf.gather(x, tf.tensor1d([2, 0, 0], "int32")), (x) => tf.squeeze(tf.avgPool(x.reshape([1, 3, 3, 1]) as tf.Tensor4D, 2, 1, "same"), [0, 3]), (x) => tf.stack(tf.unstack(x, 1)), (x) => tf.matMul(tf.oneHot(tf.tensor1d([0, 2, 1], "int32"), 3).toFloat() as tf.Tensor2D, x), tf.elu, tf.softplus, tf.sign, tf.erf];
    const binary: ((x: tf.Tensor2D, y: tf.Tensor2D) => tf.Tensor)[] = [tf.add, tf.sub, tf.mul, tf.maximum, (x, y) => tf.matMul(x, y), (x, y) => tf.where(tf.greater(x, y), x, y), tf.squaredDifference, tf.atan2, (x, y) => tf.div(x, tf.add(1, tf.square(y))), (x, y) => tf.einsum("ij,kj->ik", x, y), (x, y) => tf.where(tf.logicalOr(tf.less(x, 0), tf.lessEqual(y, 0.5)), tf.minimum(x, y), tf.floor(x))];
    for (let seed = 0; seed < 24; seed++) {
      const plan = Array.from({ length: 10 }, (_, index) => Array.from(randomStream(seed, `node ${index}`).integers(3, 1000)));
      const graph = ({ x }: { x: tf.Tensor }): { y: tf.Tensor } => {
        const nodes = [x as tf.Tensor2D];
        for (const [kind, first, second] of plan) {
          const [left, right] = [nodes[first % nodes.length], nodes[second % nodes.length]];
          const made = kind % 2 === 0 ? unary[kind % unary.length](left) : binary[kind % binary.length](left, right);
          nodes.push(tf.tanh(made) as tf.Tensor2D);
        }
        return { y: nodes[nodes.length - 1] };
      };
      const compiled = compile(graph);
      const stream = randomStream(seed, "values");
      for (let call = 0; call < 4; call++) {
        const x = tf.tensor2d(stream.normal(9), [3, 3]);
        const [actual, expected] = [values(compiled({ x }).y), values(graph({ x }).y)];
        actual.forEach((value, index) => assert.ok(Math.abs(value - expected[index]) < 1e-5, `seed ${seed}, call ${call}: ${value} is not ${expected[index]}`));
      }
      compiled.dispose();
    }
  });
});
