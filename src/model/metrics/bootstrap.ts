import { randomStream } from "../random";

export interface BootstrapOptions {
  /** Default 1000. */
  resamples?: number;
  /** Share of the resamples that the interval holds. Default 0.95. */
  confidence?: number;
  /** Default 0. */
  seed?: number;
}

/** A value with the interval in which it would fall on other draws of the images. */
export interface Interval {
  value: number;
  low: number;
  high: number;
}

/**
 * The mean of numbers, one an image, with its percentile bootstrap interval (Efron, 1979): the images are drawn again with
 * replacement many times, and the interval holds the middle share of the means.
 * @throws on no values
 */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions = {}): Interval {
  const { resamples = 1000, confidence = 0.95, seed = 0 } = options;
  const count = values.length;
  if (count === 0) throw new Error("bootstrapMean: no values.");
  const stream = randomStream(seed, "bootstrap");
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (const index of stream.integers(count, count)) sum += values[index];
    return sum / count;
  }).sort();
  const tail = (1 - confidence) / 2;
  let total = 0;
  for (let i = 0; i < count; i++) total += values[i];
  return { value: total / count, low: quantile(means, tail), high: quantile(means, 1 - tail) };
}

/** Linear interpolation between the two nearest of sorted values. */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below] + (position - below) * (sorted[above] - sorted[below]);
}
