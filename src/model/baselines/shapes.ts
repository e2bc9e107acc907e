import { tf } from "../engine/tf";
import type { NetworkConfig } from "../network";
import type { Batch } from "../objective";
import { latentAt, velocity } from "../trajectory";

/** The preset's network from latents to latents: its transformer, and one linear map to the latent's patches. */
export function latentToLatent(preset: NetworkConfig): NetworkConfig {
  return { ...preset, imageSize: preset.latentSize, outputChannels: preset.latentChannels, head: "linear" };
}

/** The preset's network from images to images, with as many tokens: its patches cover the same part of the picture. */
export function pixelToPixel(preset: NetworkConfig): NetworkConfig {
  const { imageSize, latentSize, patchSize } = preset;
  return { ...preset, latentSize: imageSize, latentChannels: 3, patchSize: (patchSize * imageSize) / latentSize, head: "linear" };
}

/** Where a batch is on its way, how fast, and how far t is from r: what both kinds of MeanFlow are made of. */
export function alongInterval({ z, eps, r, t }: Batch): { zT: tf.Tensor4D; v: tf.Tensor4D; interval: tf.Tensor1D } {
  return { zT: latentAt(z, eps, t), v: velocity(z, eps), interval: tf.sub(t, r) };
}

/** The first samples of a tensor. */
export function firstOf<T extends tf.Tensor>(tensor: T, count: number): T {
  return count === tensor.shape[0] ? tensor : tf.slice(tensor, 0, count);
}

/** Adds zeros for the samples that have no derivative. @param head [n, ...], n <= batch @returns [batch, ...] */
export function padded(head: tf.Tensor4D, batch: number): tf.Tensor4D {
  const [count, ...shape] = head.shape;
  return count === batch ? head : tf.concat([head, tf.zeros([batch - count, ...shape]) as tf.Tensor4D], 0);
}
