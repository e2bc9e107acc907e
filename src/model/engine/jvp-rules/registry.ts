import { tf } from "../tf";

/** One call of a kernel, as a forward-mode rule sees it. */
export interface KernelCall<Attributes = tf.NamedAttrMap> {
  /** The kernel's name in tfjs, for instance `"BatchMatMul"`. */
  readonly kernelName: string;
  /** The inputs by the kernel's own names (`a`, `b`, `x`, `filter`); kernels of a list of tensors name them `0`, `1`, ... */
  readonly inputs: Readonly<Record<string, tf.Tensor>>;
  /** The tangents by the same names, each of its input's shape; an absent entry is a zero tangent. At least one is present. */
  readonly tangents: Readonly<Record<string, tf.Tensor | undefined>>;
  readonly attributes: Attributes;
  /** The kernel's outputs at the primal inputs. */
  readonly outputs: readonly tf.Tensor[];
}

/**
 * Maps one kernel call to the tangent of its output, `sum over inputs k of (d output / d input k) . tangent k`, or, for a kernel with several outputs, to an array with one
 * tangent an output. `undefined` stands for a zero tangent.
 */
export type JvpRule<Attributes = tf.NamedAttrMap> = (call: KernelCall<Attributes>) => tf.Tensor | undefined | (tf.Tensor | undefined)[];

/** Forward-mode rules by kernel name. */
export type JvpRules = Readonly<Record<string, JvpRule>>;

const rules = new Map<string, JvpRule>();

/**
 * Adds the forward-mode rule of a kernel, or replaces it.
 *
 * @param kernelName the kernel's name in tfjs, for instance `"Cumsum"`
 * @param rule computes the tangent with tfjs operations; the tensors it makes on the way are disposed of for it
 */
export function defineJvpRule<Attributes = tf.NamedAttrMap>(kernelName: string, rule: JvpRule<Attributes>): void {
  rules.set(kernelName, rule as JvpRule);
}

/** The forward-mode rule of a kernel, or undefined where there is none. */
export function jvpRule(kernelName: string): JvpRule | undefined {
  return rules.get(kernelName);
}

/** The names of all kernels that have a forward-mode rule, sorted. */
export function kernelsWithJvpRule(): string[] {
  return [...rules.keys()].sort();
}
