import { tf } from "../engine/tf";

/** A positive weight of the residual by times r and t, [B] each. None moves the solution, since each pair's residual has mean zero there. */
export type RegionWeight = (r: tf.Tensor1D, t: tf.Tensor1D) => tf.Tensor1D;

/** Largest t^2 / r that is applied, since it has no bound as r -> 0. */
const LARGEST_WEIGHT = 10;

/** w = 1: the paper's R as it is, whose gradient reaches F with scale r / t^2. */
export const noWeight: RegionWeight = (_, t) => tf.onesLike(t);

/** w = t (ours): t R is F's distance from its target, r / t (F - x0) + (t - r) dF/dt. */
export const timeWeight: RegionWeight = (_, t) => t;

/** w = min(t^2 / r, 10) (ours): the gradient reaches F with scale 1. */
export const inverseScaleWeight: RegionWeight = (r, t) => tf.div(tf.square(t), tf.maximum(r, tf.div(tf.square(t), LARGEST_WEIGHT)));

/** The region weights by the name that a pixel loss gives them. */
export const REGION_WEIGHTS = { none: noWeight, t: timeWeight, "t^2/r": inverseScaleWeight } as const satisfies Record<string, RegionWeight>;

export type RegionWeightName = keyof typeof REGION_WEIGHTS;
