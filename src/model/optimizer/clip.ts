import { tf } from "../engine/tf";

/**
 * Scales all gradients down together when their joint norm exceeds a limit (Pascanu et al., 2013).
 * @param gradients by parameter name
 * @param limit largest norm that passes unchanged; 0 for no limit
 * @returns the gradients and their norm before clipping, a scalar
 */
export function clipByGlobalNorm(gradients: Record<string, tf.Tensor>, limit: number): { gradients: Record<string, tf.Tensor>; norm: tf.Scalar } {
  const norm = tf.sqrt(tf.addN(Object.values(gradients).map((gradient) => tf.sum(tf.square(gradient))))) as tf.Scalar;
  if (limit === 0) return { gradients, norm };
  const factor = tf.minimum(1, tf.div(limit, tf.add(norm, 1e-6)));
  return { gradients: Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [name, tf.mul(gradient, factor)])), norm };
}
