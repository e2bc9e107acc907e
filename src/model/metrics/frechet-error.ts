import { tf } from "../engine/tf";
import { randomStream } from "../random";
import { frechetDistanceTo } from "./frechet";
import type { FeatureStatistics } from "./statistics";

export interface FrechetErrorOptions {
  /** Default 20: the cost is one decomposition of a D x D matrix each. */
  resamples?: number;
  seed?: number;
}

/**
 * The standard error of a Frechet distance over draws of the generated images, by the bootstrap (Efron, 1979). Drawing with replacement raises the
 * distance itself, as fewer images do, so the spread of the resampled distances is used and not their percentiles.
 * @param features of the generated images [N, D]
 * @param reference statistics of the real images
 */
export async function frechetStandardError(features: tf.Tensor2D, reference: FeatureStatistics, options: FrechetErrorOptions = {}): Promise<number> {
  const { resamples = 20, seed = 0 } = options;
  const [count, dimension] = features.shape;
  const stream = randomStream(seed, "bootstrap of the Frechet distance");
  const distanceTo = frechetDistanceTo(reference);
  const centre = tf.tidy(() => features.mean(0));
  const centred = tf.tidy(() => features.sub<tf.Tensor2D>(centre));
  const centreValues = await centre.data();
  const distances: number[] = [];
  for (let draw = 0; draw < resamples; draw++) {
    const times = new Float32Array(count);
    for (const index of stream.integers(count, count)) times[index]++;
    const [mean, products] = tf.tidy(() => {
      const weighted = centred.mul<tf.Tensor2D>(tf.tensor2d(times, [count, 1]));
      return [weighted.sum(0).div(count), tf.matMul(centred, weighted, true)]; // [D], [D, D]
    });
    const shift = Float64Array.from(await mean.data());
    const covariance = Float64Array.from(await products.data(), (value, i) => (value - count * shift[Math.floor(i / dimension)] * shift[i % dimension]) / (count - 1));
    tf.dispose([mean, products]);
    distances.push(distanceTo({ count, dimension, mean: shift.map((value, d) => value + centreValues[d]), covariance, origin: reference.origin }));
  }
  tf.dispose([centre, centred]);
  const average = distances.reduce((sum, value) => sum + value, 0) / resamples;
  return Math.sqrt(distances.reduce((sum, value) => sum + (value - average) ** 2, 0) / (resamples - 1));
}
