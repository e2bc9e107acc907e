/**
 * Where a training step's time goes, by part of the step, by operation and by shape: op by op (eager), and in the compiled graph as
 * TensorFlow runs it.
 * Run: npm run profile -- --help
 */
import { Command, Option } from "commander";
import { table, type TableRow } from "../src/kernel-helpers/table";
import { nativeBackend } from "../src/model/engine/compile/backend";
import { record } from "../src/model/engine/compile/record";
import { describeEngine, startEngine } from "../src/model/engine/start";
import { tf } from "../src/model/engine/tf";
import { traceRun, type GraphTrace } from "./profiling/compiled";
import { timeOperations, type TimedOperation } from "./profiling/eager";
import { stepPart } from "./profiling/step-part";
import { createStepWorkload, SIZES, toTensors, type LossSet, type SizeName, type StepWorkload } from "./workload";
import type { StepInputs } from "../src/model/training-step";

interface ProfileFlags {
  preset: SizeName;
  losses: LossSet;
  eager?: boolean;
  fuse: boolean;
  batch?: number;
  depth?: number;
  repeats: number;
  top: number;
  json?: boolean;
}

const MIDDLE = 0.5;
const quantile = (values: readonly number[], share: number): number => [...values].sort((a, b) => a - b)[Math.min(Math.floor(share * values.length), values.length - 1)];
const total = (operations: readonly TimedOperation[], key: "milliseconds" | "flops"): number => operations.reduce((sum, operation) => sum + operation[key], 0);
const describeShapes = ({ inputs, outputs }: TimedOperation): string => `${inputs.map((shape) => `[${shape}]`).join(" ")} -> ${outputs.map((shape) => `[${shape}]`).join(" ")}`;

/** Sums runs of operations by a key, the longest first; times are means over the runs. */
function grouped(runs: readonly (readonly TimedOperation[])[], keyOf: (operation: TimedOperation) => string, title: string): TableRow[] {
  const sums = new Map<string, { milliseconds: number; count: number; flops: number }>();
  for (const operation of runs.flat()) {
    const sum = sums.get(keyOf(operation)) ?? { milliseconds: 0, count: 0, flops: 0 };
    sums.set(keyOf(operation), { milliseconds: sum.milliseconds + operation.milliseconds, count: sum.count + 1, flops: sum.flops + operation.flops });
  }
  const all = total(runs.flat(), "milliseconds");
  return [...sums]
    .sort(([, a], [, b]) => b.milliseconds - a.milliseconds)
    .map(([key, { milliseconds, count, flops }]) => ({
      [title]: key,
      "share %": Number(((100 * milliseconds) / all).toFixed(1)),
      ms: Number((milliseconds / runs.length).toFixed(3)),
      count: Math.round(count / runs.length),
      "GFLOP/s": flops > 0 ? Number((flops / milliseconds / 1e6).toFixed(1)) : undefined,
    }));
}

function printTables(runs: readonly (readonly TimedOperation[])[], caption: string, top: number): void {
  const show = (rows: TableRow[], note: string): void => console.log(`\n${table(rows, { caption: `${caption}: ${note}`, digits: 6 })["text/plain"]}`);
  if (runs[0].some(({ part }) => part !== "")) show(grouped(runs, ({ part }) => part, "part"), "by part of the step");
  show(grouped(runs, ({ operation }) => operation, "operation").slice(0, top), "by operation");
  show(grouped(runs, (operation) => `${operation.operation} ${describeShapes(operation)}`, "operation and shapes").slice(0, top), "by operation and shapes");
}

/** The part of the step to which each node of the compiled graph belongs, by the node's name in the graph ("n17"). */
function partsByNode(workload: StepWorkload): (node: string) => string {
  const backend = nativeBackend()!;
  const own = backend.binding;
  const parts: string[] = [];
  backend.binding = Object.create(own, {
    executeOp: {
      value: (...call: Parameters<typeof own.executeOp>) => {
        parts.push(stepPart());
        return own.executeOp(...call);
      },
    },
  });
  const inputs = toTensors<StepInputs>(workload.arrays(0));
  const eager = workload.step({ enabled: false });
  try {
    const { recording, outputs } = record(backend, inputs, () => eager(inputs, workload.statics));
    tf.dispose([inputs, outputs]);
    let executed = 0;
    const byNode = recording.nodes.map((node) => (node.constant ? "constants" : parts[executed++]));
    // What the optimiser makes of a node bears its name among others.
    return (node) => byNode[Number(/(?:^|\/|-)n(\d+)(?:$|\/|-|_)/.exec(node)?.[1])] ?? (node.startsWith("state") ? "variables" : "other");
  } finally {
    backend.binding = own;
    eager.dispose();
  }
}

async function main(flags: ProfileFlags): Promise<void> {
  const { name, version, device } = await startEngine();
  const backend = nativeBackend();
  if (!backend) throw new Error("only steps on TensorFlow can be profiled; install it with: npx crossflow setup");
  const workload = await createStepWorkload({ work: "step", size: flags.preset, losses: flags.losses, precision: "float32", batchSize: flags.batch, depth: flags.depth });
  console.log(`${flags.preset}, ${flags.losses === "pixel" ? "pixel loss" : "all losses"}, batch ${workload.config.batchSize}: training step on ${name} ${version}, ${device}; ${Object.values(workload.state.variables.parameters).reduce((sum, { size }) => sum + size, 0).toLocaleString("en-US")} parameters`);
  const batches = [0, 1].map((step) => workload.arrays(step));
  const timed = (call: () => void): number => {
    const start = performance.now();
    call();
    return performance.now() - start;
  };

  const eager = workload.step({ enabled: false });
  const runEager = (index: number): void => {
    const inputs = toTensors<StepInputs>(batches[index % 2]);
    const outputs = eager(inputs, workload.statics);
    outputs.total.dataSync();
    tf.dispose([inputs, outputs]);
  };
  const partOf = partsByNode(workload);
  runEager(0);
  if (flags.eager) {
    const wall = Array.from({ length: flags.repeats }, (_, index) => timed(() => runEager(index)));
    const untraced = Array.from({ length: flags.repeats }, (_, index) => timeOperations(backend, () => runEager(index), false));
    const named = timeOperations(backend, () => runEager(0));
    const runs = untraced.map((run) => run.map((operation, index) => ({ ...operation, part: named[index]?.part ?? "" })));
    const inOperations = total(runs.flat(), "milliseconds") / runs.length;
    console.log(`\neager: ${quantile(wall, MIDDLE).toFixed(1)} ms a step (median of ${flags.repeats}), of these ${inOperations.toFixed(1)} ms in ${runs[0].length} operations; the rest is JavaScript`);
    printTables(runs, "eager", flags.top);
  }

  const step = workload.step({ fuse: flags.fuse });
  const run = (index: number): void => {
    const inputs = toTensors<StepInputs>(batches[index % 2]);
    const outputs = step(inputs, workload.statics);
    outputs.total.dataSync();
    tf.dispose([inputs, outputs]);
  };
  const recording = timed(() => [0, 1].forEach(run));
  const firstRun = timed(() => run(0));
  for (let index = 0; index < 3; index++) run(index);
  const wall = Array.from({ length: flags.repeats }, (_, index) => timed(() => run(index)));
  const traces: GraphTrace[] = Array.from({ length: flags.repeats }, (_, index) => traceRun(() => run(index), partOf));
  const runs = traces.map(({ operations }) => operations);
  const mean = (of: (trace: GraphTrace) => number): number => traces.reduce((sum, trace) => sum + of(trace), 0) / traces.length;
  const median = quantile(wall, MIDDLE);
  const busy = total(runs.flat(), "milliseconds") / runs.length;
  const flops = total(runs[0], "flops");
  const threads = Math.max(...traces.map(({ concurrency }) => concurrency.length));
  const levels = Array.from({ length: threads }, (_, level) => `${level} at once ${mean(({ concurrency }) => concurrency[level] ?? 0).toFixed(1)} ms`);
  console.log(`\ncompiled: ${median.toFixed(1)} ms a step (median of ${flags.repeats}; quartiles ${quantile(wall, 0.25).toFixed(1)} to ${quantile(wall, 0.75).toFixed(1)}); recording twice and loading took ${(recording / 1000).toFixed(1)} s, the first run ${(firstRun / 1000).toFixed(1)} s`);
  console.log(`  ${runs[0].length} operations take ${busy.toFixed(1)} ms in all; a traced run lasts ${mean(({ milliseconds }) => milliseconds).toFixed(1)} ms from first to last (operations running: ${levels.join(", ")})`);
  console.log(`  matrix products and convolutions: ${(flops / 1e9).toFixed(1)} GFLOP a step, ${(flops / median / 1e6).toFixed(1)} GFLOP/s over the whole step; tensors alive: ${describeEngine().memory.tensors}`);
  printTables(runs, "compiled", flags.top);
  if (flags.json) console.log(JSON.stringify({ wall, operations: runs[0] }));
  step.dispose();
  workload.dispose();
}

const command = new Command("npm run profile --")
  .description("Where a training step's time goes, by part, operation and shape")
  .addOption(new Option("--preset <name>", "size of the network").choices(Object.keys(SIZES)).default("tiny"))
  .addOption(new Option("--losses <set>", "pixel alone, or with perceptual and adversarial losses").choices(["pixel", "all"]).default("pixel"))
  .option("--eager", "also op by op, without compiling")
  .option("--no-fuse", "without joining elementwise operations")
  .option("--batch <count>", "images in a step, in place of the size's own", Number)
  .option("--depth <blocks>", "transformer blocks, in place of the preset's", Number)
  .option("--repeats <count>", "runs over which times are taken", Number, 10)
  .option("--top <count>", "rows in a table", Number, 25)
  .option("--json", "also the operations of one compiled run as JSON")
  .action(main);

command.parseAsync().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
