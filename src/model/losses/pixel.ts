import { tf } from "../engine/tf";
import { stopGradient } from "../layers";
import { perSample } from "../trajectory";
import { adaptivelyWeighted } from "./adaptive-weight";
import { DISTANCES, type DistanceName } from "./distances";
import { GATES, type GateName } from "./gates";
import type { Loss } from "./index";
import { REGION_WEIGHTS, type RegionWeightName } from "./region-weights";

export interface PixelLossOptions {
  /** Distance of each pixel from 0: |x|, x^2, or a mix of both. @see DISTANCES */
  distance: DistanceName;
  /** What R is multiplied with: nothing (the paper), t, or t^2 / r. @see REGION_WEIGHTS */
  weight: RegionWeightName;
  /** "residual": the gradient is that of the weighted residual. "prediction": F is drawn to sg(F - weight R), so that each sample's gradient has the same scale. */
  through: "residual" | "prediction";
  /** Power p of MeanFlow's adaptive weight 1 / (sg(loss) + c)^p; 0 for none. */
  adaptivePower: number;
  /** The constant c. */
  adaptiveConstant: number;
  /** Where Huber's and the pseudo-Huber distance turn from square to linear. */
  huberDelta: number;
  /** Which pairs (r, t) count. @see GATES */
  gate: GateName;
  /** What the gate compares with, where it compares. */
  gateLimit: number;
}

/** What trained best at small size and small batches. */
export const PIXEL_LOSS_DEFAULTS: PixelLossOptions = { distance: "L2", weight: "t", through: "prediction", adaptivePower: 0.5, adaptiveConstant: 1e-3, huberDelta: 0.1, gate: "every pair", gateLimit: 1 };

/** F less what it is drawn to, sg(F - weighted): the weighted residual in value, whose gradient reaches F with factor 1. @returns [B, H, W, 3] */
export function errorOf(F: tf.Tensor4D, weighted: tf.Tensor): tf.Tensor4D {
  return tf.sub(F, stopGradient(tf.sub(F, weighted)));
}

/**
 * The pixel loss: the mean over pixels of |w R|, (w R)^2 or Huber(w R), weighted per sample by 1 / (sg(loss) + c)^p.
 * R is the residual of eq. 11'; L1 without weights is the paper's choice (Sec. 3.3), the adaptive weight is MeanFlow's (Geng et al., 2025).
 * With the gradient through the prediction, F - sg(F - w R) equals w R in value while its gradient reaches F with factor 1.
 */
export function pixelLoss(options: Partial<PixelLossOptions> = {}): Loss {
  const { distance, weight, through, adaptivePower, adaptiveConstant, huberDelta, gate, gateLimit } = { ...PIXEL_LOSS_DEFAULTS, ...options };
  return ({ F, residual, r, t }) => {
    const weighted = tf.mul(perSample(REGION_WEIGHTS[weight](r, t)), residual);
    const error = through === "residual" ? weighted : errorOf(F, weighted);
    const perImage = tf.mean(DISTANCES[distance](error, huberDelta), [1, 2, 3]) as tf.Tensor1D; // [B, H, W, 3] -> [B]
    const each = adaptivelyWeighted(perImage, adaptivePower, adaptiveConstant);
    return tf.mean(gate === "every pair" ? each : tf.mul(each, GATES[gate](r, t, gateLimit))) as tf.Scalar;
  };
}
