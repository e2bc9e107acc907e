import { tf } from "./engine/tf";
import type { RandomStream } from "./random";
import { drawTimes, type TimeSamplerOptions } from "./schedules/time-samplers";

/** How the pairs of times r <= t are drawn; see the training options of the same names. */
export interface TimeOptions {
  /** Smallest distance of r and t from 0 and 1 (eps_t); the pairs that are asked for r = 0 or t = 1 are exempt. */
  minimumTime: number;
  /** Share of the batch with r = t, for which no Jacobian-vector product is needed. */
  diagonalShare: number;
  /** Share of the batch with r = 0 exactly: the trajectory's whole way down. */
  endShare: number;
  /** Share of those with t = 1 as well: the pair that one-step sampling uses. */
  noiseShare: number;
  /** Share of the samples with r = t whose time is (nearly) 0: there F decodes clean latents, the end to which r = 0 leads. */
  boundaryShare: number;
  /** Factor s of the shift u -> s u / (1 + (s - 1) u). */
  timeShift: number;
}

/** The time that stands for 0 where r = t, since the residual divides by t. */
export const BOUNDARY_TIME = 1e-4;

/** A batch of times, ordered: first the samples with r = 0, then the others with r < t, then those with r = t, the boundary last. */
export interface Times {
  /** [B] each. */
  r: Float32Array;
  t: Float32Array;
  /** How many samples have r = 0. */
  atEnd: number;
  /** How many have r < t; the first `atEnd` of them with r = 0. */
  offDiagonal: number;
}

/**
 * The paper's shift for a latent of the given size, s = sqrt(size / 4096): small latents carry less, so training looks at less noise.
 * @param latentSize numbers in one latent, h * w * c
 */
export function timeShiftFor(latentSize: number): number {
  return Math.sqrt(latentSize / 4096);
}

/**
 * Draws a batch of times (Sec. 3.3): two shifted numbers of the sampler (uniform by default), clamped and sorted so that r <= t. The shares with r = 0 and at the
 * boundary are ours: a small training meets the neighbourhoods of (0, 1), where one-step sampling lives, and of (0, 0), where the images come
 * from, too seldom by chance; without the boundary the images at r = 0 drift.
 * @returns r and t, [B] each, 0 <= r <= t <= 1, t > 0
 */
export function sampleTimes(stream: RandomStream, batchSize: number, options: TimeOptions & Partial<TimeSamplerOptions & { timeSampler: string }>): Times {
  const offDiagonal = batchSize - Math.round(batchSize * options.diagonalShare);
  const atEnd = Math.min(Math.round(batchSize * options.endShare), offDiagonal);
  const atNoise = Math.round(atEnd * options.noiseShare);
  const atBoundary = batchSize - Math.round((batchSize - offDiagonal) * options.boundaryShare);
  const shift = (u: number): number => {
    const shifted = (options.timeShift * u) / (1 + (options.timeShift - 1) * u);
    return Math.min(Math.max(shifted, options.minimumTime), 1 - options.minimumTime);
  };
  const { timeSampler = "uniform", timeMean = 0, timeSpread = 1 } = options;
  const draw = (): Float32Array => drawTimes(timeSampler, stream, batchSize, { timeMean, timeSpread }).map(shift);
  const [first, second] = [draw(), draw()];
  const isOff = (index: number): boolean => index >= atEnd && index < offDiagonal;
  const t = first.map((time, index) => (index < atNoise ? 1 : index >= atBoundary ? BOUNDARY_TIME : isOff(index) ? Math.max(time, second[index]) : time));
  const r = first.map((time, index) => (index < atEnd ? 0 : index >= atBoundary ? BOUNDARY_TIME : isOff(index) ? Math.min(time, second[index]) : time));
  return { r, t, atEnd, offDiagonal };
}

/** Times [B] as [B, 1, 1, 1], to be multiplied with latents or images. */
export function perSample(times: tf.Tensor1D): tf.Tensor4D {
  return times.reshape([-1, 1, 1, 1]);
}

/**
 * The point of the latent trajectory at time t: z_t = (1 - t) z + t eps.
 * @param z clean latents [B, h, w, c], normalised
 * @param eps noise [B, h, w, c], standard normal
 * @param t times [B] in [0, 1]: 0 is the clean latent, 1 is noise
 * @returns zT [B, h, w, c]
 */
export function latentAt(z: tf.Tensor4D, eps: tf.Tensor4D, t: tf.Tensor1D): tf.Tensor4D {
  const time = perSample(t);
  return tf.add(tf.mul(tf.sub(1, time), z), tf.mul(time, eps));
}

/**
 * The conditional velocity of the trajectory, v = eps - z: the direction along which the network is differentiated.
 * @returns v [B, h, w, c]
 */
export function velocity(z: tf.Tensor4D, eps: tf.Tensor4D): tf.Tensor4D {
  return tf.sub(eps, z);
}

/**
 * Follows a flow downwards, dz/dt = v(z, t), by Euler's steps: exact where the velocity is constant along the way, else off by the order of a step's length.
 * @param velocityAt velocities [B, h, w, c] at points [B, h, w, c] and their times [B]
 * @param zT points [B, h, w, c] at the times t [B], above 0
 * @param earlier times [B] to go to, from 0 to t
 * @param spacing of n steps the k-th begins where (1 - k / n)^spacing of the way is left: 1 for steps of equal length, above for shorter ones towards the end
 * @returns z at the earlier times [B, h, w, c]
 */
export function followFlow(velocityAt: (zT: tf.Tensor4D, t: tf.Tensor1D) => tf.Tensor4D, zT: tf.Tensor4D, t: tf.Tensor1D, earlier: tf.Tensor1D, steps: number, spacing = 1): tf.Tensor4D {
  const left = (step: number): number => (1 - step / steps) ** spacing;
  return tf.tidy(() => {
    const way = tf.sub(t, earlier);
    let point = zT;
    for (let step = 0; step < steps; step++) {
      const velocity = velocityAt(point, tf.add(earlier, tf.mul(way, left(step))));
      point = tf.sub(point, tf.mul(perSample(tf.mul(way, left(step) - left(step + 1))), velocity));
    }
    return point;
  });
}
