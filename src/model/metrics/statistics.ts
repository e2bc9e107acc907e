import type { tf } from "../engine/tf";
import { readSafetensors, writeSafetensors } from "../safetensors";

/** How features were made; statistics of features made differently must not be compared. */
export interface FeatureOrigin {
  /** The network's name and weights: `FeatureNetwork.fingerprint`. */
  network: string;
  /** How images were brought to the network's input size: `FeatureNetwork.resize`. */
  resize: string;
}

/** Mean and covariance of features. */
export interface FeatureStatistics {
  /** Number of images. */
  count: number;
  /** D. */
  dimension: number;
  /** [D] */
  mean: Float64Array;
  /** [D, D], row-major, with the divisor count - 1. */
  covariance: Float64Array;
  origin: FeatureOrigin;
}

/** Sums features batch by batch; memory is D x D, however many images there are. */
export interface StatisticsAccumulator {
  /** Add features [B, D]; the tensor stays the caller's. */
  add(features: tf.Tensor2D): Promise<void>;
  /** @throws with fewer than two images */
  finish(): FeatureStatistics;
}

/**
 * Mean and covariance of a stream of features, in float64. Sums are taken about the first image's features, so that no
 * digits are lost when the mean is large beside the spread.
 */
export function accumulateStatistics(dimension: number, origin: FeatureOrigin): StatisticsAccumulator {
  const sums = new Float64Array(dimension);
  const products = new Float64Array(dimension * dimension); // lower triangle
  let shift: Float64Array | undefined;
  let count = 0;
  return {
    async add(features) {
      if (features.shape[1] !== dimension) throw new Error(`accumulateStatistics: features have ${features.shape[1]} numbers, expected ${dimension}.`);
      const batch = features.shape[0];
      const values = await features.data();
      const origin = (shift ??= Float64Array.from(values.subarray(0, dimension)));
      const columns = new Float64Array(dimension * batch); // [D, B]: each feature's numbers lie together
      for (let i = 0; i < batch; i++) for (let d = 0; d < dimension; d++) columns[d * batch + i] = values[i * dimension + d] - origin[d];
      for (let row = 0; row < dimension; row++) {
        for (let i = 0; i < batch; i++) sums[row] += columns[row * batch + i];
        for (let column = 0; column <= row; column++) {
          let sum = 0;
          for (let i = 0; i < batch; i++) sum += columns[row * batch + i] * columns[column * batch + i];
          products[row * dimension + column] += sum;
        }
      }
      count += batch;
    },
    finish() {
      if (count < 2 || !shift) throw new Error(`Statistics of features need at least 2 images, not ${count}.`);
      const mean = shift.map((value, d) => value + sums[d] / count);
      const covariance = new Float64Array(dimension * dimension);
      for (let row = 0; row < dimension; row++) {
        for (let column = 0; column <= row; column++) {
          const value = (products[row * dimension + column] - (sums[row] * sums[column]) / count) / (count - 1);
          covariance[row * dimension + column] = value;
          covariance[column * dimension + row] = value;
        }
      }
      return { count, dimension, mean, covariance, origin };
    },
  };
}

/** @throws naming the difference, when two sets of features were made differently */
export function checkComparable(a: FeatureOrigin, b: FeatureOrigin): void {
  for (const key of ["network", "resize"] as const) {
    if (a[key] !== b[key]) throw new Error(`These features cannot be compared: ${key} "${a[key]}" against "${b[key]}". Make both with the same network and resize.`);
  }
}

/** Save statistics as safetensors, with how they were made. @param about anything else worth keeping, such as the data set's fingerprint */
export async function saveStatistics(path: string, statistics: FeatureStatistics, about: Record<string, string> = {}): Promise<void> {
  const { count, dimension, mean, covariance, origin } = statistics;
  await writeSafetensors(
    path,
    { mean: { dtype: "F64", shape: [dimension], data: mean }, covariance: { dtype: "F64", shape: [dimension, dimension], data: covariance } },
    { ...about, ...origin, count: String(count) },
  );
}

/** Saved statistics with what else is known of them: data set, split, seed. */
export type ReferenceStatistics = FeatureStatistics & { about: Record<string, string> };

/** Load what `saveStatistics` wrote. @throws naming the file when it is absent or holds something else */
export async function loadStatistics(path: string): Promise<ReferenceStatistics> {
  const { tensors, metadata } = await readSafetensors(path);
  const { network, resize, count: countText, ...about } = metadata;
  const { mean, covariance } = tensors;
  const count = Number(countText);
  if (mean?.dtype !== "F64" || covariance?.dtype !== "F64" || covariance.data.length !== mean.data.length ** 2 || !network || !resize || !(count >= 2)) {
    throw new Error(`${path} does not hold statistics of features: expected mean [D] and covariance [D, D] in float64, and network, resize and count in the metadata. Delete it and make it again.`);
  }
  if (![mean.data, covariance.data].every((values) => values.every(Number.isFinite))) throw new Error(`${path} holds NaN or infinity: the images or the network's weights were broken when it was made. Make it again.`);
  return { count, dimension: mean.data.length, mean: mean.data, covariance: covariance.data, origin: { network, resize }, about };
}
