import { tf } from "./engine/tf";

/** The training data's latents by class, over which the marginal velocity averages. */
export interface LatentReference {
  /** Latents [N, D], flattened, normalised; D = h w c. */
  latents: tf.Tensor2D;
  /** Half of each latent's squared norm [1, N]. */
  halfSquares: tf.Tensor2D;
  /** Class labels, float [1, N]. */
  labels: tf.Tensor2D;
}

/** A logit that no other can make up for: latents of other classes have no weight. */
const EXCLUDED = 1e9;

/**
 * Puts a training set's latents where marginalVelocity() finds them.
 * @param latents [N, h, w, c] in one array, normalised
 * @param labels [N], class labels
 * @returns the reference; the caller disposes of its tensors
 */
export function latentReference(latents: Float32Array, labels: Int32Array): LatentReference {
  return tf.tidy(() => {
    const rows = tf.tensor2d(latents, [labels.length, latents.length / labels.length]);
    return { latents: rows, halfSquares: tf.mul(0.5, tf.sum(tf.square(rows), 1)).reshape([1, -1]) as tf.Tensor2D, labels: tf.tensor2d(Float32Array.from(labels), [1, labels.length]) };
  });
}

/**
 * The marginal velocity of the trajectory over the training data, v(z_t, t | y) = E[eps - z | z_t, y] (Lipman et al., 2023, eq. 8; its average over
 * a reference set is that of Xu et al., 2023, "stable target field"). The conditional velocity eps - z of the method is one draw from the
 * distribution whose mean this is: the network is differentiated along the same field on average, without the draw's noise, which at t near 1
 * is larger than the derivative itself.
 *
 * With z_t = (1 - t) z + t eps: E[z | z_t, y] = sum_i w_i z_i over the latents of class y, w = softmax(-|z_t - (1 - t) z_i|^2 / (2 t^2)), and v = (z_t - E[z | z_t, y]) / t.
 * @param zT points of the trajectory [B, h, w, c]
 * @param t times [B], above 0
 * @param y class labels, int32 [B]
 * @returns v [B, h, w, c]
 */
export function marginalVelocity(zT: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D, { latents, halfSquares, labels }: LatentReference): tf.Tensor4D {
  return tf.tidy(() => {
    const batch = zT.shape[0];
    const rows = zT.reshape([batch, -1]); // [B, h, w, c] -> [B, D]
    const time = t.reshape([batch, 1]);
    const kept = tf.sub(1, time); // what of the latent is left at t
    const inner = tf.matMul(rows, latents, false, true); // [B, N]
    const closeness = tf.mul(kept, tf.sub(inner, tf.mul(kept, halfSquares))); // -|z_t - (1 - t) z_i|^2 / 2, but for a constant of the row
    const otherClass = tf.notEqual(tf.cast(y, "float32").reshape([batch, 1]), labels).toFloat();
    const weights = tf.softmax(tf.sub(tf.div(closeness, tf.square(time)), tf.mul(otherClass, EXCLUDED)));
    const expected = tf.matMul(weights, latents); // E[z | z_t, y], [B, D]
    return tf.div(tf.sub(rows, expected), time).reshape(zT.shape) as tf.Tensor4D;
  });
}
