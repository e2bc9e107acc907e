import { tf } from "./engine/tf";

/*
 * On the CPU, oneDNN computes a convolution in float32 without AVX-512 as one matrix product with a copy of the input in which each output pixel has all
 * that its kernel covers: 302 MB for 256 x 256 pixels of 128 channels, and the product waits for memory. In strips of some rows the copy fits the caches.
 */

/** Size of that copy above which a convolution is cut into strips, and what a strip's copy takes at most. */
const WHOLE_BYTES = 16e6;
const STRIP_BYTES = 4e6;

/** Rows of the output in a strip; undefined where the convolution is better computed whole. */
export function stripRows([, height, width]: readonly number[], [size, , channels]: readonly number[], stride: number): number | undefined {
  const bytesOfRow = 4 * Math.ceil(width / stride) * size * size * channels;
  return size === 1 || bytesOfRow * Math.ceil(height / stride) <= WHOLE_BYTES ? undefined : Math.max(1, Math.floor(STRIP_BYTES / bytesOfRow));
}

/** Whether strips pay now: on TensorFlow's CPU, and where no gradient is recorded, since each strip's would be as large as the whole input. */
export function stripsPay(): boolean {
  if (tf.getBackend() !== "tensorflow" || tf.engine().state.gradientDepth > 0) return false;
  return !(tf.backend() as unknown as { isUsingGpuDevice: boolean }).isUsingGpuDevice;
}

/**
 * A convolution with "same" padding, strip by strip: equal to tf.conv2d's up to rounding.
 * @param x [B, H, W, C]
 * @param weight [k, k, C, E]
 * @param rows of the output in a strip
 * @returns [B, H / stride, W / stride, E], rounded up
 */
export function convolutionInStrips(x: tf.Tensor4D, weight: tf.Tensor4D, stride: number, rows: number): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const size = weight.shape[0];
  const outputHeight = Math.ceil(height / stride);
  // TensorFlow's "same": what the last kernel reaches beyond the input, half of it, rounded down, before the first pixel.
  const around = (length: number): [number, number] => {
    const all = Math.max(0, (Math.ceil(length / stride) - 1) * stride + size - length);
    return [Math.floor(all / 2), Math.ceil(all / 2)];
  };
  return tf.tidy(() => {
    const padded = tf.pad(x, [[0, 0], around(height), around(width), [0, 0]]);
    const strips = Array.from({ length: Math.ceil(outputHeight / rows) }, (_, strip) => {
      const count = Math.min(rows, outputHeight - strip * rows);
      const part = tf.slice(padded, [0, strip * rows * stride, 0, 0], [batch, (count - 1) * stride + size, padded.shape[2], channels]);
      const result = tf.conv2d(part, weight, stride, "valid");
      part.dispose();
      return result;
    });
    return tf.concat(strips, 1);
  });
}
