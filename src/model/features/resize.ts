import { tf } from "../engine/tf";

/**
 * "bilinear" and "bicubic" antialias, as Pillow does; "bilinear-tensorflow1" takes two source pixels whatever the ratio, as TensorFlow 1 did, by which the
 * original Frechet inception distance was computed; "bicubic-sampled" takes four, as PyTorch does without antialiasing.
 */
export type ResizeMethod = "bilinear" | "bicubic" | "bilinear-tensorflow1" | "bicubic-sampled";

/** An interpolation kernel: half its width in source pixels, and its value at a distance. */
interface ResizeKernel {
  support: number;
  weight: (distance: number) => number;
}

const KERNELS: Record<"bilinear" | "bicubic", ResizeKernel> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: (x) => cubicConvolution(Math.abs(x), -0.5) },
};

/** Keys' cubic convolution (1981), with the slope a at distance 1; a = -0.5 is what Pillow and antialiased PyTorch use, -0.75 PyTorch without antialiasing. */
function cubicConvolution(x: number, a: number): number {
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/**
 * The matrix that resizes a line of `from` pixels to `to` pixels.
 * @returns [to, from] row-major float64, each row summing to 1
 */
export function resizeMatrix(from: number, to: number, method: ResizeMethod): Float64Array {
  if (method === "bilinear-tensorflow1") return tensorflow1Matrix(from, to);
  if (method === "bicubic-sampled") return sampledBicubicMatrix(from, to);
  return antialiasedMatrix(from, to, method);
}

/** TensorFlow 1's bilinear with align_corners=False: output pixel i lies at i from/to, in float32, and pixels have no half. */
function tensorflow1Matrix(from: number, to: number): Float64Array {
  const matrix = new Float64Array(to * from);
  const ratio = Math.fround(from / to);
  for (let row = 0; row < to; row++) {
    const place = Math.fround(row * ratio);
    const lower = Math.floor(place);
    const share = place - lower;
    matrix[row * from + lower] += 1 - share;
    matrix[row * from + Math.min(lower + 1, from - 1)] += share;
  }
  return matrix;
}

/**
 * PyTorch's bicubic without antialiasing: four source pixels for each output pixel, those outside the line replaced by its ends.
 * @param ratio source pixels an output pixel; from / to unless the caller scales by another factor
 */
export function sampledBicubicMatrix(from: number, to: number, ratio: number = from / to): Float64Array {
  const matrix = new Float64Array(to * from);
  for (let row = 0; row < to; row++) {
    const place = ratio * (row + 0.5) - 0.5;
    const lower = Math.floor(place);
    for (let tap = lower - 1; tap <= lower + 2; tap++) {
      matrix[row * from + Math.min(from - 1, Math.max(0, tap))] += cubicConvolution(Math.abs(place - tap), -0.75);
    }
  }
  return matrix;
}

/**
 * As Pillow's `Image.resize` and PyTorch's `interpolate(antialias=True, align_corners=False)` do: on shrinking the kernel is widened by the ratio, so
 * that every source pixel counts; weights that fall outside the line are dropped and the rest made to sum to one.
 */
function antialiasedMatrix(from: number, to: number, method: "bilinear" | "bicubic"): Float64Array {
  const { support, weight } = KERNELS[method];
  const ratio = from / to;
  const width = Math.max(1, ratio);
  const matrix = new Float64Array(to * from);
  for (let row = 0; row < to; row++) {
    const center = ratio * (row + 0.5);
    const first = Math.max(0, Math.floor(center - support * width + 0.5));
    const end = Math.min(from, Math.floor(center + support * width + 0.5));
    let sum = 0;
    for (let column = first; column < end; column++) {
      const value = weight((column + 0.5 - center) / width);
      matrix[row * from + column] = value;
      sum += value;
    }
    for (let column = first; column < end; column++) matrix[row * from + column] /= sum;
  }
  return matrix;
}

/**
 * Resize images with antialiasing: linear in the pixels, so it is written as two matrix products, which are
 * differentiable in both modes and run at the speed of the engine's matrix kernel. Along the width the matrix is
 * repeated for each channel (a Kronecker product with the identity), which leaves the layout as it is: no transposes.
 * Bicubic overshoots at edges: values may leave the range of the input.
 * @param images [B, H, W, C]
 * @param size [height, width] of the result, in pixels
 * @returns [B, height, width, C]; `images` itself if it has that size
 */
export function resizeImages(images: tf.Tensor4D, size: [number, number], method: ResizeMethod): tf.Tensor4D {
  const [batch, height, width, channels] = images.shape;
  const [toHeight, toWidth] = size;
  if (!(toHeight > 0 && toWidth > 0 && Number.isInteger(toHeight) && Number.isInteger(toWidth))) {
    throw new Error(`resizeImages: size must be two whole numbers above 0, not [${size}].`);
  }
  if (height === toHeight && width === toWidth) return images;
  return tf.tidy(() => {
    const rows = images.reshape([batch * height, width * channels]);
    const widened = tf.matMul(rows as tf.Tensor2D, widthMatrix(width, toWidth, channels, method)); // [B H, toWidth C]
    const columns = widened.reshape([batch, height, toWidth * channels]);
    const heightMatrix = tf.tensor3d(Float32Array.from(resizeMatrix(height, toHeight, method)), [1, toHeight, height]);
    return tf.matMul<tf.Tensor3D>(heightMatrix, columns as tf.Tensor3D).reshape([batch, toHeight, toWidth, channels]); // [B, toHeight, toWidth, C]
  });
}

/** [from C, to C]: pixel-major, channel-minor, each channel by the same weights. */
function widthMatrix(from: number, to: number, channels: number, method: ResizeMethod): tf.Tensor2D {
  const matrix = resizeMatrix(from, to, method);
  const repeated = new Float32Array(from * channels * to * channels);
  for (let row = 0; row < to; row++) {
    for (let column = 0; column < from; column++) {
      const value = matrix[row * from + column];
      if (value === 0) continue;
      for (let channel = 0; channel < channels; channel++) {
        repeated[(column * channels + channel) * to * channels + row * channels + channel] = value;
      }
    }
  }
  return tf.tensor2d(repeated, [from * channels, to * channels]);
}
