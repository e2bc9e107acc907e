import { tf } from "../engine/tf";

export interface AdamWOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled: the parameter shrinks by learningRate * weightDecay a step. */
  weightDecay: number;
}

/** Defaults of diffusion training: a short second moment, hardly any decay. */
export const ADAMW_DEFAULTS: AdamWOptions = { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0 };

/**
 * One AdamW update (Loshchilov and Hutter, 2019) in place.
 * @param variable the parameter
 * @param gradient of the same shape
 * @param first running mean of the gradient, starts at zero
 * @param second running mean of its square, starts at zero
 * @param learningRate scalar
 * @param stepCount scalar: 1 at the first update
 */
export function adamW(variable: tf.Variable, gradient: tf.Tensor, first: tf.Variable, second: tf.Variable, learningRate: tf.Scalar, stepCount: tf.Scalar, options: Partial<AdamWOptions> = {}): void {
  const { beta1, beta2, epsilon, weightDecay } = { ...ADAMW_DEFAULTS, ...options };
  tf.tidy(() => {
    const mean = tf.add(tf.mul(first, beta1), tf.mul(gradient, 1 - beta1));
    const square = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const unbiasedMean = tf.div(mean, tf.sub(1, tf.pow(beta1, stepCount)));
    const unbiasedSquare = tf.div(square, tf.sub(1, tf.pow(beta2, stepCount)));
    const direction = tf.div(unbiasedMean, tf.add(tf.sqrt(unbiasedSquare), epsilon));
    const decayed = weightDecay === 0 ? variable : tf.mul(variable, tf.sub(1, tf.mul(learningRate, weightDecay)));
    first.assign(mean);
    second.assign(square);
    variable.assign(tf.sub(decayed, tf.mul(learningRate, direction)));
  });
}
