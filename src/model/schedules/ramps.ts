import { unknownNameMessage } from "../nearest-name";

/** How a loss's weight moves over its ramp. @param progress 0 at the first step after the loss's start, 1 when the ramp is over @returns share of the weight, at least 0 */
export type Ramp = (progress: number) => number;

/** p: a straight line from 0 to the whole weight. */
export const linearRamp: Ramp = (progress) => progress;

/** (1 - cos(pi p)) / 2: slow at both ends (half a cosine, as Loshchilov and Hutter, 2017, have it for rates). */
export const cosineRamp: Ramp = (progress) => 0.5 * (1 - Math.cos(Math.PI * progress));

/** exp(-5 (1 - p)^2): nearly nothing at first, then quickly more (Laine and Aila, 2017). */
export const warmUpRamp: Ramp = (progress) => Math.exp(-5 * (1 - progress) ** 2);

/** 1 - p: from the whole weight to nothing, for what shall only help in the beginning. */
export const fadeRamp: Ramp = (progress) => 1 - progress;

const registry = new Map<string, Ramp>([["linear", linearRamp], ["cosine", cosineRamp], ["warm-up", warmUpRamp], ["fade", fadeRamp]]);

/**
 * Makes a ramp known by name, so that `train({ lossRamp: { perceptual: name } })` finds it. A name that is taken is replaced.
 * @param ramp share of the weight by progress from 0 to 1; computed once a step and handed to the compiled step as a number
 * @returns the ramp itself
 */
export function defineRamp(name: string, ramp: Ramp): Ramp {
  registry.set(name, ramp);
  return ramp;
}

/** @throws Error naming the ramps nearest in spelling */
export function rampNamed(name: string): Ramp {
  const ramp = registry.get(name);
  if (!ramp) throw new Error(`${unknownNameMessage("ramp", name, rampNames())} Define it with defineRamp("${name}", (progress) => ...) before training`);
  return ramp;
}

export function rampNames(): string[] {
  return [...registry.keys()];
}

/** When and how a loss comes in. */
export interface LossSchedule {
  /** Step from which it counts: a staged start. */
  start: number;
  /** Steps of its ramp; 0 for the whole weight at once. */
  rampSteps: number;
  ramp: string;
}

/**
 * The share of its weight at which a loss counts.
 * @param step 0 at the first step of the training
 * @returns 0 before its start; then the ramp's share, whose progress is 1 at the last of its steps
 * @throws Error naming the ramp when its share is no number of at least 0
 */
export function lossShareAt(step: number, { start, rampSteps, ramp }: LossSchedule): number {
  if (step < start) return 0;
  const share = rampSteps === 0 ? 1 : rampNamed(ramp)(Math.min((step - start + 1) / rampSteps, 1));
  if (!Number.isFinite(share) || share < 0) throw new Error(`ramp "${ramp}" gave ${share} in step ${step + 1}: it must give a number of at least 0`);
  return share;
}
