import type { RandomStream } from "../random";

export interface EpochBatchesOptions {
  /** Images in a batch, B. */
  batchSize: number;
  /** Gives the order of the images. No one else may draw from it, or {@link EpochBatches.state} can't bring the order back. */
  stream: RandomStream;
  /** Mirror each image left to right with probability 1/2, drawn anew in each epoch; false by default. */
  horizontalFlip?: boolean;
}

export interface Batch {
  /** The epoch of the batch's first image, from 0. */
  epoch: number;
  /** [B], positions in the data set. */
  indices: Int32Array;
  /** [B], 1 for each image to be mirrored; for the option of the same name of `imageBatch`. */
  flipped: Uint8Array;
}

/** Endless batches: `for (const batch of batches)` never ends by itself. */
export interface EpochBatches extends IterableIterator<Batch> {
  next(): IteratorYieldResult<Batch>;
  /** The position in the order of the images, to be stored in a checkpoint. */
  state(): string;
  /** Puts the order back to a position that `state()` gave. @throws Error when the text is no such position */
  restore(state: string): void;
}

/** One epoch's draws. */
interface Epoch {
  number: number;
  /** The stream's position before these draws: all that has to be stored to have them again. */
  streamState: string;
  order: Int32Array;
  flipped: Uint8Array;
}

/**
 * Shuffles a data set anew for each epoch and deals it out in batches of equal size, without end. Each epoch holds every
 * image exactly once. Where the batch size doesn't divide the data set, a batch takes its last images from the next epoch,
 * so that no image is left out and no batch is short.
 *
 * @throws RangeError if the data set is empty or the batch size isn't a whole number from 1
 */
export function epochBatches(dataset: { readonly size: number; readonly name?: string }, options: EpochBatchesOptions): EpochBatches {
  const { batchSize, stream, horizontalFlip = false } = options;
  const { size } = dataset;
  if (size < 1) throw new RangeError(`The data set ${dataset.name ?? ""} has no images to make batches of.`);
  if (!Number.isInteger(batchSize) || batchSize < 1) throw new RangeError(`batchSize must be a whole number from 1, got ${batchSize}.`);

  const drawEpoch = (number: number): Epoch => {
    const streamState = stream.state();
    const order = stream.permutation(size);
    const flipped = horizontalFlip ? Uint8Array.from(stream.uniform(size), (value) => (value < 0.5 ? 1 : 0)) : new Uint8Array(size);
    return { number, streamState, order, flipped };
  };

  let epoch = drawEpoch(0);
  let position = 0;

  const beginEpochIfDue = (): void => {
    if (position < size) return;
    epoch = drawEpoch(epoch.number + 1);
    position = 0;
  };

  const next = (): IteratorYieldResult<Batch> => {
    beginEpochIfDue();
    const batch: Batch = { epoch: epoch.number, indices: new Int32Array(batchSize), flipped: new Uint8Array(batchSize) };
    for (let filled = 0; filled < batchSize; ) {
      beginEpochIfDue();
      const taken = Math.min(batchSize - filled, size - position);
      batch.indices.set(epoch.order.subarray(position, position + taken), filled);
      batch.flipped.set(epoch.flipped.subarray(position, position + taken), filled);
      filled += taken;
      position += taken;
    }
    return { done: false, value: batch };
  };

  const state = (): string => JSON.stringify({ size, epoch: epoch.number, position, stream: epoch.streamState });

  const restore = (text: string): void => {
    const saved = parseState(text);
    if (saved.size !== size) throw new Error(`The saved order of images is of a data set of ${saved.size} images, this one has ${size}.`);
    stream.restore(saved.stream);
    epoch = drawEpoch(saved.epoch);
    position = saved.position;
  };

  const batches: EpochBatches = { next, state, restore, [Symbol.iterator]: () => batches };
  return batches;
}

function parseState(text: string): { size: number; epoch: number; position: number; stream: string } {
  let saved: unknown;
  try {
    saved = JSON.parse(text);
  } catch {
    saved = undefined;
  }
  if (typeof saved === "object" && saved !== null && "size" in saved && "epoch" in saved && "position" in saved && "stream" in saved) {
    const { size, epoch, position, stream } = saved;
    const counts = [size, epoch, position].every((count) => Number.isSafeInteger(count) && Number(count) >= 0);
    if (counts && Number(position) <= Number(size) && typeof stream === "string") {
      return { size: Number(size), epoch: Number(epoch), position: Number(position), stream };
    }
  }
  throw new Error(`This isn't a saved order of images: ${text.slice(0, 80)}`);
}

/**
 * All positions of a data set in order, in batches; the last may be short. For measuring, where each image counts once.
 *
 * @param size number of images
 */
export function* batchIndices(size: number, batchSize: number): Generator<Int32Array, void> {
  if (!Number.isInteger(batchSize) || batchSize < 1) throw new RangeError(`batchSize must be a whole number from 1, got ${batchSize}.`);
  for (let first = 0; first < size; first += batchSize) {
    yield Int32Array.from({ length: Math.min(batchSize, size - first) }, (_, offset) => first + offset);
  }
}
