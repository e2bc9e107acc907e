import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";
import { wholeNumber } from "./sample";

interface AverageFlags {
  relativeSpread: number;
  step?: number;
  out?: string;
  precision: "F32" | "F16";
  json?: boolean;
}

export function averageCommand(): Command {
  const command = new Command("average")
    .description("make the average of a run's weights of any relative spread, after the training, from its snapshots")
    .argument("<run>", "name of a run that was trained with snapshotEvery, or its folder")
    .option("--relative-spread <share>", "width of the average's profile beside the steps so far, above 0 and at most 0.288", spread, 0.1)
    .option("--step <count>", "the last step whose weights count; the last snapshot's by default", wholeNumber)
    .option("--out <file>", "model file to write; average-SPREAD-step-STEP.safetensors in the run's folder by default")
    .option("--precision <type>", "of the file: F32 or F16", weightPrecision, "F32");
  addJsonOption(command).action(average);
  return addExamples(command, ["train first --steps 1200 --set snapshotEvery=100", "average first --relative-spread 0.15", "average first --relative-spread 0.05 --step 800 --out early.safetensors", "evaluate runs/first/average-0.15-step-1200.safetensors"]);
}

async function average(name: string, flags: AverageFlags): Promise<void> {
  const { startEngine } = await import("../model/engine/index.js");
  const { disposeModel, saveModel } = await import("../model/model.js");
  const { runPaths } = await import("../model/run.js");
  const { postHocModel } = await import("../model/snapshots.js");
  const run = [runPaths(name), runPaths(basename(name), join(name, ".."))].find(({ folder }) => existsSync(folder));
  if (!run) throw new CommandError(`There is no run ${name} (looked for ${runPaths(name).folder}). Train one with snapshots: npx crossflow train ${basename(name)} --set snapshotEvery=100`, EXIT.usage);
  await startEngine();
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const { relativeSpread, step: asked } = flags;
  const { model, step, snapshots, profileError } = await postHocModel(run.snapshots, { relativeSpread, ...(asked === undefined ? {} : { step: asked }), signal, onProgress: (event) => reporter.update(formatProgress(event)) });
  try {
    const out = flags.out ?? join(run.folder, `average-${relativeSpread}-step-${step}.safetensors`);
    await saveModel(out, model, { dtype: flags.precision });
    if (flags.json) console.log(JSON.stringify({ ok: true, model: out, relativeSpread, step, snapshots, profileError }, null, 2));
    else console.log(formatTable([["model", out], ["average", `relative spread ${relativeSpread} up to step ${step}, of ${snapshots} snapshots`], ["profile", `${(100 * profileError).toPrecision(2)} % off the exact one${profileError > POOR_PROFILE ? ": snapshots are too far apart for this spread and step" : ""}`]]));
  } finally {
    disposeModel(model);
  }
}

/** Share by which a profile may be off before the output says so. */
const POOR_PROFILE = 0.1;

function spread(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError("Expected a number above 0, such as 0.1.");
  return value;
}

/** The precision of a model file, as an option says it. */
export function weightPrecision(text: string): "F32" | "F16" {
  if (text !== "F32" && text !== "F16") throw new InvalidArgumentError("Expected F32 or F16.");
  return text;
}
