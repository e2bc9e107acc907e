import { tf } from "../engine/tf";

/**
 * The decay of the exponential moving average at a step: (1 + step) / (10 + step) until that exceeds the final decay, so that early weights are forgotten.
 * @param step 0 at the first update
 */
export function emaDecayAt(step: number, decay: number): number {
  return Math.min(decay, (1 + step) / (10 + step));
}

/**
 * Moves averaged parameters towards the current ones, in place: average = decay average + (1 - decay) parameter.
 * @param decay scalar in [0, 1)
 */
export function updateEma(averages: Record<string, tf.Variable>, parameters: Record<string, tf.Tensor>, decay: tf.Scalar): void {
  for (const [name, average] of Object.entries(averages)) tf.tidy(() => average.assign(tf.add(tf.mul(average, decay), tf.mul(parameters[name], tf.sub(1, decay)))));
}
