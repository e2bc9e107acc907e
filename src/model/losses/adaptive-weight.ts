import { tf } from "../engine/tf";
import { stopGradient } from "../layers";

/**
 * MeanFlow's adaptive weight: loss / (sg(loss) + c)^p for each sample, so that a few bad ones do not lead (Geng et al., 2025, after Geng et al., 2024).
 * @param perImage loss of each sample [B], at least 0
 * @param power p: 0 leaves the loss as it is, 1 gives all samples the same pull
 * @param constant c, above 0
 * @returns weighted losses [B]
 */
export function adaptivelyWeighted(perImage: tf.Tensor1D, power: number, constant: number): tf.Tensor1D {
  if (power === 0) return perImage;
  return tf.div(perImage, tf.pow(tf.add(stopGradient(perImage), constant), power));
}
