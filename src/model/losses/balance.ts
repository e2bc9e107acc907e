import { withOwnTape } from "../engine/own-tape";
import { tf } from "../engine/tf";

/**
 * The value of `score(images)` with a gradient of known size (ours; the idea of VQGAN's adaptive weight, Esser et al., 2021, per image): the
 * gradients that the images receive keep their directions and their sizes relative to each other, and their mean norm becomes
 * 2 / (sqrt(H W C) B). That is the norm of the pixel loss's gradient for each image when its adaptive power is 0.5, so a weight of 0.5 in the
 * configuration means half the pull of the pixel loss, whatever the network that `score` is made of. Value and gradient come from one evaluation.
 * @param images [B, H, W, C], through which the gradient flows
 * @param batchSize B of the pixel loss
 * @param score scalar function of the images; the parameters and other tensors inside it receive no gradient
 */
export function balanced(images: tf.Tensor4D, batchSize: number, score: (images: tf.Tensor4D) => tf.Scalar): tf.Scalar {
  const [, height, width, channels] = images.shape;
  const norm = 2 / (Math.sqrt(height * width * channels) * batchSize);
  const operation = tf.customGrad((x, save) => {
    const { value, grad } = withOwnTape(() => tf.valueAndGrad((y: tf.Tensor) => score(y as tf.Tensor4D))(x as tf.Tensor));
    const norms = tf.sqrt(tf.sum(tf.square(grad), [1, 2, 3])) as tf.Tensor1D; // [B]
    const pulling = tf.sum(tf.cast(tf.greater(norms, 0), "float32"));
    const mean = tf.div(tf.sum(norms), tf.maximum(pulling, 1));
    (save as (tensors: tf.Tensor[]) => void)([tf.mul(grad, tf.div(norm, tf.add(mean, 1e-12)))]);
    return { value, gradFunc: (dy: tf.Tensor, [pull]: tf.Tensor[]) => tf.mul(dy, pull) };
  });
  return operation(images) as tf.Scalar;
}
