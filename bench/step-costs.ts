/**
 * What a training step of each variant of a sweep file costs beside one of the sweep's baseline: processor time of all threads, so that other programs disturb little.
 * The result is what `stepCosts` of a budget takes, for a comparison at equal cost. Compiling and the first steps after it are left out.
 * Run: node dist/bench/step-costs.js configs/sweeps/baselines.json [steps]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expandSweep, planJobs, type Job } from "../src/model/comparison";
import { createResourcePool } from "../src/model/comparison/resource-pool";
import { defineSweepLosses } from "../src/model/comparison/sweep-plan";
import { startEngine } from "../src/model/engine";
import { createReporter } from "../src/setup/report";
import { formatProgress } from "../src/model/progress";
import type { Resources } from "../src/model/resources";
import { train } from "../src/model/trainer";

/** Steps before those that count, in which programs are compiled and caches fill. */
const WARM_UP_STEPS = 6;

/** Quartiles of the processor milliseconds of a step. */
interface StepCost {
  lower: number;
  median: number;
  upper: number;
}

async function stepCost({ config }: Job, steps: number, resources: Resources, runsFolder: string): Promise<StepCost> {
  const milliseconds: number[] = [];
  let before = process.cpuUsage();
  // Losses that start late count from the first step, and a critic that leads learns from the first: what is asked is the step with all that it has.
  const whole = { ...config, lossStart: {}, criticLead: 0, steps: WARM_UP_STEPS + steps + 1, sampleEvery: 0, checkpointEvery: 1e6, diagnosticsEvery: 0 };
  for await (const { step } of train(whole, { resources, runsFolder, existing: "replace" })) {
    const { user, system } = process.cpuUsage(before);
    // The last step writes checkpoint, samples and model.
    if (step > WARM_UP_STEPS && step < whole.steps) milliseconds.push((user + system) / 1000);
    before = process.cpuUsage();
  }
  milliseconds.sort((a, b) => a - b);
  const [lower, median, upper] = [0.25, 0.5, 0.75].map((share) => milliseconds[Math.round(share * (milliseconds.length - 1))]);
  return { lower, median, upper };
}

async function main(file: string, steps: number): Promise<void> {
  await startEngine();
  const sweep = expandSweep(JSON.parse(readFileSync(file, "utf8")));
  defineSweepLosses(sweep);
  const reporter = createReporter(process.stderr);
  const pool = createResourcePool({ onProgress: (event) => reporter.update(formatProgress(event)) });
  const runsFolder = mkdtempSync(join(tmpdir(), "crossflow-step-costs-"));
  try {
    const costs: Record<string, StepCost> = {};
    for (const job of planJobs(sweep.variants, { ...sweep, seeds: 1, budget: { ...sweep.budgets[0], stepCosts: {} } })) {
      costs[job.variant] = await stepCost(job, steps, await pool.get(job.config), runsFolder);
      const { lower, median, upper } = costs[job.variant];
      reporter.line(`${job.variant}: ${median.toFixed(0)} ms a step (quartiles ${lower.toFixed(0)} and ${upper.toFixed(0)})`);
    }
    const unit = costs[sweep.baseline].median;
    console.log(JSON.stringify({ stepCosts: Object.fromEntries(Object.entries(costs).map(([variant, { median }]) => [variant, Number((median / unit).toPrecision(3))])) }));
  } finally {
    pool.dispose();
    rmSync(runsFolder, { recursive: true, force: true });
  }
}

const [file, steps = "24"] = process.argv.slice(2);
if (file === undefined) throw new Error("name a sweep file, such as configs/sweeps/baselines.json");
void main(file, Number(steps));
