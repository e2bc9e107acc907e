import { tf } from "../engine/tf";
import type { Lpips } from "../features/lpips";
import type { LongRunOptions } from "../progress";
import { yieldToEventLoop } from "../interrupt";
import { bootstrapMean, type BootstrapOptions, type Interval } from "./bootstrap";
import type { ImageBatches } from "./feature-set";

/**
 * How much images of one class differ: the mean LPIPS distance of pairs, each image with the next of its class in the same batch.
 * @param batches images with labels; their tensors are disposed of
 * @returns the mean with its bootstrap interval over pairs
 * @throws when no batch holds two images of one class; the signal's reason when aborted
 */
export async function lpipsDiversity(lpips: Lpips, batches: ImageBatches, options: BootstrapOptions & Pick<LongRunOptions, "signal"> = {}): Promise<Interval & { pairs: number }> {
  const distances: number[] = [];
  for await (const { images, labels } of batches) {
    distances.push(...(await pairDistances(lpips, images, await labels.data())));
    tf.dispose([images, labels]);
    options.signal?.throwIfAborted();
    await yieldToEventLoop();
  }
  if (distances.length === 0) throw new Error("lpipsDiversity: no batch holds two images of one class; use larger batches.");
  return { ...bootstrapMean(distances, options), pairs: distances.length };
}

/** The LPIPS distance of each image to the next of its class; no image is in two pairs. The tensors stay the caller's. @param labels of the images */
export async function pairDistances(lpips: Pick<Lpips, "distance">, images: tf.Tensor4D, labels: ArrayLike<number>): Promise<number[]> {
  const [firsts, seconds] = pairsOf(labels);
  if (firsts.length === 0) return [];
  const values = tf.tidy(() => lpips.distance(tf.gather(images, tf.tensor1d(firsts, "int32")), tf.gather(images, tf.tensor1d(seconds, "int32"))));
  const distances = [...(await values.data())];
  values.dispose();
  return distances;
}

/** Positions of neighbours in the order of each class: no image is in two pairs. */
function pairsOf(labels: ArrayLike<number>): [number[], number[]] {
  const waiting = new Map<number, number>();
  const [firsts, seconds]: [number[], number[]] = [[], []];
  for (let position = 0; position < labels.length; position++) {
    const partner = waiting.get(labels[position]);
    if (partner === undefined) waiting.set(labels[position], position);
    else {
      firsts.push(partner);
      seconds.push(position);
      waiting.delete(labels[position]);
    }
  }
  return [firsts, seconds];
}
