import { tf } from "../engine/tf";
import { stopGradient } from "../layers";
import { perSample } from "../trajectory";
import type { Loss } from "./index";

export interface PixelLossOptions {
  /** |x|, x^2, or Huber's mix of both. */
  distance: "L1" | "L2" | "Huber";
  /** What R is multiplied with: nothing (the paper), t, or t^2 / r; none moves the solution, since all are positive. */
  weight: "none" | "t" | "t^2/r";
  /** "residual": the gradient is that of the weighted residual. "prediction": F is drawn to sg(F - weight R), so that each sample's gradient has the same scale. */
  through: "residual" | "prediction";
  /** Power p of MeanFlow's adaptive weight 1 / (sg(loss) + c)^p; 0 for none. */
  adaptivePower: number;
  /** The constant c. */
  adaptiveConstant: number;
  /** Where Huber's distance turns from square to linear. */
  huberDelta: number;
}

/** What trained best at small size and small batches. */
export const PIXEL_LOSS_DEFAULTS: PixelLossOptions = { distance: "L2", weight: "t", through: "prediction", adaptivePower: 0.5, adaptiveConstant: 1e-3, huberDelta: 0.1 };

/** Largest t^2 / r that is applied, since it has no bound as r -> 0. */
const LARGEST_WEIGHT = 10;

/** Huber's distance, elementwise: x^2 / 2 up to delta, then delta (|x| - delta / 2). */
export function huber<T extends tf.Tensor>(x: T, delta: number): T {
  const size = tf.abs(x);
  const square = tf.minimum(size, delta);
  return tf.add(tf.mul(0.5, tf.square(square)), tf.mul(delta, tf.sub(size, square)));
}

/**
 * The pixel loss: the mean over pixels of |w R|, (w R)^2 or Huber(w R), weighted per sample by 1 / (sg(loss) + c)^p.
 * R is the residual of eq. 11'; L1 without weights is the paper's choice (Sec. 3.3), the adaptive weight is MeanFlow's (Geng et al., 2025).
 * With the gradient through the prediction, F - sg(F - w R) equals w R in value while its gradient reaches F with factor 1.
 */
export function pixelLoss(options: Partial<PixelLossOptions> = {}): Loss {
  const { distance, weight, through, adaptivePower, adaptiveConstant, huberDelta } = { ...PIXEL_LOSS_DEFAULTS, ...options };
  return ({ F, residual, r, t }) => {
    const factor: tf.Tensor1D = weight === "none" ? tf.onesLike(t) : weight === "t" ? t : tf.div(tf.square(t), tf.maximum(r, tf.div(tf.square(t), LARGEST_WEIGHT)));
    const error = through === "residual" ? tf.mul(perSample(factor), residual) : tf.sub(F, stopGradient(tf.sub(F, tf.mul(perSample(factor), residual))));
    const each = distance === "L1" ? tf.abs(error) : distance === "L2" ? tf.square(error) : huber(error, huberDelta);
    const perImage = tf.mean(each, [1, 2, 3]); // [B, H, W, 3] -> [B]
    if (adaptivePower === 0) return tf.mean(perImage) as tf.Scalar;
    return tf.mean(tf.div(perImage, tf.pow(tf.add(stopGradient(perImage), adaptiveConstant), adaptivePower))) as tf.Scalar;
  };
}
