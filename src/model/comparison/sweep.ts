import { join } from "node:path";
import { writeFileAtomic } from "../files";
import { comparisonFolder, finishComparison, type Comparison } from "./compare";
import { runInProcesses, type ParallelOptions, type PlacedJob } from "./parallel";
import { planJobs } from "./plan";
import { takeOverResults } from "./shared-results";
import { appendResult, cachedResult, readResults, type RunResult } from "./results";
import { defineSweepLosses, budgetName, type Sweep } from "./sweep-plan";
import type { LongRunOptions } from "../progress";

export interface SweepOptions extends LongRunOptions {
  /** Trainings at once, each in a process of its own; as many as cores and memory have room for by default. */
  processes?: number;
  /** Only the first so many trainings that are not done yet; all by default. */
  limit?: number;
  comparisonsFolder?: string;
  onResult?: (result: RunResult) => void;
  /** How jobs are run; in processes by default. */
  run?: (jobs: readonly PlacedJob[], options: ParallelOptions) => Promise<void>;
}

/** What a sweep's plan holds, and how much of it is done. */
export interface SweepState {
  comparisons: Comparison[];
  planned: number;
  done: number;
}

/**
 * Runs a sweep: one comparison a budget, all trainings in one queue. Finished trainings are kept and not run again, those of other comparisons in the same folder are taken over; the table of each comparison is written at the end, and
 * when the sweep is interrupted with what is there.
 * @throws Error before anything runs when a variant is faulty; the signal's reason when aborted
 */
export async function runSweep(sweep: Sweep, options: SweepOptions = {}): Promise<SweepState> {
  const { processes, limit = Infinity, comparisonsFolder, onResult, signal, onProgress, run = runInProcesses } = options;
  const { base, variants, seeds, samples, pixelLosses } = sweep;
  defineSweepLosses(sweep);
  const plans = sweep.budgets.map((budget) => ({ budget, name: budgetName(sweep.name, budget), folder: comparisonFolder(budgetName(sweep.name, budget), comparisonsFolder), jobs: planJobs(variants, { seeds, budget, base }) }));
  const fileOf = (folder: string): string => join(folder, "results.jsonl");
  const isDone = ({ job, folder }: PlacedJob): boolean => cachedResult(readResults(fileOf(folder)), job.key, samples) !== undefined;
  const placed = plans.flatMap(({ jobs, folder }) => jobs.map((job) => ({ job, folder })));
  // Equal trainings are run once.
  const different = placed.filter((one, index) => placed.findIndex(({ job, folder }) => job.key === one.job.key && folder === one.folder) === index);
  const takeOver = async (): Promise<void> => {
    for (const { folder, jobs } of plans) (await takeOverResults(jobs, { folder, samples })).forEach((result) => onResult?.(result));
  };
  await takeOver();
  const undone = different.filter((one) => !isDone(one));
  const waiting = undone.filter(({ job }, index) => undone.findIndex((one) => one.job.key === job.key) === index).slice(0, limit);
  const failures: RunResult[] = [];
  const finish = (): Promise<Comparison[]> =>
    Promise.all(plans.map(({ budget, name, folder, jobs }) => finishComparison(jobs, [...readResults(fileOf(folder)), ...failures], { ...sweep, budget, name, folder })));
  try {
    await run(waiting, {
      samples, pixelLosses, processes, signal, onProgress,
      onResult: async ({ folder }, result) => {
        await appendResult(fileOf(folder), result);
        if (result.status === "failed") failures.push(result);
        onResult?.(result);
      },
    });
  } catch (error) {
    await finish();
    throw error;
  }
  // What two budgets of the sweep share was run for the first of them.
  await takeOver();
  const comparisons = await finish();
  for (const { folder } of comparisons) await writeFileAtomic(join(folder, "sweep.json"), `${JSON.stringify(sweep, null, 2)}\n`);
  return { comparisons, planned: different.length, done: different.filter(isDone).length };
}
