import { batchIndices } from "../data/batches";
import type { Dataset } from "../data/dataset";
import { imageBatch } from "../data/image-batch";
import { tf } from "../engine/tf";
import { psnr } from "../metrics/psnr";
import type { Encoder } from "./index";

/**
 * How well the autoencoder's own decoder gives back images that it did not train on.
 * @param dataset held-out images
 * @param count at most so many of them, the first ones
 * @returns mean peak signal-to-noise ratio, decibel
 */
export function reconstructionPsnr(encoder: Encoder, dataset: Dataset, count: number = dataset.size): number {
  const total = Math.min(count, dataset.size);
  let sum = 0;
  for (const indices of batchIndices(total, 250)) {
    const values = tf.tidy(() => {
      const { images } = imageBatch(dataset, indices);
      return psnr(tf.clipByValue(encoder.decode(encoder.encode(images)), -1, 1), images);
    });
    for (const value of values.dataSync()) sum += value;
    values.dispose();
  }
  return sum / total;
}
