import { unknownNameMessage } from "../nearest-name";
import type { RandomStream } from "../random";

/** What a sampler of times may use of the configuration. */
export interface TimeSamplerOptions {
  /** Mean and standard deviation of the logit, for "logit-normal". */
  timeMean: number;
  timeSpread: number;
}

/** Draws `count` times in [0, 1]; the shift, the limits and the pairing with r <= t come after it. */
export type TimeSampler = (stream: RandomStream, count: number, options: TimeSamplerOptions) => Float32Array;

/** u ~ U(0, 1); with the shift s u / (1 + (s - 1) u) the paper's (Sec. 3.3). */
export const uniformTimes: TimeSampler = (stream, count) => stream.uniform(count);

/** 1 / (1 + exp(-x)), x ~ N(mean, spread^2): most times in the middle (Esser et al., 2024; MeanFlow has -0.4 and 1). */
export const logitNormalTimes: TimeSampler = (stream, count, { timeMean, timeSpread }) => stream.normal(count).map((x) => 1 / (1 + Math.exp(-(timeMean + timeSpread * x))));

const registry = new Map<string, TimeSampler>([["uniform", uniformTimes], ["logit-normal", logitNormalTimes]]);

/**
 * Makes a sampler of times known by name, so that `train({ timeSampler: name })` finds it. A name that is taken is replaced.
 * @param sampler draws times from the stream alone, so that a resumed training draws the same
 * @returns the sampler itself
 */
export function defineTimeSampler(name: string, sampler: TimeSampler): TimeSampler {
  registry.set(name, sampler);
  return sampler;
}

/** @throws Error naming the samplers nearest in spelling */
export function timeSamplerNamed(name: string): TimeSampler {
  const sampler = registry.get(name);
  if (!sampler) throw new Error(`${unknownNameMessage("time sampler", name, timeSamplerNames())} Define it with defineTimeSampler("${name}", (stream, count) => ...) before training`);
  return sampler;
}

export function timeSamplerNames(): string[] {
  return [...registry.keys()];
}

/**
 * Draws times and checks them.
 * @returns [count], in [0, 1]
 * @throws Error naming the sampler when it draws another count or leaves [0, 1]
 */
export function drawTimes(name: string, stream: RandomStream, count: number, options: TimeSamplerOptions): Float32Array {
  const times = timeSamplerNamed(name)(stream, count, options);
  if (!(times instanceof Float32Array) || times.length !== count) throw new Error(`time sampler "${name}" must return a Float32Array of ${count} times, not ${times instanceof Float32Array ? `${times.length}` : typeof times}`);
  const outside = times.find((time) => !(time >= 0 && time <= 1));
  if (outside !== undefined) throw new Error(`time sampler "${name}" drew ${outside}: times lie between 0 and 1`);
  return times;
}
