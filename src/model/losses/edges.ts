import { tf } from "../engine/tf";
import { perSample } from "../trajectory";
import type { Loss } from "./index";
import { errorOf } from "./pixel";

/**
 * The edge loss: the mean absolute error of the differences between neighbouring pixels, down and across (differences of pictures as a loss: Mathieu et al., 2016, "Deep
 * multi-scale video prediction beyond mean square error", who compare how large they are). A grain of a level or two on flat areas costs the pixel loss next to nothing, and this one twice its height at every pixel.
 * e = F - sg(F - t R), as in the pixel loss: for samples with r = 0 that learn from a target, F less the target.
 * @returns a loss of F and residual [B, H, W, 3], r and t [B]
 */
export function edgeLoss(): Loss {
  return ({ F, residual, t }) => {
    const error = errorOf(F, tf.mul(perSample(t), residual));
    const [, height, width] = error.shape;
    const along = (axis: 1 | 2, size: number): tf.Tensor => {
      const [first, second] = [0, 1].map((begin) => tf.slice(error, axis === 1 ? [0, begin, 0, 0] : [0, 0, begin, 0], axis === 1 ? [-1, size - 1, -1, -1] : [-1, -1, size - 1, -1]));
      return tf.mean(tf.abs(tf.sub(second, first)));
    };
    return tf.mul(0.5, tf.add(along(1, height), along(2, width))) as tf.Scalar;
  };
}
