import { tf } from "../engine/tf";
import { correctionFactor } from "../objective";

/** Which pairs of times [B] a loss counts: 1 or 0, [B]. @param limit what the gate compares with, where it compares */
export type Gate = (r: tf.Tensor1D, t: tf.Tensor1D, limit: number) => tf.Tensor1D;

/** Every pair. */
export const everyPair: Gate = (_, t) => tf.onesLike(t);

/** r > 0 and t (t - r) / r <= limit (ours): pairs at which the noise in x_hat's correction (eq. 13) stays bounded. */
export const boundedCorrection: Gate = (r, t, limit) => tf.logicalAnd(tf.greater(r, 0), tf.lessEqual(correctionFactor(r, t), limit)).toFloat() as tf.Tensor1D;

/** r = t: there F is the posterior mean of the image, and no derivative enters. */
export const onDiagonal: Gate = (r, t) => tf.equal(r, t).toFloat() as tf.Tensor1D;

/** r = 0: one-step samples F(z_t, 0, y). */
export const atTheEnd: Gate = (r) => tf.equal(r, 0).toFloat() as tf.Tensor1D;

/** r = 0 and t <= limit (ours): one-step samples whose latent still tells the image that it was made of. */
export const nearTheEnd: Gate = (r, t, limit) => tf.logicalAnd(tf.equal(r, 0), tf.lessEqual(t, limit)).toFloat() as tf.Tensor1D;

/** The gates by the name that a loss gives them. */
export const GATES = { "every pair": everyPair, "bounded correction": boundedCorrection, diagonal: onDiagonal, end: atTheEnd, "near the end": nearTheEnd } as const satisfies Record<string, Gate>;

export type GateName = keyof typeof GATES;
