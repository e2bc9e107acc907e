import { tf } from "../engine/tf";

/**
 * The value of `score(images)` with a gradient of known size (ours; the idea of VQGAN's adaptive weight, Esser et al., 2021, per image): the
 * gradients that the images receive keep their directions and their sizes relative to each other, and their mean norm becomes
 * 2 / (sqrt(H W C) B). That is the norm of the pixel loss's gradient for each image when its adaptive power is 0.5, so a weight of 0.5 in the
 * configuration means half the pull of the pixel loss, whatever the network that `score` is made of.
 * @param images [B, H, W, C], through which the gradient flows
 * @param batchSize B of the pixel loss
 * @param constants tensors of the forward pass that `score` needs besides; they are kept until the gradient is taken, and receive none
 * @param score scalar function of the images and the constants; the parameters inside it receive no gradient
 */
export function balanced<Constants extends tf.Tensor[]>(images: tf.Tensor4D, batchSize: number, constants: [...Constants], score: (images: tf.Tensor4D, constants: Constants) => tf.Scalar): tf.Scalar {
  const [, height, width, channels] = images.shape;
  const norm = 2 / (Math.sqrt(height * width * channels) * batchSize);
  const operation = tf.customGrad((x, save) => {
    const input = x as tf.Tensor4D;
    (save as (tensors: tf.Tensor[]) => void)([input, ...constants]);
    const gradFunc = (dy: tf.Tensor, [savedInput, ...savedConstants]: tf.Tensor[]): tf.Tensor => {
      const gradient = gradientDuringBackward((y) => score(y as tf.Tensor4D, savedConstants as Constants), savedInput);
      const norms = tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])) as tf.Tensor1D; // [B]
      const pulling = tf.sum(tf.cast(tf.greater(norms, 0), "float32"));
      const mean = tf.div(tf.sum(norms), tf.maximum(pulling, 1));
      return tf.mul(dy, tf.mul(gradient, tf.div(norm, tf.add(mean, 1e-12))));
    };
    return { value: score(input, constants as Constants), gradFunc };
  });
  return operation(images) as tf.Scalar;
}


/** A gradient taken while another one is being propagated: tfjs has one tape at a time, so the outer one is laid aside. */
function gradientDuringBackward(f: (x: tf.Tensor) => tf.Scalar, x: tf.Tensor): tf.Tensor {
  const { state } = tf.engine();
  const outer = state.activeTape;
  try {
    return tf.grad(f)(x);
  } finally {
    state.activeTape = outer;
  }
}
