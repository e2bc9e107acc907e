import { tf } from "../engine/tf";
import { balanced } from "./balance";
import { huber } from "./distances";
import { GATES, type GateName } from "./gates";
import type { FeatureLevels, Loss } from "./index";

export interface PerceptualLossOptions {
  /** Where Huber's distance turns linear, in units of a feature's own spread. */
  huberDelta: number;
  /** How many samples of the batch are compared: of "xHat" the last ones, which have r = t, of "F" the first ones, which have r = 0; 0 for all. */
  samples: number;
  /** What is compared with x0: x_hat of eq. 13, or F itself. */
  on: "xHat" | "F";
  /** Which pairs (r, t) count. @see GATES */
  gate: GateName;
  /** What the gate compares with; the configuration's correctionLimit where it is not given. */
  gateLimit?: number;
}

/** Features are divided by their spread, so the defaults serve any network. */
export const PERCEPTUAL_LOSS_DEFAULTS: PerceptualLossOptions = { huberDelta: 1, samples: 16, on: "xHat", gate: "bounded correction" };

/**
 * The perceptual loss: Huber's distance between a frozen network's features of x_hat (eq. 13) and of x0, averaged over levels, each
 * level divided by its features' spread. Samples whose correction factor t (t - r) / r exceeds the limit do not count: the noise in x_hat grows with it.
 * Its gradient is balanced against the pixel loss's.
 */
export function perceptualLoss(options: Partial<PerceptualLossOptions> = {}): Loss {
  const { huberDelta, samples, on, gate, gateLimit } = { ...PERCEPTUAL_LOSS_DEFAULTS, ...options };
  return ({ x0, r, t, features, correctionLimit, ...terms }) => {
    const images = terms[on];
    const batch = images.shape[0];
    const count = samples > 0 ? Math.min(samples, batch) : batch;
    const part = <T extends tf.Tensor>(tensor: T): T => (count === batch ? tensor : tf.slice(tensor, on === "xHat" ? batch - count : 0, count));
    const counts = GATES[gate](part(r), part(t), gateLimit ?? correctionLimit); // [B]
    return featureDistance(features, part(images), part(x0), counts, { batchSize: batch, huberDelta });
  };
}

/**
 * The perceptual loss at r = 0 (ours): the same distance between the one-step images F(z_t, 0, y) and their targets (consistency or distillation), which are
 * the same picture seen from further down a trajectory, whereas x0 is another picture as soon as z_t has forgotten it.
 * @throws Error when the training has no such targets
 */
export function perceptualConsistencyLoss({ huberDelta, samples }: Pick<PerceptualLossOptions, "huberDelta" | "samples"> = { huberDelta: PERCEPTUAL_LOSS_DEFAULTS.huberDelta, samples: 12 }): Loss {
  return ({ F, endTarget, features }) => {
    if (!endTarget) throw new Error('it compares with what F shall be at r = 0: set endTarget to "consistency", "distillation", "distribution", "reconstruction", "refinement" or "pairs", and endShare above 0');
    const count = samples > 0 ? Math.min(samples, endTarget.shape[0]) : endTarget.shape[0];
    return featureDistance(features, tf.slice(F, 0, count), tf.slice(endTarget, 0, count), tf.ones([count]), { batchSize: F.shape[0], huberDelta });
  };
}

/** The mean over levels and images of Huber's distance of features, balanced. @param counts 1 for each image that counts, [N] */
function featureDistance(features: FeatureLevels, images: tf.Tensor4D, wanted: tf.Tensor4D, counts: tf.Tensor, { batchSize, huberDelta }: { batchSize: number; huberDelta: number }): tf.Scalar {
  const target = features(wanted);
  const spread = target.map((level) => tf.sqrt(tf.add(tf.moments(level).variance, 1e-6)));
  return balanced(images, batchSize, (pictures) => {
    const levels = features(pictures).map((level, index) => {
      const perImage = tf.mean(huber(tf.div(tf.sub(level, target[index]), spread[index]), huberDelta), [1, 2, 3]); // [N]
      return tf.mean(tf.mul(perImage, counts));
    });
    return tf.div(tf.addN(levels), levels.length) as tf.Scalar;
  });
}
