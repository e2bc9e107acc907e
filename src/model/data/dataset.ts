import { createHash } from "node:crypto";

export type Split = "train" | "test";

/** An image file that could not be used, and why. */
export interface SkippedImage {
  path: string;
  reason: string;
}

/** Labelled square RGB images in memory. Every source of images gives this, and nothing after it knows the source. */
export interface Dataset {
  /** The source's name, e.g. "avatars". */
  readonly name: string;
  readonly split: Split;
  /** Number of images, N. */
  readonly size: number;
  /** Class names; a label is an index into them. */
  readonly classes: readonly string[];
  /** Height and width of every image in pixels, S. */
  readonly imageSize: number;
  /** [N, S, S, 3], 0 to 255, sRGB. */
  readonly pixels: Uint8Array;
  /** [N], each from 0 to classes.length - 1. */
  readonly labels: Int32Array;
  /** Hash of classes, labels and pixels: two data sets with one fingerprint hold the same images in the same order. */
  readonly fingerprint: string;
  readonly skipped: readonly SkippedImage[];
}

/** The two halves of a source: what training sees, and what it never sees. */
export interface DatasetSplits {
  train: Dataset;
  test: Dataset;
}

/** Colour channels of every data set. */
export const CHANNELS = 3;

/** Bytes of one image. */
export function imageBytes(imageSize: number): number {
  return imageSize * imageSize * CHANNELS;
}

/**
 * Makes a {@link Dataset} of its parts and computes its fingerprint.
 *
 * @throws Error if the number of pixels, labels and images disagree or a label names no class
 */
export function createDataset(parts: Omit<Dataset, "size" | "fingerprint" | "skipped"> & { skipped?: readonly SkippedImage[] }): Dataset {
  const { name, split, classes, imageSize, pixels, labels, skipped = [] } = parts;
  const size = labels.length;
  if (pixels.length !== size * imageBytes(imageSize)) {
    throw new Error(`Data set ${name} (${split}): ${size} labels need ${size * imageBytes(imageSize)} bytes of pixels, got ${pixels.length}.`);
  }
  const wrong = labels.findIndex((label) => label < 0 || label >= classes.length);
  if (wrong >= 0) throw new Error(`Data set ${name} (${split}): image ${wrong} has label ${labels[wrong]}, expected 0 to ${classes.length - 1}.`);
  return { name, split, size, classes, imageSize, pixels, labels, fingerprint: contentFingerprint({ classes, imageSize, pixels, labels }), skipped };
}

/** The first 16 hexadecimal digits of a SHA-256 over everything that training can see. */
function contentFingerprint(content: Pick<Dataset, "classes" | "imageSize" | "pixels" | "labels">): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ classes: content.classes, imageSize: content.imageSize, size: content.labels.length }));
  hash.update(new Uint8Array(content.labels.buffer, content.labels.byteOffset, content.labels.byteLength));
  hash.update(content.pixels);
  return hash.digest("hex").slice(0, 16);
}

/** One image's bytes, [S, S, 3]; a view, not a copy. */
export function imagePixels(dataset: Pick<Dataset, "pixels" | "imageSize">, index: number): Uint8Array {
  const bytes = imageBytes(dataset.imageSize);
  return dataset.pixels.subarray(index * bytes, (index + 1) * bytes);
}

/** The images at `indices`, in that order, as a data set of its own. */
export function subset(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  const bytes = imageBytes(dataset.imageSize);
  const pixels = new Uint8Array(indices.length * bytes);
  const labels = new Int32Array(indices.length);
  for (let position = 0; position < indices.length; position++) {
    const index = indices[position];
    if (!Number.isInteger(index) || index < 0 || index >= dataset.size) throw new RangeError(`Image ${index} isn't in ${dataset.name} (${dataset.split}), which has images 0 to ${dataset.size - 1}.`);
    pixels.set(imagePixels(dataset, index), position * bytes);
    labels[position] = dataset.labels[index];
  }
  return createDataset({ ...dataset, pixels, labels });
}

/** What `crossflow data` shows of a data set. */
export interface DatasetSummary {
  /** Images of each class, in the order of `classes`. */
  classCounts: number[];
  /** Mean of each channel (red, green, blue) in [0, 1]. */
  channelMeans: number[];
  /** Standard deviation of each channel over all pixels, on the same scale. */
  channelDeviations: number[];
}

/** Counts the classes and measures each channel over all pixels of all images. NaN for a data set without images. */
export function summarizeDataset(dataset: Pick<Dataset, "classes" | "labels" | "pixels">): DatasetSummary {
  const classCounts = new Array<number>(dataset.classes.length).fill(0);
  for (const label of dataset.labels) classCounts[label]++;
  // A histogram of each channel holds its mean and variance exactly, without rounding over millions of pixels.
  const histograms = Array.from({ length: CHANNELS }, () => new Float64Array(256));
  for (let index = 0; index < dataset.pixels.length; index += CHANNELS) {
    for (let channel = 0; channel < CHANNELS; channel++) histograms[channel][dataset.pixels[index + channel]]++;
  }
  const pixelCount = dataset.pixels.length / CHANNELS;
  const channelMeans = histograms.map((counts) => counts.reduce((sum, count, value) => sum + count * value, 0) / pixelCount / 255);
  const channelDeviations = histograms.map((counts, channel) =>
    Math.sqrt(counts.reduce((sum, count, value) => sum + count * (value / 255 - channelMeans[channel]) ** 2, 0) / pixelCount),
  );
  return { classCounts, channelMeans, channelDeviations };
}

/**
 * Memory for the pixels of `count` images.
 *
 * @throws RangeError naming the size in GiB if that is more than this machine can give
 */
export function allocatePixels(count: number, imageSize: number): Uint8Array {
  const bytes = count * imageBytes(imageSize);
  try {
    return new Uint8Array(bytes);
  } catch (error) {
    const gibibytes = (bytes / 2 ** 30).toFixed(1);
    throw new RangeError(`${count} images of ${imageSize} x ${imageSize} need ${gibibytes} GiB of memory, which this machine doesn't give. Use fewer images (trainCount, testCount) or a smaller imageSize.`, { cause: error });
  }
}
