import { tf } from "./engine/tf";
import type { ImageField } from "./objective";
import { followFlow, perSample } from "./trajectory";

/** Images [B, H, W, 3] in [-1, 1] -> normalised latents [B, h, w, c]: an encoder's encode(). */
export type LatentsOf = (images: tf.Tensor4D) => tf.Tensor4D;

/** A trained network, and the encoder of its latents. */
export interface Teacher {
  field: ImageField;
  latentsOf: LatentsOf;
}

/** How far a network's own flow is followed, and in how many of Euler's steps: down to a tenth of t, where F(z, 0, y) is clean. */
export const OWN_FLOW = { steps: 6, endShare: 0.1 };

/**
 * The velocity that a network has learned. On the diagonal F(z_t, t, y) is the mean image of all that may have led to z_t, and its latent about the mean
 * latent, so v(z_t, t | y) = (z_t - E(F(z_t, t, y))) / t, the mean of eps - z. Unlike the velocity of the training latents it goes as smoothly as the network can.
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @returns velocities [B, h, w, c]
 */
export function networkVelocity({ field, latentsOf }: Teacher, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D): tf.Tensor4D {
  return tf.tidy(() => tf.div(tf.sub(zT, latentsOf(tf.clipByValue(field(zT, t, y), -1, 1))), perSample(t)));
}

/**
 * Follows a network's own flow downwards, from t to a share of t.
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @param flow in how many of Euler's steps, and the share of t at which it ends, above 0 and below 1
 * @returns z at the times endShare t [B, h, w, c]
 */
export function latentsAlongOwnFlow(teacher: Teacher, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D, { steps, endShare } = OWN_FLOW): tf.Tensor4D {
  return tf.tidy(() => followFlow((point, time) => networkVelocity(teacher, point, time, y), zT, t, tf.mul(t, endShare), steps));
}

/**
 * What F(z_t, 0, y) has to be, where a trained network is the teacher (ours; that one step can learn what many steps of a flow do is Luhman and Luhman's, 2021,
 * "Knowledge distillation in iterative generative models"): the teacher's image after the many steps of its own flow. The flow of the training latents ends
 * in one of them, and in which one no small network can tell from the noise, so that one step learns a blur of several; a network's own flow is as simple as the network.
 * @param zT latents [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @param flow as of latentsAlongOwnFlow()
 * @returns F(z at the end of the flow, 0, y) [B, H, W, 3]
 */
export function distillationTarget(teacher: Teacher, zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D, flow = OWN_FLOW): tf.Tensor4D {
  return tf.tidy(() => teacher.field(latentsAlongOwnFlow(teacher, zT, t, y, flow), tf.zerosLike(t), y));
}
