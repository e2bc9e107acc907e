import type { RandomStream } from "../random";

/** A data set whose latents have a known density, and whose images are a linear map of them: everything that training looks for has a closed form, or an integral of one. Sizes are small; numbers are float64. */
export interface Oracle {
  name: string;
  /** Numbers in a latent, d. */
  latentDimension: number;
  /** Numbers in an image, D. */
  imageDimension: number;
  /** One latent [d] of the data. */
  drawLatent(stream: RandomStream): number[];
  /** The image [D] of a latent [d]: A z + b. */
  image(z: readonly number[]): number[];
  /** E[z | z_t] [d]. */
  posteriorMean(zT: readonly number[], t: number): number[];
  /** A latent of the data, drawn given z_t: what the noisy batch of a training holds at that point. @param t above 0 */
  drawPosterior(zT: readonly number[], t: number, stream: RandomStream): number[];
  /** The point at time `to` of the trajectory dz/dt = E[eps - z | z_t] through z at time `from`. */
  alongTrajectory(z: readonly number[], from: number, to: number): number[];
  /** The target field X(z_t, r, t) [D], which satisfies r X + t (t - r) dX/dt = r E[x0 | z_t]. */
  averageImage(zT: readonly number[], r: number, t: number): number[];
}

/** One normal component of a mixture, with independent coordinates. */
export interface Component {
  /** Relative weight. */
  share: number;
  /** [d] each. */
  mean: readonly number[];
  deviation: readonly number[];
}

/** The images' map: matrix A [D][d] and offset b [D]. */
export interface LinearImage {
  matrix: readonly (readonly number[])[];
  offset: readonly number[];
}

/** The exact one-step map eps -> image: the image of the end of the trajectory that begins in the noise. */
export function oneStepImage(oracle: Oracle, eps: readonly number[]): number[] {
  return oracle.image(oracle.alongTrajectory(eps, 1, 0));
}

/** A z + b. */
export function linearImage({ matrix, offset }: LinearImage, z: readonly number[]): number[] {
  return matrix.map((row, index) => row.reduce((sum, weight, column) => sum + weight * z[column], offset[index]));
}

/**
 * What of a component is left at z_t: its posterior weight (unnormalised, as a logarithm), and mean and variance of z given z_t, coordinate by coordinate.
 * z_t = (1 - t) z + t eps, so z_t is normal with mean (1 - t) m and variance ((1 - t) s)^2 + t^2.
 */
export function componentPosterior({ share, mean, deviation }: Component, zT: readonly number[], t: number): { logWeight: number; mean: number[]; variance: number[] } {
  let logWeight = Math.log(share);
  const parts = mean.map((m, axis) => {
    const variance = ((1 - t) * deviation[axis]) ** 2 + t ** 2;
    const gap = zT[axis] - (1 - t) * m;
    logWeight -= 0.5 * (Math.log(variance) + gap ** 2 / variance);
    return { mean: m + (((1 - t) * deviation[axis] ** 2) / variance) * gap, variance: (deviation[axis] * t) ** 2 / variance };
  });
  return { logWeight, mean: parts.map((part) => part.mean), variance: parts.map((part) => part.variance) };
}
