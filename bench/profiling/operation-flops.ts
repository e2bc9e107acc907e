import type { OperationAttribute } from "../../src/model/engine/compile/backend";

const product = (shape: readonly number[]): number => shape.reduce((size, length) => size * length, 1);

/**
 * Floating-point operations of one TensorFlow operation, where they are matrix products or convolutions (a multiplication and an addition count two); 0 for all others.
 * @param inputs shapes of the inputs
 * @param outputs shapes of the outputs
 * @param attributes by name: transpositions, equations
 */
export function operationFlops(operation: string, inputs: readonly (readonly number[])[], outputs: readonly (readonly number[])[], attributes: Record<string, unknown>): number {
  const output = outputs[0] ?? [];
  const [first = [], second = []] = inputs;
  if (/BatchMatMul/.test(operation)) return 2 * product(output) * first[first.length - (attributes.adj_x ? 2 : 1)];
  if (/MatMul/.test(operation)) return 2 * product(output) * first[attributes.transpose_a ? 0 : 1];
  if (/DepthwiseConv2dNativeBackprop(Filter|Input)/.test(operation)) return 2 * product(inputs[2] ?? []) * product((/Filter/.test(operation) ? output : second).slice(0, 2));
  if (/DepthwiseConv2dNative/.test(operation)) return 2 * product(output) * product(second.slice(0, 2));
  if (/Conv2DBackpropFilter/.test(operation)) return 2 * product((inputs[2] ?? []).slice(0, 3)) * product(output);
  if (/Conv2DBackpropInput/.test(operation)) return 2 * product((inputs[2] ?? []).slice(0, 3)) * product(second);
  if (/Conv2D/.test(operation)) return 2 * product(output.slice(0, 3)) * product(second);
  return 0;
}

/** Attributes as the binding takes them, by name. */
export function attributesByName(attributes: readonly OperationAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ name, value }) => [name, value]));
}
