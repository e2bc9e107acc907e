import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { generateImages } from "../baselines";
import { lossNetworksOf } from "../metrics";
import { disposeModel, loadModel } from "../model";
import type { ProgressListener } from "../progress";
import type { Resources } from "../resources";
import { readMetrics, runPaths } from "../run";
import { train, type StepEvent } from "../trainer";
import type { Measure } from "./measure";
import type { Job } from "./plan";
import type { CurvePoint, RunResult } from "./results";
import { finishedElsewhere } from "./shared-results";

export interface RunJobOptions {
  /** The comparison's folder; runs lie in its folder "runs", each named by its key. */
  folder: string;
  /** Generated images to measure. */
  samples: number;
  measure: Measure;
  resources: Resources;
  /** Whether data and measures are those of the configuration alone, so that other comparisons may take the result over. */
  shareable: boolean;
  signal?: AbortSignal;
  onStep?: (event: StepEvent) => void;
  onProgress?: ProgressListener;
}

/** Points of a learning curve. */
const CURVE_POINTS = 60;

/**
 * Trains and measures one job of a comparison. A training that was interrupted goes on from its checkpoint; one that is finished, here or in another comparison beside this one,
 * is only measured.
 * @returns its result, "failed" with the reason where the training or the measuring threw
 * @throws the signal's reason when aborted; a checkpoint is kept then
 */
export async function runJob(job: Job, options: RunJobOptions): Promise<RunResult> {
  const { folder, samples, measure, resources, shareable, signal, onStep, onProgress } = options;
  const runsFolder = join(folder, "runs");
  const own = runPaths(job.key, runsFolder);
  const paths = existsSync(own.modelFile) ? own : ((await finishedElsewhere(job, folder, resources)) ?? own);
  const result = { key: job.key, variant: job.variant, seed: job.seed, samples, model: paths.modelFile, shareable };
  try {
    if (!existsSync(paths.modelFile)) {
      for await (const event of train({ ...job.config, sampleEvery: 0 }, { resources, runsFolder, existing: "resume", signal, onProgress })) onStep?.(event);
    }
    const model = await loadModel(paths.modelFile);
    try {
      const metrics = await measure({ generate: (labels, seed) => generateImages(model, labels, { seed, encoder: resources.encoder }), resources, config: job.config, samples, signal, onProgress });
      // The weights are kept in the model; checkpoints with the optimiser's state take several times as much.
      await rm(own.checkpoints, { recursive: true, force: true });
      return { ...result, status: "done", metrics, lossNetworks: lossNetworksOf(model), ...learningCurve(paths.metricsFile) };
    } finally {
      disposeModel(model);
    }
  } catch (error) {
    signal?.throwIfAborted();
    return { ...result, status: "failed", error: (error as Error).message, metrics: {}, ...learningCurve(paths.metricsFile) };
  }
}

/** The residual's mean over each of a fixed number of equal stretches of the training. */
export function learningCurve(metricsFile: string): { curve: CurvePoint[]; seconds: number } {
  const rows = readMetrics(metricsFile);
  const stretch = Math.max(1, Math.ceil(rows.length / CURVE_POINTS));
  const curve: CurvePoint[] = [];
  for (let start = 0; start < rows.length; start += stretch) {
    const part = rows.slice(start, start + stretch);
    curve.push({ step: part[part.length - 1].step, residual: part.reduce((sum, row) => sum + Number(row.residual), 0) / part.length });
  }
  return { curve, seconds: rows.reduce((sum, row) => sum + Number(row.seconds), 0) };
}
