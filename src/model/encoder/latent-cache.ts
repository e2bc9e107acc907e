import { join } from "node:path";
import { existsSync } from "node:fs";
import type { Dataset } from "../data";
import { imageBatch } from "../data/image-batch";
import { interruptSignal, yieldToEventLoop } from "../interrupt";
import { createProgress, type LongRunOptions } from "../progress";
import { float32Values, readSafetensors, writeSafetensors } from "../safetensors";
import { tf } from "../engine/tf";
import type { Encoder } from "./index";

/** Pixels that are encoded at once: 256 images of 32 x 32, 4 of 256 x 256. */
const ENCODE_PIXELS = 256 * 32 ** 2;

/**
 * Encodes a whole data set.
 * @returns latents [N, h, w, c] in one array, normalised
 */
export async function encodeDataset(encoder: Encoder, dataset: Dataset, options: LongRunOptions = {}): Promise<Float32Array> {
  const signal = options.signal ?? interruptSignal();
  const size = encoder.latentSize ** 2 * encoder.latentChannels;
  const latents = new Float32Array(dataset.size * size);
  const progress = createProgress({ label: `encoding ${dataset.name} (${dataset.split})`, total: dataset.size, onUpdate: options.onProgress });
  const batchSize = Math.max(1, Math.floor(ENCODE_PIXELS / dataset.imageSize ** 2));
  for (let start = 0; start < dataset.size; start += batchSize) {
    const count = Math.min(batchSize, dataset.size - start);
    const encoded = tf.tidy(() => encoder.encode(imageBatch(dataset, Int32Array.from({ length: count }, (_, index) => start + index)).images, options.onProgress));
    latents.set(encoded.dataSync(), start * size);
    encoded.dispose();
    progress.advance(count);
    await yieldToEventLoop();
    signal.throwIfAborted();
  }
  return latents;
}

/**
 * The latents of a data set, from the cache where it has them. The cache file is named after the data's and the encoder's fingerprints,
 * so that a changed encoder, or other data, is encoded anew; a damaged file is replaced.
 * @param directory folder of the cache files
 * @returns latents [N, h, w, c] in one array, normalised
 */
export async function cachedLatents(encoder: Encoder, dataset: Dataset, directory: string, options: LongRunOptions = {}): Promise<Float32Array> {
  const file = join(directory, `latents-${dataset.name}-${dataset.split}-${dataset.fingerprint.slice(0, 12)}-${encoder.fingerprint}.safetensors`);
  const shape = [dataset.size, encoder.latentSize, encoder.latentSize, encoder.latentChannels];
  if (existsSync(file)) {
    const cached = await readSafetensors(file).catch(() => undefined);
    const latents = cached?.tensors.latents;
    if (latents && latents.shape.join() === shape.join()) return float32Values(latents);
  }
  const data = await encodeDataset(encoder, dataset, options);
  await writeSafetensors(file, { latents: { dtype: "F32", shape, data } }, { encoder: encoder.fingerprint, dataset: dataset.fingerprint });
  return data;
}
