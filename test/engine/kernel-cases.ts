import { readFileSync } from "node:fs";
import path from "node:path";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";

/** A tensor as JSON holds it; complex numbers as real and imaginary part in turn. */
export interface Encoded {
  dtype: "float32" | "int32" | "bool" | "complex64";
  shape: number[];
  data: number[];
}

/** What a kernel is run with. */
export interface KernelCase {
  kernel: string;
  label: string;
  attributes: tf.NamedAttrMap;
  inputs: Record<string, Encoded | Encoded[]>;
}

/** A case with what another tool gave for it. */
export interface GoldenCase extends KernelCase {
  tangents: Record<string, Encoded>;
  outputs: ({ value: Encoded; tangent: Encoded } | null)[];
}

/** The cases of test/golden/jvp.json. */
export function goldenCases(): GoldenCase[] {
  return (JSON.parse(readFileSync(path.join(projectRoot(), "test/golden/jvp.json"), "utf8")) as { cases: GoldenCase[] }).cases;
}

/** The tensor of an encoded one. */
export function decode({ dtype, shape, data }: Encoded): tf.Tensor {
  if (dtype !== "complex64") return tf.tensor(data, shape, dtype);
  const part = (offset: number): tf.Tensor => tf.tensor(data.filter((_, index) => index % 2 === offset), shape);
  return tf.complex(part(0), part(1));
}

/** Runs a kernel on inputs by name, or by place where their names are numbers. */
export function runKernel({ kernel, attributes }: KernelCase, inputs: Record<string, tf.Tensor | tf.Tensor[]>): tf.Tensor[] {
  const given = ("0" in inputs ? Object.values(inputs) : inputs) as unknown as tf.NamedTensorMap;
  const result = tf.engine().runKernel<tf.Tensor | tf.Tensor[]>(kernel, given, attributes);
  return Array.isArray(result) ? result : [result];
}
