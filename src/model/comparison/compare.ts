import { join } from "node:path";
import { projectRoot, writeFileAtomic } from "../files";
import { interruptSignal } from "../interrupt";
import { networksOfLosses } from "../metrics";
import { createProgress, type LongRunOptions } from "../progress";
import type { Resources } from "../resources";
import { compareResults, summarizeVariants, type AnalysisOptions, type Difference, type VariantSummary } from "./analysis";
import { createDefaultMeasure, type Measure } from "./measure";
import { planJobs, seedList, type Budget, type Job, type PlanOptions, type Variant } from "./plan";
import { comparisonMarkdown } from "./report";
import { createResourcePool } from "./resource-pool";
import { appendResult, cachedResult, DEFAULT_METRICS, dependentMetrics, readResults, type DependentMetric, type Metric, type RunResult } from "./results";
import { runJob } from "./run-job";
import { takeOverResults } from "./shared-results";

export interface CompareOptions extends PlanOptions, AnalysisOptions, LongRunOptions {
  /** Names the folder of the comparison, runs/comparisons/NAME. Default "comparison". */
  name?: string;
  /** Generated images that each run is measured with. Default 500; distances compare only at equal counts. */
  samples?: number;
  /** What to measure, and how; class accuracy and the distances in EfficientNet-Lite2 features by default. */
  metrics?: readonly Metric[];
  measure?: Measure;
  /** Data, encoder and latents, where they are loaded already and fit all variants; the caller disposes of them. */
  resources?: Resources;
  /** Folder of all comparisons; `runs/comparisons` in the project's folder by default. */
  comparisonsFolder?: string;
  /** Hears of each finished run. */
  onResult?: (result: RunResult) => void;
}

/** What a comparison found. */
export interface Comparison {
  name: string;
  folder: string;
  variants: string[];
  seeds: number[];
  budget: Budget;
  samples: number;
  metrics: readonly Metric[];
  /** One a variant and seed, those that failed too. */
  results: RunResult[];
  summaries: VariantSummary[];
  differences: Difference[];
  /** Metrics that are no evidence for a variant, since its losses used their network. */
  notIndependent: DependentMetric[];
}

export const COMPARE_DEFAULTS = { name: "comparison", samples: 500 };

/** Work of measuring a run, in training steps, as far as the time left is concerned. */
const MEASURING_STEPS = 20;

/** Where a comparison's files lie. */
export function comparisonFolder(name: string, comparisonsFolder: string = join(projectRoot(), "runs", "comparisons")): string {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(name)) throw new Error(`"${name}" can not name a comparison: letters, digits, '.', '-' and '_', with a letter or digit first`);
  return join(comparisonsFolder, name);
}

/**
 * Compares variants of a training fairly: each seed gives all of them the same data order, noise, times and starting weights, and the same steps and batch size.
 *
 *     const found = await compare({ ours: {}, paper: { losses: { "pixel-paper": 1 } } }, { seeds: 5, budget: { steps: 300, batchSize: 32 } });
 *
 * Each finished run is a line of results.jsonl under a hash of its configuration, its losses and the code, and is not run again; one that another comparison in the same folder
 * has finished is taken over (measured anew where either was measured by the caller's own means); an interrupted one goes on from its checkpoint. A run that fails is noted, and the others go on; a later call tries it again. Writes comparison.json and table.md.
 * @param variants the options in which each differs from `base`
 * @returns the results with differences to the baseline (the first variant, unless `baseline` names one), their intervals, tests and verdicts
 * @throws Error before anything runs when a variant is faulty; the signal's reason when aborted, with everything finished kept
 */
export async function compare(variants: Readonly<Record<string, Variant>>, options: CompareOptions): Promise<Comparison> {
  const { name, samples } = { ...COMPARE_DEFAULTS, ...options };
  const signal = options.signal ?? interruptSignal();
  const jobs = planJobs(variants, options);
  const folder = comparisonFolder(name, options.comparisonsFolder);
  const resultsFile = join(folder, "results.jsonl");
  const measured = options.measure ? { measure: options.measure, dispose: () => undefined } : createDefaultMeasure();
  const pool = createResourcePool({ signal, onProgress: options.onProgress });
  const work = (some: readonly Job[]): number => some.reduce((sum, { config }) => sum + config.steps + MEASURING_STEPS, 0);
  // What the caller measures by, or on, another comparison need not have measured by.
  const shareable = options.measure === undefined && options.resources === undefined;
  if (shareable) (await takeOverResults(jobs, { folder, samples })).forEach((result) => options.onResult?.(result));
  const waiting = jobs.filter(({ key }) => !cachedResult(readResults(resultsFile), key, samples));
  const progress = createProgress({ label: "comparing", total: work(jobs), done: work(jobs) - work(waiting), onUpdate: options.onProgress });
  const failures: RunResult[] = [];
  try {
    for (const [index, job] of waiting.entries()) {
      signal.throwIfAborted();
      const before = work(jobs) - work(waiting.slice(index));
      const reach = (workDone: number): void => void progress.advance(before + workDone - progress.current().done);
      const result = await runJob(job, {
        folder, samples, signal, shareable,
        measure: measured.measure,
        resources: options.resources ?? (await pool.get(job.config)),
        onStep: ({ step }) => reach(step),
      });
      await appendResult(resultsFile, result);
      if (result.status === "failed") failures.push(result);
      reach(work([job]));
      options.onResult?.(result);
    }
  } finally {
    measured.dispose();
    pool.dispose();
  }
  return finishComparison(jobs, [...readResults(resultsFile), ...failures], { ...options, name, samples, folder });
}

/**
 * Analyses what is there of a comparison's runs, and writes comparison.json and table.md.
 * @param jobs the plan; results of other jobs do not count
 */
export async function finishComparison(jobs: readonly Job[], all: readonly RunResult[], options: CompareOptions & { name: string; samples: number; folder: string }): Promise<Comparison> {
  const { name, folder, samples, budget, metrics = DEFAULT_METRICS } = options;
  const variants = [...new Set(jobs.map(({ variant }) => variant))];
  // Equal trainings share one run, whatever variant it was made for.
  const results = jobs.flatMap(({ key, variant, seed, config }): RunResult[] => {
    const found = cachedResult(all, key, samples) ?? all.filter((result) => result.key === key).at(-1);
    return found ? [{ ...found, variant, seed, lossNetworks: found.lossNetworks ?? networksOfLosses(config) }] : [];
  });
  const comparison: Comparison = {
    name, folder, variants, seeds: seedList(options.seeds), budget, samples, metrics, results,
    summaries: summarizeVariants(results, variants, metrics, options),
    differences: compareResults(results, variants, metrics, options),
    notIndependent: dependentMetrics(results, metrics),
  };
  await writeFileAtomic(join(folder, "comparison.json"), `${JSON.stringify(comparison, null, 2)}\n`);
  await writeFileAtomic(join(folder, "table.md"), comparisonMarkdown(comparison));
  return comparison;
}
