import { tf } from "../engine/tf";
import { correctionFactor } from "../objective";
import { balanced } from "./balance";
import type { Loss } from "./index";
import { huber } from "./pixel";

export interface PerceptualLossOptions {
  /** Where Huber's distance turns linear, in units of a feature's own spread. */
  huberDelta: number;
  /** How many samples of the batch are compared: the last ones, which have r = t; 0 for all. */
  samples: number;
}

/** Features are divided by their spread, so the defaults serve any network. */
export const PERCEPTUAL_LOSS_DEFAULTS: PerceptualLossOptions = { huberDelta: 1, samples: 16 };

/**
 * The perceptual loss: Huber's distance between a frozen network's features of x_hat (eq. 13) and of x0, averaged over levels, each
 * level divided by its features' spread. Samples whose correction factor t (t - r) / r exceeds the limit do not count: the noise in x_hat grows with it.
 * Its gradient is balanced against the pixel loss's.
 */
export function perceptualLoss(options: Partial<PerceptualLossOptions> = {}): Loss {
  const { huberDelta, samples } = { ...PERCEPTUAL_LOSS_DEFAULTS, ...options };
  return ({ xHat, x0, r, t, features, correctionLimit }) => {
    const batch = xHat.shape[0];
    const count = samples > 0 ? Math.min(samples, batch) : batch;
    const part = <T extends tf.Tensor>(tensor: T): T => (count === batch ? tensor : tf.slice(tensor, batch - count, count));
    const [rPart, tPart] = [part(r), part(t)];
    const trusted = tf.logicalAnd(tf.greater(rPart, 0), tf.lessEqual(correctionFactor(rPart, tPart), correctionLimit)).toFloat(); // [B]
    const target = features(part(x0));
    const spread = target.map((level) => tf.sqrt(tf.add(tf.moments(level).variance, 1e-6)));
    return balanced(part(xHat), batch, [trusted, ...target, ...spread], (images, [counted, ...rest]) => {
      const levels = features(images).map((level, index) => {
        const [wanted, scale] = [rest[index], rest[target.length + index]];
        const perImage = tf.mean(huber(tf.div(tf.sub(level, wanted), scale), huberDelta), [1, 2, 3]); // [B]
        return tf.mean(tf.mul(perImage, counted));
      });
      return tf.div(tf.addN(levels), levels.length) as tf.Scalar;
    });
  };
}
