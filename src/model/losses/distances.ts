import { tf } from "../engine/tf";

/** An elementwise distance of x from 0. @param delta where it turns from square to linear, for those that do */
export type Distance = <T extends tf.Tensor>(x: T, delta: number) => T;

/** Absolute error, |x|: the paper's (Sec. 3.3). Its minimiser is the median. */
export const absoluteError: Distance = (x) => tf.abs(x);

/** Squared error, x^2: its minimiser is the mean, as the field equation has it. */
export const squaredError: Distance = (x) => tf.square(x);

/** Huber's distance: x^2 / 2 up to delta, then delta (|x| - delta / 2) (Huber, 1964). */
export const huber: Distance = (x, delta) => {
  const size = tf.abs(x);
  const square = tf.minimum(size, delta);
  return tf.add(tf.mul(0.5, tf.square(square)), tf.mul(delta, tf.sub(size, square)));
};

/** Pseudo-Huber distance: delta^2 (sqrt(1 + (x / delta)^2) - 1), smooth everywhere (Charbonnier et al., 1997; for consistency models Song and Dhariwal, 2024). */
export const pseudoHuber: Distance = <T extends tf.Tensor>(x: T, delta: number): T => {
  // x^2 / (sqrt(1 + (x / delta)^2) + 1) is the same and keeps its digits where x is small.
  return tf.div(tf.square(x), tf.add(tf.sqrt(tf.add(1, tf.square(tf.div(x, delta)))), 1)) as T;
};

/** The distances by the name that a pixel loss gives them. */
export const DISTANCES = { L1: absoluteError, L2: squaredError, Huber: huber, "pseudo-Huber": pseudoHuber } as const satisfies Record<string, Distance>;

export type DistanceName = keyof typeof DISTANCES;
