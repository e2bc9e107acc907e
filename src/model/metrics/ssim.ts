import { tf } from "../engine/tf";

/** Side of the window in pixels, and the deviation of its Gaussian, as in the paper. */
const WINDOW = 11;
const DEVIATION = 1.5;
/** Range of the pixels, -1 to 1. */
const RANGE = 2;
const C1 = (0.01 * RANGE) ** 2;
const C2 = (0.03 * RANGE) ** 2;

/**
 * Structural similarity of each image (Wang et al., 2004, equation 13): luminance, contrast and structure under an 11 x 11
 * Gaussian window, averaged over the positions where the window fits and over channels.
 * @param images [B, H, W, C] in [-1, 1], H and W at least 11
 * @param references the same shape and range
 * @returns [B], at most 1; 1 for equal images
 */
export function ssim(images: tf.Tensor4D, references: tf.Tensor4D): tf.Tensor1D {
  tf.util.assertShapesMatch(images.shape, references.shape, "ssim: ");
  const [, height, width] = images.shape;
  if (height < WINDOW || width < WINDOW) throw new Error(`ssim: images of ${height} x ${width} pixels are smaller than its window of ${WINDOW} x ${WINDOW}.`);
  return tf.tidy(() => {
    const meanX = windowMean(images);
    const meanY = windowMean(references);
    const varianceX = windowMean(images.square()).sub(meanX.square());
    const varianceY = windowMean(references.square()).sub(meanY.square());
    const covariance = windowMean(images.mul(references)).sub(meanX.mul(meanY));
    const luminance = meanX.mul(meanY).mul(2).add(C1).div(meanX.square().add(meanY.square()).add(C1));
    const structure = covariance.mul(2).add(C2).div(varianceX.add(varianceY).add(C2));
    return luminance.mul(structure).mean<tf.Tensor1D>([1, 2, 3]);
  });
}

/** The Gaussian-weighted mean around each position where the window fits: [B, H - 10, W - 10, C] */
function windowMean(x: tf.Tensor4D): tf.Tensor4D {
  const channels = x.shape[3];
  const weights = Float32Array.from({ length: WINDOW }, (_, i) => Math.exp(-0.5 * ((i - (WINDOW - 1) / 2) / DEVIATION) ** 2));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const line = tf.tensor1d(weights.map((weight) => weight / total));
  const rows = tf.tile(line.reshape([WINDOW, 1, 1, 1]), [1, 1, channels, 1]) as tf.Tensor4D;
  const columns = tf.tile(line.reshape([1, WINDOW, 1, 1]), [1, 1, channels, 1]) as tf.Tensor4D;
  return tf.depthwiseConv2d(tf.depthwiseConv2d(x, rows, 1, "valid"), columns, 1, "valid");
}
