import { nativeBackend, type OperationAttribute } from "../engine/compile/backend";
import { tf } from "../engine/tf";

/** `T: float32` in the binding's terms: TF_ATTR_TYPE and TF_FLOAT of TensorFlow's C API. */
const FLOAT_ATTRIBUTE: OperationAttribute = { name: "T", type: 4, value: 1 };

/**
 * min(max(x, 0), 6), with a gradient that costs one pass over the data. That of tfjs is put together of a dozen
 * operations and took ten times as long, which was most of the cost of a perceptual loss. Once differentiable.
 */
export function relu6<T extends tf.Tensor>(x: T): T {
  const clipped = tf.customGrad((input, save) => {
    const value = input as tf.Tensor;
    (save as tf.GradSaveFunc)([value]);
    return { value: tf.relu6(value), gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => relu6Gradient(dy, saved[0]) };
  });
  return clipped(x) as T;
}

/** dy where 0 < x < 6, else 0. */
function relu6Gradient(dy: tf.Tensor, x: tf.Tensor): tf.Tensor {
  const backend = nativeBackend();
  if (!backend) return tf.mul(dy, tf.cast(tf.logicalAnd(tf.greater(x, 0), tf.less(x, 6)), "float32"));
  const [result] = backend.binding.executeOp("Relu6Grad", [FLOAT_ATTRIBUTE], backend.getInputTensorIds([dy, x]), 1);
  return backend.createOutputTensor(result);
}
