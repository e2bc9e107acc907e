import { tf } from "../engine/tf";

/**
 * Peak signal-to-noise ratio of each image: 10 log10(4 / mean squared error), the range of pixels being 2.
 * @param images [B, H, W, C] in [-1, 1]
 * @param references the same shape and range
 * @returns [B] in decibels; infinity for equal images
 */
export function psnr(images: tf.Tensor4D, references: tf.Tensor4D): tf.Tensor1D {
  tf.util.assertShapesMatch(images.shape, references.shape, "psnr: ");
  return tf.tidy(() => {
    const error = tf.squaredDifference(images, references).mean<tf.Tensor1D>([1, 2, 3]); // [B]
    return tf.log(tf.div<tf.Tensor1D>(4, error)).mul(10 / Math.LN10);
  });
}
