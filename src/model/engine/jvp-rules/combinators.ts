import { jvp } from "../forward-mode";
import { tf } from "../tf";
import type { JvpRule, KernelCall } from "./registry";

interface LinearOptions {
  /** Attributes that make the affine part vanish, such as a padding value of 0. */
  attributes?: tf.NamedAttrMap;
  /** Inputs that the output does not depend on, or only in steps: their tangents do not count. */
  ignored?: readonly string[];
}

type Inputs = Record<string, tf.Tensor>;

/** Runs the call's own kernel again with some inputs (and attributes) replaced. All of its outputs are returned. */
export function runAgain(call: KernelCall, inputs: Inputs, attributes: tf.NamedAttrMap = {}): tf.Tensor[] {
  const merged = { ...call.inputs, ...inputs };
  // Kernels of a list of tensors read it as an array, although the engine's type says otherwise.
  const container = "0" in merged ? (Object.values(merged) as unknown as tf.NamedTensorMap) : merged;
  const result = tf.engine().runKernel<tf.Tensor | tf.Tensor[]>(call.kernelName, container, { ...call.attributes, ...attributes });
  return Array.isArray(result) ? result : [result];
}

/** The named input's tangent, as a tensor of zeros where it has none. */
export function tangentOrZeros(call: KernelCall, name: string): tf.Tensor {
  return call.tangents[name] ?? tf.zerosLike(call.inputs[name]);
}

/** Adds terms of one shape; undefined where there are none. */
export function sumOfTerms(terms: readonly tf.Tensor[]): tf.Tensor | undefined {
  return terms.length === 0 ? undefined : terms.reduce((total, term) => tf.add(total, term));
}

/** The tangent of a floating-point output; none for an output of integers, booleans or strings. */
const tangentsOf = (call: KernelCall, tangents: tf.Tensor[]): (tf.Tensor | undefined)[] =>
  tangents.map((tangent, index) => (isDifferentiable(call.outputs[index]) ? tangent : undefined));

const isDifferentiable = (tensor: tf.Tensor): boolean => tensor.dtype === "float32" || tensor.dtype === "complex64";

/**
 * The rule of a kernel that is linear in the named inputs taken together: `K(x + dx) = K(x) + K(dx)`, so the tangent is the kernel itself at the tangents. Without names,
 * all inputs are meant.
 */
export function linear(names: readonly string[] = [], { attributes, ignored = [] }: LinearOptions = {}): JvpRule {
  return (call) => {
    const linearInputs = names.length > 0 ? names : Object.keys(call.inputs);
    requireConstant(call, [...linearInputs, ...ignored]);
    if (!linearInputs.some((name) => call.tangents[name])) return undefined;
    const inputs = Object.fromEntries(linearInputs.map((name) => [name, tangentOrZeros(call, name)]));
    return tangentsOf(call, runAgain(call, inputs, attributes));
  };
}

/**
 * The rule of a kernel that is linear in each named input alone (a product): `dK = K(da, b) + K(a, db)`. Without names, all inputs are meant.
 */
export function multilinear(names: readonly string[] = []): JvpRule {
  return (call) => {
    const linearInputs = names.length > 0 ? names : Object.keys(call.inputs);
    requireConstant(call, linearInputs);
    const terms: tf.Tensor[] = [];
    for (const name of linearInputs) {
      const tangent = call.tangents[name];
      if (tangent) terms.push(runAgain(call, { [name]: tangent })[0]);
    }
    return sumOfTerms(terms);
  };
}

/**
 * The rule of a kernel that equals a composition of others: the composition's own Jacobian-vector product. It computes the value a second time, so it is for kernels that
 * are rare in a network.
 */
export function composed<Attributes = tf.NamedAttrMap>(composition: (inputs: Inputs, attributes: Attributes, call: KernelCall) => tf.Tensor): JvpRule {
  return (call) => {
    const names = Object.keys(call.inputs).filter((name) => call.inputs[name] !== undefined);
    const f = (...tensors: tf.Tensor[]): tf.Tensor =>
      composition(Object.fromEntries(names.map((name, index) => [name, tensors[index]])), call.attributes as Attributes, call);
    return jvp(f, names.map((name) => call.inputs[name]), names.map((name) => call.tangents[name]), { differentiable: true }).tangent;
  };
}

/** The rule of a kernel whose output is piecewise constant in its inputs. */
export const piecewiseConstant: JvpRule = () => undefined;

/** Refuses a tangent on any input but the named ones, since the rule does not know its derivative. */
export function requireConstant(call: KernelCall, differentiable: readonly string[]): void {
  const refused = Object.keys(call.tangents).find((name) => call.tangents[name] !== undefined && !differentiable.includes(name));
  if (refused !== undefined)
    throw new Error(
      `jvp: the rule of kernel "${call.kernelName}" knows no derivative with respect to its input "${refused}" (only to ${differentiable.map((name) => `"${name}"`).join(", ")}). ` +
        `Keep "${refused}" independent of the primals, or replace the rule with defineJvpRule("${call.kernelName}", rule).`,
    );
}
