/**
 * Compares averages of the weights: one training a seed with snapshots, all averages of it measured and analysed as compare() does. What is done is kept, and the same command goes on.
 * Run: node dist/bench/averages.js [steps] [batch] [samples] [seeds] [trainings now]
 */
import { comparisonMarkdown } from "../src/model/comparison";
import { compareAverages, type AverageVariant } from "../src/model/comparison/averages";
import { startEngine } from "../src/model/engine";
import { formatProgress } from "../src/model/progress";
import { interruptSignal } from "../src/cli/output";
import { createReporter } from "../src/setup/report";

/** The default comes first: the others are compared with it. */
const AVERAGES: Record<string, AverageVariant> = {
  "constant 0.995": {},
  none: { emaDecay: 0 },
  "constant 0.98": { emaDecay: 0.98 },
  // Of the whole training: no final half-life.
  "half-life of a twentieth": { emaKind: "half-life", emaHalfLife: 1e6 },
  "power 0.05": { emaKind: "power", emaRelativeSpread: 0.05 },
  "power 0.1": { emaKind: "power", emaRelativeSpread: 0.1 },
  "power 0.2": { emaKind: "power", emaRelativeSpread: 0.2 },
  "post-hoc 0.15": { postHocSpread: 0.15 },
};

async function main(steps: number, batchSize: number, samples: number, seeds: number, limit: number): Promise<void> {
  await startEngine();
  const reporter = createReporter(process.stderr);
  const comparison = await compareAverages(AVERAGES, {
    name: `averages-${steps}x${batchSize}`, seeds, budget: { steps, batchSize }, base: { preset: "tiny", diagnosticsEvery: 0 }, samples, limit, signal: interruptSignal(),
    onProgress: (event) => reporter.update(formatProgress(event)),
    onResult: ({ variant, seed, metrics }) => reporter.line(`${variant}, seed ${seed}: ${JSON.stringify(metrics)}`),
  });
  console.log(comparisonMarkdown(comparison));
}

const [steps = 300, batchSize = 32, samples = 500, seeds = 5, limit = Infinity] = process.argv.slice(2).map(Number);
main(steps, batchSize, samples, seeds, limit).catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
