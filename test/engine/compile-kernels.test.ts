import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { compile } from "../../src/model/engine/compile";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";
import { decode, goldenCases, runKernel, type Encoded, type KernelCase } from "./kernel-cases";

type Tensors = Record<string, tf.Tensor>;

const native = tf.getBackend() === "tensorflow";
const numbers = (shape: number[], data: number[], dtype: Encoded["dtype"] = "float32"): Encoded => ({ dtype, shape, data });
const [row, other, flags] = [numbers([2, 3], [0.5, -1, 2, 3, 0, -0.5]), numbers([2, 3], [0.5, 1, -2, 3, 1, -0.5]), numbers([2, 3], [1, 0, 1, 1, 1, 0], "bool")];
const compared = ["Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"].map((kernel): KernelCase => ({ kernel, label: "", attributes: {}, inputs: { a: row, b: other } }));
const tested = ["IsFinite", "IsInf", "IsNan"].map((kernel): KernelCase => ({ kernel, label: "", attributes: {}, inputs: { x: row } }));
/** Kernels without a derivative, which the golden file leaves out. */
const WITHOUT_DERIVATIVE: KernelCase[] = [
  ...compared,
  ...tested,
  ...["LogicalAnd", "LogicalOr"].map((kernel): KernelCase => ({ kernel, label: "", attributes: {}, inputs: { a: flags, b: numbers([2, 3], [0, 0, 1, 1, 0, 0], "bool") } })),
  { kernel: "LogicalNot", label: "", attributes: {}, inputs: { x: flags } },
  ...["All", "Any"].map((kernel): KernelCase => ({ kernel, label: "", attributes: { axis: [1], keepDims: false }, inputs: { x: flags } })),
  ...["ArgMax", "ArgMin"].map((kernel): KernelCase => ({ kernel, label: "", attributes: { axis: 1 }, inputs: { x: row } })),
  { kernel: "BroadcastArgs", label: "", attributes: {}, inputs: { s0: numbers([2], [1, 3], "int32"), s1: numbers([2], [2, 1], "int32") } },
  { kernel: "OneHot", label: "", attributes: { depth: 4, onValue: 1, offValue: 0, dtype: "float32" }, inputs: { indices: numbers([3], [0, 3, 1], "int32") } },
];
/** Kernels that a graph of fixed shapes can not hold, or that are given no tensor. */
const NOT_COMPILED: Record<string, string[]> = {
  "shapes depend on values": ["Bincount", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NonMaxSuppressionV5", "SparseToDense", "Unique"],
  "texts are refused": ["StaticRegexReplace"],
  "randomness comes in as an input": ["Multinomial"],
  "given no tensor: part of every graph that makes a constant": ["Fill", "LinSpace", "Range"],
};

const isCompiled = ({ kernel }: KernelCase): boolean => tf.getKernel(kernel, tf.getBackend()) !== undefined && !Object.values(NOT_COMPILED).flat().includes(kernel);
const cases = [...goldenCases(), ...WITHOUT_DERIVATIVE].filter(isCompiled);

/** @param reversed floating-point numbers in reverse order: other values of the same domain */
const given = (encoded: Encoded, reversed: boolean): tf.Tensor => decode(reversed && ["float32", "complex64"].includes(encoded.dtype) ? { ...encoded, data: [...encoded.data].reverse() } : encoded);

/** All tensors of a case in one record: those of a list as name:index. */
const tensorsOf = ({ inputs }: KernelCase, reversed: boolean): Tensors =>
  Object.fromEntries(Object.entries(inputs).flatMap(([name, input]) => (Array.isArray(input) ? input.map((each, index): [string, tf.Tensor] => [`${name}:${index}`, given(each, reversed)]) : [[name, given(input, reversed)] as [string, tf.Tensor]])));

function run(each: KernelCase, tensors: Tensors): Tensors {
  const named = Object.fromEntries(Object.entries(each.inputs).map(([name, input]) => [name, Array.isArray(input) ? input.map((_, index) => tensors[`${name}:${index}`]) : tensors[name]]));
  return Object.fromEntries(runKernel(each, named).map((tensor, index) => [String(index), tensor]));
}

function assertSame(actual: Tensors, expected: Tensors, what: string): void {
  for (const [name, tensor] of Object.entries(expected)) {
    assert.deepEqual([actual[name].shape, actual[name].dtype], [tensor.shape, tensor.dtype], what);
    const values = actual[name].dataSync();
    tensor.dataSync().forEach((value, index) => assert.ok(Object.is(values[index], value) || Math.abs(values[index] - value) <= 1e-5 * (1 + Math.abs(value)), `${what}, output ${name}: ${values[index]} is not ${value}`));
  }
}

describe("every kernel of the engine, compiled", { skip: !native }, () => {
  for (const each of cases)
    it(`${each.kernel}${each.label && ` (${each.label})`} gives what it gives eagerly, after recorded calls and after preparing`, () => {
      const [first, second] = [tensorsOf(each, false), tensorsOf(each, true)];
      const [called, prepared] = [compile((tensors: Tensors) => run(each, tensors)), compile((tensors: Tensors) => run(each, tensors))];
      called(first);
      called(second);
      prepared.prepare(first, second);
      assert.deepEqual([called.programs().length, prepared.programs().length], [1, 1]);
      for (const tensors of [first, second]) {
        const expected = run(each, tensors);
        assertSame(called(tensors), expected, "after calls");
        assertSame(prepared(tensors), expected, "prepared");
      }
      called.dispose();
      prepared.dispose();
    });

  it("leaves out no kernel without a reason", () => {
    const covered = new Set(cases.map(({ kernel }) => kernel));
    const exempt = Object.values(NOT_COMPILED).flat();
    const registered = tf.getKernelsForBackend("tensorflow").map(({ kernelName }) => kernelName);
    assert.deepEqual(registered.filter((kernel) => !covered.has(kernel) && !exempt.includes(kernel)), []);
    assert.deepEqual(exempt.filter((kernel) => !registered.includes(kernel)), []);
  });

  it("takes a loss of the user's with expandDims, and rows picked by an input, with their gradients", () => {
    const weight = tf.variable(tf.tensor2d(randomStream(0, "weight").normal(12), [4, 3]));
    const step = ({ x, index }: Tensors): Tensors => {
      const { value, grads } = tf.variableGrads(() => tf.sum(tf.square(tf.sub(tf.expandDims(tf.gather(weight, index.toInt()), 1), tf.expandDims(x, 0)))) as tf.Scalar, [weight]);
      return { value, gradient: grads[weight.name] };
    };
    const compiled = compile(step);
    for (let call = 0; call < 4; call++) {
      const inputs = { x: tf.tensor2d(randomStream(call, "x").normal(6), [2, 3]), index: tf.tensor1d([call, 3 - call], "int32") };
      assertSame(compiled(inputs), step(inputs), `call ${call}`);
    }
    assert.throws(() => compiled({ x: tf.zeros([2, 3]), index: tf.tensor1d([0, 9], "int32") }), /indices\[1\] = 9 is not in \[0, 4\)/);
    compiled.dispose();
    weight.dispose();
  });
});
