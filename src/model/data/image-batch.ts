import { tf } from "../engine/tf";
import { CHANNELS, imageBytes, imagePixels, type Dataset } from "./dataset";
import { writeImageValues } from "./image-values";

export interface ImageBatch {
  /** [B, S, S, 3] in [-1, 1]. */
  images: tf.Tensor4D;
  /** [B], int32. */
  labels: tf.Tensor1D;
}

export interface ImageBatchOptions {
  /** [B], 1 for each image to be mirrored left to right; none by default. */
  flipped?: Uint8Array;
}

/**
 * Gives the images at `indices`, in that order, as tensors. The caller disposes of both.
 *
 * @throws RangeError if an index isn't in the data set
 */
export function imageBatch(dataset: Dataset, indices: ArrayLike<number>, options: ImageBatchOptions = {}): ImageBatch {
  const { imageSize, labels } = dataset;
  const count = indices.length;
  const values = new Float32Array(count * imageBytes(imageSize));
  const batchLabels = new Int32Array(count);
  for (let position = 0; position < count; position++) {
    const index = indices[position];
    if (!Number.isInteger(index) || index < 0 || index >= dataset.size) {
      throw new RangeError(`Image ${index} isn't in ${dataset.name} (${dataset.split}), which has images 0 to ${dataset.size - 1}.`);
    }
    const target = values.subarray(position * imageBytes(imageSize), (position + 1) * imageBytes(imageSize));
    writeImageValues(imagePixels(dataset, index), target, imageSize, options.flipped?.[position] === 1);
    batchLabels[position] = labels[index];
  }
  return {
    images: tf.tensor4d(values, [count, imageSize, imageSize, CHANNELS], "float32"),
    labels: tf.tensor1d(batchLabels, "int32"),
  };
}

/**
 * The bytes of images: the inverse of {@link imageBatch}. Values beyond [-1, 1] are clipped, the others rounded to the
 * nearest byte; NaN becomes 0.
 *
 * @param images [B, H, W, 3] in [-1, 1]
 * @returns [B, H, W, 3], 0 to 255
 */
export async function imagesToPixels(images: tf.Tensor4D): Promise<Uint8ClampedArray> {
  const values = await images.data();
  // Uint8ClampedArray rounds and clips by its own definition.
  return Uint8ClampedArray.from(values, (value) => (value + 1) * 127.5);
}
