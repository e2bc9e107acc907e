import { tf } from "../engine/tf";
import { stopGradient } from "../layers";
import { perSample } from "../trajectory";
import type { Terms } from "./index";

/**
 * The terms for a loss that counts for some classes alone (ours): the values are the same, but gradients flow through the images of these classes only. What one class has to
 * learn, such as kinds of images that its samples lack, can so be asked of it while the others are held where they are.
 * @param terms of one batch
 * @param labels of the classes that count
 * @returns the terms, with F, residual, x_hat and samples [B, H, W, C] in place of the given ones
 */
export function ofClasses(terms: Terms, labels: readonly number[]): Terms {
  const counted = (images: tf.Tensor4D, y: tf.Tensor1D): tf.Tensor4D => {
    const counts = perSample(tf.sum(tf.equal(y.reshape([-1, 1]), tf.tensor2d([...labels], [1, labels.length], "int32")).toFloat(), 1) as tf.Tensor1D); // [B] -> [B, 1, 1, 1]
    return tf.where(tf.greater(counts, 0), images, stopGradient(images));
  };
  const { F, residual, xHat, samples, y } = terms;
  return { ...terms, F: counted(F, y), residual: counted(residual, y), xHat: counted(xHat, y), samples: { ...samples, images: counted(samples.images, samples.y) } };
}
