import { componentPosterior, linearImage, type LinearImage, type Oracle } from "./oracle";

/** z ~ N(mean, diag(deviation^2)), image = A z + b. */
export interface GaussianOracleOptions extends LinearImage {
  mean: readonly number[];
  deviation: readonly number[];
}

/** Two latent coordinates, three pixels. */
export const GAUSSIAN_ORACLE_DEFAULTS: GaussianOracleOptions = {
  mean: [0.4, -0.2],
  deviation: [0.6, 0.9],
  matrix: [[0.8, 0], [0.3, 0.5], [0, -0.6]],
  offset: [-0.1, 0.05, 0.1],
};

/**
 * The linear-Gaussian data set, all in closed form. The trajectory's map is z_t -> (1 - r) m + sqrt(V(r) / V(t)) (z_t - (1 - t) m) with V(t) = ((1 - t) s)^2 + t^2 in each
 * coordinate, and the target field is the image of the chord's point at time 0: X(z_t, r, t) = A (t z_r - r z_t) / (t - r) + b.
 */
export function gaussianOracle(options: Partial<GaussianOracleOptions> = {}): Oracle {
  const { mean, deviation, matrix, offset } = { ...GAUSSIAN_ORACLE_DEFAULTS, ...options };
  const component = { share: 1, mean, deviation };
  const image = (z: readonly number[]): number[] => linearImage({ matrix, offset }, z);
  const variance = (axis: number, t: number): number => ((1 - t) * deviation[axis]) ** 2 + t ** 2;
  const alongTrajectory = (z: readonly number[], from: number, to: number): number[] => z.map((value, axis) => (1 - to) * mean[axis] + Math.sqrt(variance(axis, to) / variance(axis, from)) * (value - (1 - from) * mean[axis]));
  const posteriorMean = (zT: readonly number[], t: number): number[] => componentPosterior(component, zT, t).mean;
  return {
    name: "gaussian",
    latentDimension: mean.length,
    imageDimension: offset.length,
    drawLatent: (stream) => Array.from(stream.normal(mean.length), (value, axis) => mean[axis] + deviation[axis] * value),
    image,
    posteriorMean,
    drawPosterior(zT, t, stream) {
      const posterior = componentPosterior(component, zT, t);
      return Array.from(stream.normal(mean.length), (value, axis) => posterior.mean[axis] + Math.sqrt(posterior.variance[axis]) * value);
    },
    alongTrajectory,
    averageImage(zT, r, t) {
      if (t - r < 1e-9) return image(posteriorMean(zT, t));
      const zR = alongTrajectory(zT, t, r);
      return image(zT.map((value, axis) => (t * zR[axis] - r * value) / (t - r)));
    },
  };
}
