import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { markedValue } from "../model/metrics/independence";
import { formatDuration, formatProgress } from "../model/progress";
import type { Comparison, RunResult, Sweep } from "../model/comparison";
import { createReporter } from "../setup/report";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";
import { wholeNumber } from "./sample";

interface SweepFlags {
  processes?: number;
  limit?: number;
  seeds?: number;
  dryRun?: boolean;
  json?: boolean;
}

export function sweepCommand(): Command {
  const command = new Command("sweep")
    .description("train and compare the variants of a sweep file; what is finished is kept, and the same command goes on")
    .argument("<file>", "JSON file with name, base, variants or grid or random, seeds, budgets")
    .option("--processes <count>", "trainings at once; by default as many as cores and memory have room for", wholeNumber)
    .option("--limit <count>", "only so many trainings that are not done yet", wholeNumber)
    .option("--seeds <count>", "in place of the file's seeds", wholeNumber)
    .option("--dry-run", "check the file and list the trainings");
  addJsonOption(command).action(sweep);
  return addExamples(command, ["sweep configs/sweeps/region-weights.json", "sweep configs/sweeps/optimizers.json --processes 2 --limit 4", "sweep mine.json --dry-run"]);
}

async function sweep(file: string, flags: SweepFlags): Promise<void> {
  const { DEFAULT_METRICS, dependentMetrics, expandSweep, planJobs, runSweep } = await import("../model/comparison/index.js");
  const { defineSweepLosses } = await import("../model/comparison/sweep-plan.js");
  const given = readSweepFile(file);
  let plan: ReturnType<typeof expandSweep>;
  try {
    plan = expandSweep(flags.seeds === undefined ? given : { ...(given as object), seeds: flags.seeds });
    defineSweepLosses(plan);
    for (const budget of plan.budgets) planJobs(plan.variants, { ...plan, budget });
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`, EXIT.usage, { cause: error });
  }
  if (flags.dryRun) {
    const trainings = plan.budgets.flatMap((budget) => planJobs(plan.variants, { ...plan, budget }).map(({ variant, seed, config }) => ({ variant, seed, steps: config.steps, batchSize: config.batchSize })));
    if (flags.json) console.log(JSON.stringify({ ok: true, trainings }, null, 2));
    else console.log(formatTable([["variant", "seed", "steps", "batch"], ...trainings.map(({ variant, seed, steps, batchSize }) => [variant, String(seed), String(steps), String(batchSize)])]));
    return;
  }
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  let finished = 0;
  try {
    const { comparisons, planned, done } = await runSweep(plan, {
      processes: flags.processes, limit: flags.limit, signal,
      onProgress: (event) => reporter.update(formatProgress(event)),
      onResult: (result) => {
        finished += Number(result.status === "done" && result.takenFrom === undefined);
        reporter.line(describeResult(result, dependentMetrics([result], DEFAULT_METRICS).map(({ metric }) => metric)));
      },
    });
    const reports = await writeReports(plan, comparisons, signal);
    if (flags.json) console.log(JSON.stringify({ ok: true, planned, done, comparisons, reports: Object.fromEntries(reports) }, null, 2));
    else {
      for (const comparison of comparisons) await printComparison(comparison, reports.get(comparison.name)!);
      if (done < planned) console.log(`${planned - done} of ${planned} trainings are not done; the same command goes on.`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError(`Interrupted. ${finished} trainings were finished now and are kept, and those under way have a checkpoint: the same command goes on.`, EXIT.interrupted, { cause: error });
  }
}

/** One line a result. @param dependent metrics that are no evidence for it */
function describeResult({ variant, seed, status, error, metrics, seconds, takenFrom }: RunResult, dependent: readonly string[]): string {
  const outcome = status === "done" ? Object.entries(metrics).map(([name, value]) => `${name} ${markedValue(value.toPrecision(4), !dependent.includes(name))}`).join("  ") : `FAILED: ${error}`;
  return `${variant}, seed ${seed}: ${outcome} (${takenFrom === undefined ? formatDuration(seconds) : `taken over from ${takenFrom}`})`;
}

/**
 * Draws each comparison of which something is finished into its folder. Pictures are not worth losing a sweep's tables for: one that can not be drawn is a line.
 * @returns the page of each comparison, or why there is none
 */
async function writeReports(plan: Sweep, comparisons: readonly Comparison[], signal: AbortSignal): Promise<Map<string, string>> {
  const { methodNamed } = await import("../model/baselines/index.js");
  const { planJobs } = await import("../model/comparison/index.js");
  const { createResourcePool } = await import("../model/comparison/resource-pool.js");
  const { startEngine } = await import("../model/engine/index.js");
  const { writeComparisonReport } = await import("../kernel-helpers/comparison-report.js");
  const reports = new Map<string, string>();
  const pool = createResourcePool({ signal });
  try {
    for (const comparison of comparisons) {
      const { name, budget, results } = comparison;
      if (!results.some(({ status }) => status === "done")) {
        reports.set(name, "nothing is finished yet");
        continue;
      }
      try {
        await startEngine();
        // Latents of a baseline become images by the autoencoder's decoder.
        const latent = planJobs(plan.variants, { ...plan, budget }).find(({ config: { method } }) => methodNamed(method).space === "latent" && methodNamed(method).generate);
        const encoder = latent && (await pool.get(latent.config)).encoder;
        reports.set(name, (await writeComparisonReport(comparison, { encoder })).at(-1)!);
      } catch (error) {
        reports.set(name, `not drawn: ${(error as Error).message}`);
      }
    }
  } finally {
    pool.dispose();
  }
  return reports;
}

async function printComparison(comparison: Comparison, report: string): Promise<void> {
  const { differenceRows, failureLines, independenceLines, summaryRows } = await import("../model/comparison/index.js");
  const { name, folder } = comparison;
  const asText = (rows: Record<string, string | number>[]): string => (rows.length === 0 ? "" : formatTable([Object.keys(rows[0]), ...rows.map((row) => Object.values(row).map(String))]));
  console.log([`\n${name}`, asText(summaryRows(comparison)), "", asText(differenceRows(comparison)), ...independenceLines(comparison), ...failureLines(comparison).map((line) => `failed: ${line}`), "", `table: ${join(folder, "table.md")}`, `report: ${report}`].join("\n"));
}

function readSweepFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new CommandError(`The sweep file ${file} can not be read: ${(error as Error).message}`, EXIT.usage, { cause: error });
  }
}
