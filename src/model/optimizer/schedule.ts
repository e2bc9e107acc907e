export interface ScheduleOptions {
  /** Steps over which the rate rises from zero. */
  warmupSteps: number;
  /** Steps of the whole training, at whose end the rate is lowest. */
  steps: number;
  /** Share of the peak rate that is left at the end. */
  finalShare: number;
}

/**
 * Linear warm-up, then half a cosine down (Loshchilov and Hutter, 2017).
 * @param step 0 at the first step
 * @returns the share of the peak rate, in (0, 1]
 */
export function learningRateAt(step: number, { warmupSteps, steps, finalShare }: ScheduleOptions): number {
  if (step < warmupSteps) return (step + 1) / warmupSteps;
  const progress = Math.min((step - warmupSteps) / Math.max(steps - warmupSteps, 1), 1);
  return finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * progress));
}
