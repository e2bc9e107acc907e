import fs from "node:fs";
import path from "node:path";
import { imageBatch, type Dataset, type ImageBatch } from "../data";
import { compile } from "../engine/compile";
import { sideBySide } from "../engine/side-by-side";
import { tf } from "../engine/tf";
import type { FeatureNetwork } from "../features/feature-network";
import { projectRoot } from "../files";
import { yieldToEventLoop } from "../interrupt";
import { createProgress, type LongRunOptions } from "../progress";
import { randomStream } from "../random";
import { readSafetensors, writeSafetensors } from "../safetensors";
import { createReservoir } from "./reservoir";
import { accumulateStatistics, type FeatureOrigin, type FeatureStatistics } from "./statistics";

/** Batches of images with their labels; whoever iterates disposes of the tensors. */
export type ImageBatches = Iterable<ImageBatch> | AsyncIterable<ImageBatch>;

/** The embeddings of a set of images: mean and covariance of all, and the embeddings themselves of at most so many as are kept. */
export interface FeatureSet {
  origin: FeatureOrigin;
  /** N. */
  count: number;
  /** D. */
  dimension: number;
  /** Of all N images. */
  statistics: FeatureStatistics;
  /** K: N, or fewer where N is too large. */
  kept: number;
  /** [K, D], a uniform sample of the images; in their order where all are kept. */
  values: Float32Array;
}

/** Embeddings that are kept of a set of images. */
export const KEPT_FEATURES = 10_000;

/** Images of a data set in its own order, as batches. @param options.count the first so many; all by default */
export function* datasetBatches(dataset: Dataset, options: { count?: number; batchSize?: number } = {}): Generator<ImageBatch> {
  const { count = dataset.size, batchSize = 100 } = options;
  for (let start = 0; start < count; start += batchSize) {
    yield imageBatch(dataset, Int32Array.from({ length: Math.min(batchSize, count - start) }, (_, i) => start + i));
  }
}

/**
 * Images from a generator as batches, for the labels of a data set in its order, so that generated and real images hold the
 * classes in the same shares.
 * @param generate images [B, H, W, 3] for labels [B]; each batch has a seed of its own
 */
export function* generatedBatches(
  generate: (labels: Int32Array, seed: number) => tf.Tensor4D,
  dataset: Pick<Dataset, "labels" | "size">,
  options: { count: number; batchSize?: number; seed?: number },
): Generator<ImageBatch> {
  const { count, batchSize = 100, seed = 0 } = options;
  for (let start = 0; start < count; start += batchSize) {
    const labels = Int32Array.from({ length: Math.min(batchSize, count - start) }, (_, i) => dataset.labels[(start + i) % dataset.size]);
    yield { images: generate(labels, seed + start / batchSize), labels: tf.tensor1d(labels, "int32") };
  }
}

/** What images become when they are saved with 8 bits: clipped to [-1, 1] and rounded to 256 levels. */
export function asSaved(images: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => images.clipByValue(-1, 1).add(1).mul(127.5).round().div<tf.Tensor4D>(127.5).sub(1));
}

/**
 * The embeddings of the first `count` images of some batches. Images are rounded to 8 bits first, so that generated ones
 * are seen as they would be saved; `visit` gets the rounded images. Memory is bounded: beyond `kept` images only their statistics grow.
 * @throws when the batches hold fewer images; the signal's reason when aborted
 */
export async function collectFeatures(
  batches: ImageBatches,
  network: FeatureNetwork,
  count: number,
  options: LongRunOptions & { label?: string; kept?: number; seed?: number; visit?: (images: tf.Tensor4D, labels: tf.Tensor1D) => Promise<void> } = {},
): Promise<FeatureSet> {
  const { onProgress, signal, label = "features of images", kept = KEPT_FEATURES, seed = 0, visit } = options;
  const dimension = network.embeddingSize;
  const origin = originOf(network);
  const statistics = accumulateStatistics(dimension, origin);
  const reservoir = createReservoir(kept, dimension, randomStream(seed, "features that are kept"));
  const embed = compile(({ images }: { images: tf.Tensor4D }) => ({ embedding: sideBySide((part: tf.Tensor4D) => network.embedding(part), images) }), { name: `${network.name}'s embedding` });
  const progress = createProgress({ label, total: count, onUpdate: onProgress });
  let done = 0;
  try {
    for await (const batch of batches) {
      const taken = Math.min(batch.images.shape[0], count - done);
      const images = tf.tidy(() => asSaved(batch.images.slice(0, taken)));
      const labels = batch.labels.slice(0, taken);
      tf.dispose([batch.images, batch.labels]);
      try {
        const { embedding } = embed({ images });
        await statistics.add(embedding);
        reservoir.add((await embedding.data()) as Float32Array);
        embedding.dispose();
        await visit?.(images, labels);
      } finally {
        tf.dispose([images, labels]);
      }
      done += taken;
      progress.advance(taken);
      signal?.throwIfAborted();
      if (done === count) break;
      await yieldToEventLoop();
    }
  } finally {
    embed.dispose();
  }
  if (done < count) throw new Error(`${label}: ${count} images were asked for, but only ${done} came.`);
  return { origin, count, dimension, statistics: statistics.finish(), kept: reservoir.count(), values: reservoir.values() };
}

export function originOf({ fingerprint, resize }: FeatureNetwork): FeatureOrigin {
  return { network: fingerprint, resize };
}

/** The features that are kept as a tensor [K, D], the caller's to dispose of. */
export function featureTensor({ values, kept, dimension }: FeatureSet): tf.Tensor2D {
  return tf.tensor2d(values, [kept, dimension]);
}

export interface DatasetFeaturesOptions extends LongRunOptions {
  /** The first so many images; all by default. */
  count?: number;
  /** Embeddings that are kept besides their statistics. */
  kept?: number;
  /** Where features are kept between runs. Default: data/features in the project. */
  folder?: string;
}

/** The embeddings of a data set's images: computed once, then kept in a file that is named by all they depend on. */
export async function datasetFeatures(dataset: Dataset, network: FeatureNetwork, options: DatasetFeaturesOptions = {}): Promise<FeatureSet> {
  const { count = dataset.size, kept = KEPT_FEATURES, folder = path.join(projectRoot(), "data", "features"), ...run } = options;
  if (count > dataset.size) throw new Error(`${dataset.name} (${dataset.split}) has ${dataset.size} images, ${count} were asked for.`);
  const origin = originOf(network);
  const rows = Math.min(count, kept);
  const name = [dataset.name, dataset.split, dataset.fingerprint, network.fingerprint, network.resize, count, rows].join(" ").replace(/[^\w.-]+/g, "-");
  const file = path.join(folder, `${name}.safetensors`);
  const dimension = network.embeddingSize;
  if (fs.existsSync(file)) {
    const { features, mean, covariance } = (await readSafetensors(file)).tensors;
    if (features?.dtype !== "F32" || String(features.shape) !== String([rows, dimension]) || mean?.dtype !== "F64" || covariance?.dtype !== "F64") {
      throw new Error(`${file} does not hold ${rows} features of ${dimension} numbers and their statistics. Delete it; it is made again.`);
    }
    return { origin, count, dimension, statistics: { count, dimension, mean: mean.data, covariance: covariance.data, origin }, kept: rows, values: features.data };
  }
  const set = await collectFeatures(datasetBatches(dataset, { count }), network, count, { ...run, kept, label: `features of ${dataset.name} (${dataset.split})` });
  await writeSafetensors(
    file,
    {
      features: { dtype: "F32", shape: [set.kept, dimension], data: set.values },
      mean: { dtype: "F64", shape: [dimension], data: set.statistics.mean },
      covariance: { dtype: "F64", shape: [dimension, dimension], data: set.statistics.covariance },
    },
    { ...origin, dataset: dataset.name, split: dataset.split, datasetFingerprint: dataset.fingerprint },
  );
  return set;
}
