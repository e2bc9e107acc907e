import type { Dataset, EpochBatches } from "./data";
import { imageBytes } from "./data/dataset";
import { writeImageValues } from "./data/image-values";

/** A batch of training images with their latents, as plain numbers. */
export interface Rows {
  /** [B, S, S, 3] in [-1, 1]. */
  images: Float32Array;
  /** [B, h, w, c], normalised. */
  latents: Float32Array;
  /** [B] */
  labels: Int32Array;
}

/** Where a training gets its batches from: memory, or files that are read as they are needed. */
export interface TrainingRows {
  /** The data set's name, for messages. */
  name: string;
  size: number;
  classes: readonly string[];
  /** Changes when any image, its order or its class changes. */
  fingerprint: string;
  /** Class label of each image [N]. */
  labels: Int32Array;
  /** Latents of all images [N, h, w, c], where they lie in memory. */
  latents?: Float32Array;
  /**
   * @param indices [B], positions in the data set
   * @param flipped [B], 1 for each image that is wanted mirrored left to right, with the latent of the mirrored image
   */
  read(indices: Int32Array, flipped: Uint8Array): Promise<Rows>;
  /** Stops what reads in the background. */
  close(): Promise<void>;
}

/**
 * The rows of a data set that is in memory.
 * @param latents [N, h, w, c] in the data set's order; mirrored ones there are none of
 */
export function rowsInMemory(dataset: Dataset, latents: Float32Array): TrainingRows {
  const { name, size, classes, fingerprint, imageSize, pixels, labels } = dataset;
  const [bytes, latentLength] = [imageBytes(imageSize), latents.length / size];
  return {
    name,
    size,
    classes,
    fingerprint,
    labels,
    latents,
    async read(indices) {
      const rows: Rows = { images: new Float32Array(indices.length * bytes), latents: new Float32Array(indices.length * latentLength), labels: Int32Array.from(indices, (index) => labels[index]) };
      indices.forEach((index, position) => {
        writeImageValues(pixels.subarray(index * bytes, (index + 1) * bytes), rows.images.subarray(position * bytes, (position + 1) * bytes), imageSize, false);
        rows.latents.set(latents.subarray(index * latentLength, (index + 1) * latentLength), position * latentLength);
      });
      return rows;
    },
    close: async () => undefined,
  };
}

/** What deals out batches has to know of the rows: how many there are and how they are read. */
type DealtRows = Pick<TrainingRows, "name" | "size" | "read">;

/**
 * The labels of classes that an option names.
 * @param option its name, for the message
 * @throws Error naming the classes that there are not
 */
export function classLabels(option: string, classNames: readonly string[], { name, classes }: Pick<TrainingRows, "name" | "classes">): number[] {
  const unknown = classNames.filter((className) => !classes.includes(className));
  if (unknown.length > 0) throw new Error(`${option} names ${unknown.map((className) => `"${className}"`).join(", ")}, and the classes of ${name} are ${classes.join(", ")}`);
  return classNames.map((className) => classes.indexOf(className));
}

/**
 * Rows of which an epoch holds those of some classes several times, so that more of a training goes to what is hard to learn, or rare.
 * @param repeats how often, by class name; once where none is given
 * @returns rows of which each position is one image dealt out once; the given ones where every class is dealt out once
 * @throws Error naming the classes that there are not
 */
export function repeatedRows(rows: TrainingRows, repeats: Readonly<Record<string, number>>): DealtRows {
  const { name, classes, labels } = rows;
  classLabels("classRepeats", Object.keys(repeats), rows);
  const counts = classes.map((className) => repeats[className] ?? 1);
  if (counts.every((count) => count === 1)) return rows;
  const size = labels.reduce((sum, label) => sum + counts[label], 0);
  const positions = new Int32Array(size);
  let filled = 0;
  labels.forEach((label, index) => positions.fill(index, filled, (filled += counts[label])));
  return { name, size, read: (indices, flipped) => rows.read(indices.map((index) => positions[index]), flipped) };
}

/** Batches of which the next is read while the last is worked on. */
export interface BatchesAhead {
  next(): Promise<Rows>;
  /** The order's position after the last batch that next() gave, for a checkpoint: what was read ahead does not count. */
  position(): string;
}

/**
 * Reads batches one ahead.
 * @param order which images come next; no one else may advance it
 */
export function batchesAhead(order: EpochBatches, source: Pick<TrainingRows, "read">): BatchesAhead {
  let position = order.state();
  const begin = (): { rows: Promise<Rows>; after: string } => {
    const { indices, flipped } = order.next().value;
    const rows = source.read(indices, flipped);
    // Whoever asks for the batch hears of its failure; one that no one asks for must not end the process.
    rows.catch(() => undefined);
    return { rows, after: order.state() };
  };
  let ahead: ReturnType<typeof begin> | undefined;
  return {
    async next() {
      const { rows, after } = ahead ?? begin();
      ahead = begin();
      const result = await rows;
      position = after;
      return result;
    },
    position: () => position,
  };
}
