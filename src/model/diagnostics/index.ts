import type { TrainConfig } from "../config";
import { collapseAlarms, type Alarm } from "./alarms";
import type { ProbeResult } from "./probe";
import { createRegionSums, rounded, type RegionMaps, type SampleNorms } from "./regions";

export { ALARM_LIMITS, collapseAlarms, describeAlarm, type Alarm } from "./alarms";
export { createProbe, type Probe, type ProbeResult } from "./probe";
export { REGION_COLUMNS, REGION_ROWS, regionOf, type RegionMap, type RegionMaps } from "./regions";

/** What a training showed since the diagnostics before: one line of a run's diagnostics.jsonl. */
export interface Diagnostics extends ProbeResult {
  step: number;
  /** Steps that the averages are over. */
  steps: number;
  regions: RegionMaps;
  /** Mean |t R| of the first step that was watched, before any update, and of these steps. */
  residual: { start: number; mean: number };
  /** Mean joint norm of the gradients before clipping. */
  gradientNorm: number;
  /** |change| / |weights| of the last step, by part of the network. */
  updateToWeight: Record<string, number>;
  /** Where a critic learned: share of the pairs in which it scores the real image higher, mean gap of the scores, its loss. */
  critic?: { accuracy: number; gap: number; loss: number };
  alarms: Alarm[];
}

/** Numbers of one step that the diagnostics collect. */
export interface ObservedStep {
  /** Steps done. */
  step: number;
  r: ArrayLike<number>;
  t: ArrayLike<number>;
  norms: SampleNorms;
  residual: number;
  gradientNorm: number;
  critic?: { accuracy: number; gap: number; loss: number };
}

/** Watches a training. */
export interface DiagnosticsWindow {
  observe(step: ObservedStep): void;
  /** Closes the window: averages, probe, alarms; the next one begins. */
  close(probe: ProbeResult, updateToWeight: Record<string, number>): Diagnostics;
}

/**
 * Collects what steps show, from one diagnostics to the next.
 * @param history diagnostics of the same training before a resumption
 */
export function createDiagnosticsWindow(config: TrainConfig, history: readonly Diagnostics[] = []): DiagnosticsWindow {
  const all = [...history];
  let start: number | undefined = all[0]?.residual.start;
  let steps: ObservedStep[] = [];
  let sums = createRegionSums();
  const mean = (values: number[]): number => rounded(values.reduce((sum, value) => sum + value, 0) / values.length);
  return {
    observe(step) {
      sums.add(step.r, step.t, step.norms);
      steps.push({ ...step, r: [], t: [], norms: { gradient: [], residual: [], derivative: [] } });
      start ??= rounded(step.residual);
    },
    close(probe, updateToWeight) {
      const critics = steps.flatMap(({ critic }) => critic ?? []);
      const critic = critics.length > 0 ? { accuracy: mean(critics.map(({ accuracy }) => accuracy)), gap: mean(critics.map(({ gap }) => gap)), loss: mean(critics.map(({ loss }) => loss)) } : undefined;
      const measured = {
        step: steps[steps.length - 1].step,
        steps: steps.length,
        regions: sums.maps(),
        residual: { start: start ?? 0, mean: mean(steps.map(({ residual }) => residual)) },
        gradientNorm: mean(steps.map(({ gradientNorm }) => gradientNorm)),
        updateToWeight,
        ...(critic && { critic }),
        ...probe,
      };
      const diagnostics: Diagnostics = { ...measured, alarms: collapseAlarms([...all, measured], config) };
      all.push(diagnostics);
      [steps, sums] = [[], createRegionSums()];
      return diagnostics;
    },
  };
}
