import type { tf } from "./tf";

/** In place of src/model/engine/recompute.ts: where nothing is trained, what is to be computed again for a gradient is computed once. */
export function recomputed<Constants extends tf.Tensor[]>(
  fn: (x: tf.Tensor, weights: Record<string, tf.Tensor>, constants: Constants) => tf.Tensor,
  x: tf.Tensor,
  weights: Record<string, tf.Tensor>,
  constants: [...Constants],
): tf.Tensor {
  return fn(x, weights, constants as Constants);
}
