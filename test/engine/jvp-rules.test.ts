import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { jvp, kernelsWithJvpRule } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { decode, goldenCases, runKernel, type Encoded, type GoldenCase } from "./kernel-cases";

/** Kernels that need no rule, since no output depends on an input continuously. */
const WITHOUT_TANGENT: Record<string, string[]> = {
  "the output holds integers, booleans or strings": [
    "All", "Any", "ArgMax", "ArgMin", "BitwiseAnd", "BroadcastArgs", "Equal", "Greater", "GreaterEqual", "IsFinite", "IsInf", "IsNan", "Less", "LessEqual", "LogicalAnd",
    "LogicalNot", "LogicalOr", "LogicalXor", "LowerBound", "Multinomial", "NonMaxSuppressionV3", "NonMaxSuppressionV4", "NotEqual", "SearchSorted", "SparseReshape",
    "StaticRegexReplace", "StringNGrams", "StringSplit", "StringToHashBucketFast", "UpperBound",
  ],
  "there is no floating-point tensor to depend on": ["Draw", "Fill", "FromPixels", "LinSpace", "OneHot", "Range"],
  "how many values there are depends on the inputs": ["NonMaxSuppressionV5", "RaggedRange", "Unique"],
  "no engine implements it": ["BroadcastTo", "LogSoftmax", "MatrixBandPart", "Pool"],
};

const cases = goldenCases();

/** All numbers of a tensor, real and imaginary parts alternating where it is complex. */
const numbers = (tensor: tf.Tensor): number[] => Array.from(tensor.dataSync());

function assertClose(actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: number of elements`);
  const scale = Math.max(1, ...expected.map(Math.abs));
  const worst = Math.max(0, ...actual.map((value, index) => Math.abs(value - expected[index])));
  assert.ok(worst <= tolerance * scale, `${what}: off by ${worst}, allowed ${tolerance * scale}`);
}

/** The case's kernel as a function of the inputs that have tangents, with the outputs that have tangents. */
function kernelFunction(each: GoldenCase): { f: (...tensors: tf.Tensor[]) => tf.Tensor[]; primals: tf.Tensor[]; directions: tf.Tensor[] } {
  const { inputs, tangents, outputs } = each;
  const names = Object.keys(tangents);
  const constants = Object.entries(inputs).map(([name, encoded]) => [name, Array.isArray(encoded) ? encoded.map(decode) : decode(encoded)] as const);
  const primals = names.map((name) => decode(inputs[name] as Encoded));
  const f = (...tensors: tf.Tensor[]): tf.Tensor[] => {
    const named = { ...Object.fromEntries(constants), ...Object.fromEntries(names.map((name, index) => [name, tensors[index]])) };
    return runKernel(each, named).filter((_, index) => outputs[index]);
  };
  return { f, primals, directions: names.map((name) => decode(tangents[name])) };
}

/** The derivative of f along the directions, by central differences extrapolated to step 0 (Richardson: the error is of fourth order in the step). */
function finiteDifference(f: (...tensors: tf.Tensor[]) => tf.Tensor[], primals: tf.Tensor[], directions: tf.Tensor[], output: number): number[] {
  const step = 0.04;
  const at = (size: number): number[] => numbers(f(...primals.map((primal, index) => tf.add(primal, tf.mul(directions[index], size))))[output]);
  const central = (size: number): number[] => {
    const [above, below] = [at(size), at(-size)];
    return above.map((value, index) => (value - below[index]) / (2 * size));
  };
  const [coarse, fine] = [central(step), central(step / 2)];
  return fine.map((value, index) => (4 * value - coarse[index]) / 3);
}

describe("forward-mode rules", () => {
  before(async () => {
    await tf.ready();
  });

  for (const golden of cases) {
    const title = golden.label ? `${golden.kernel} (${golden.label})` : golden.kernel;
    it(`${title} agrees with JAX and with a finite difference`, async () => {
      const engineName = tf.getBackend();
      if (!tf.getKernel(golden.kernel, engineName)) await tf.setBackend("cpu");
      try {
        tf.tidy(() => {
          const { f, primals, directions } = kernelFunction(golden);
          const { value, tangent } = jvp(f, primals, directions);
          const expected = golden.outputs.filter((output) => output !== null);
          expected.forEach((output, index) => {
            assert.deepEqual(tangent[index].shape, output.tangent.shape);
            assertClose(numbers(value[index]), output.value.data, 2e-5, `value ${index}`);
            assertClose(numbers(tangent[index]), output.tangent.data, 2e-5, `tangent ${index}`);
            assertClose(numbers(tangent[index]), finiteDifference(f, primals, directions, index), 1e-3, `tangent ${index} against a finite difference`);
          });
          // A Jacobian-vector product is linear, so the tangents' parts must add up; a missing tangent is a zero.
          if (directions.length > 1) {
            const parts = directions.map((_, only) => jvp(f, primals, directions.map((direction, index) => (index === only ? direction : null))).tangent);
            tangent.forEach((whole, index) => {
              const sum = parts.map((part) => part[index]).reduce((total, part) => tf.add(total, part));
              assertClose(numbers(sum), numbers(whole), 2e-5, `sum of the partial tangents of output ${index}`);
            });
          }
        });
      } finally {
        await tf.setBackend(engineName);
      }
    });
  }

  it("covers every kernel of tfjs", () => {
    // Kernel names are exported as constants; a few are named otherwise than their value.
    const exported = Object.entries(tf).flatMap(([name, value]) => (typeof value === "string" && (name === value || name === "RealDiv") ? [value] : []));
    assert.ok(exported.length > 170, "the list of kernels was found");
    const exempt = Object.values(WITHOUT_TANGENT).flat();
    const ruled = kernelsWithJvpRule();
    assert.deepEqual(exported.filter((kernel) => !ruled.includes(kernel) && !exempt.includes(kernel)), [], "kernels with neither a rule nor a reason to need none");
    assert.deepEqual(exempt.filter((kernel) => ruled.includes(kernel) || !exported.includes(kernel)), [], "exempt kernels that have a rule or do not exist");
    const tested = new Set(cases.map(({ kernel }) => kernel));
    assert.deepEqual(ruled.filter((kernel) => !tested.has(kernel)), [], "rules without a golden case");
  });
});
