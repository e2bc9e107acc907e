import { tf } from "./engine/tf";
import { marginalVelocity, type LatentReference } from "./marginal-velocity";
import type { ImageField } from "./objective";
import { followFlow } from "./trajectory";

/** Euler steps from t down to the earlier time: at most about a tenth of the trajectory each. */
export const TRAJECTORY_STEPS = 8;

/** The earlier time is a share of t, uniform between these: further down F knows the image better, nearer it is more like F at t. */
export const EARLIER_SHARE = { least: 0.2, most: 0.9 } as const;

/**
 * Follows the latent trajectory downwards along v(z, t | y), the marginal velocity over the training latents. For a class of one latent that is exact.
 * @param zT points of the trajectory [B, h, w, c]
 * @param t their times [B], above 0
 * @param earlier times [B] to go to, above 0 and at most t
 * @param y class labels, int32 [B]
 * @returns z at the earlier times [B, h, w, c]
 */
export function latentsAtEarlierTimes(zT: tf.Tensor4D, t: tf.Tensor1D, earlier: tf.Tensor1D, y: tf.Tensor1D, reference: LatentReference, steps = TRAJECTORY_STEPS): tf.Tensor4D {
  return followFlow((point, time) => marginalVelocity(point, time, y, reference), zT, t, earlier, steps);
}

/**
 * What F(z_t, 0, y) has to be (ours; the idea is that of consistency models, Song et al., 2023): at r = 0 the target field is constant along the
 * trajectory, so its value at t is its value at any earlier time, where the network, being nearer to the image, knows it better. The derivative
 * dF/dt says the same of two times that lie infinitely close, and is a poor guide over the whole way from t to 0.
 * @param average the network with averaged weights
 * @returns F(z at the earlier time, 0, y) [B, H, W, 3]
 */
export function consistencyTarget(average: ImageField, zT: tf.Tensor4D, t: tf.Tensor1D, earlier: tf.Tensor1D, y: tf.Tensor1D, reference: LatentReference): tf.Tensor4D {
  return tf.tidy(() => average(latentsAtEarlierTimes(zT, t, earlier, y, reference), tf.zerosLike(t), y));
}
