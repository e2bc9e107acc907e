import { Command } from "commander";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";
import { findModel, wholeNumber } from "./sample";
import type { Evaluation } from "../model/metrics";
import type { TrainConfig } from "../model/config";

interface EvaluateFlags {
  count: number;
  seed: number;
  json?: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("measure a model's one-step samples against held-out images, in features that no loss saw")
    .argument("[model]", "a model file or the name of a run; the shipped avatars by default")
    .option("--count <images>", "samples to measure", wholeNumber, 2000)
    .option("--seed <number>", "seed of the noise", wholeNumber, 0);
  addJsonOption(command).action(evaluate);
  return addExamples(command, ["evaluate", "evaluate first --count 1000", "evaluate runs/first/model.safetensors --json"]);
}

async function evaluate(name: string | undefined, flags: EvaluateFlags): Promise<void> {
  const { resolveConfig } = await import("../model/config.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { startEngine } = await import("../model/engine/index.js");
  const { evaluateImages, generatedBatches, loadEvaluationNetworks } = await import("../model/metrics/index.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const { datasetConfig } = await import("../model/resources.js");
  const { sample } = await import("../model/sampler.js");
  await startEngine();
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const options = { signal, onProgress: (event: Parameters<typeof formatProgress>[0]) => reporter.update(formatProgress(event)) };
  const file = await findModel(name);
  const model = await loadModel(file);
  try {
    const config = resolveConfig(model.provenance.config as Partial<TrainConfig>);
    const splits = await loadDataset(datasetConfig(config), options);
    const networks = await loadEvaluationNetworks(splits, options);
    const images = generatedBatches((labels, seed) => sample(model, labels, { seed }), splits.test, { count: flags.count, seed: flags.seed * 1_000_003 });
    const result = await evaluateImages(images, splits.test, networks, { ...options, count: flags.count, seed: flags.seed });
    networks.features.dispose();
    networks.judge.dispose();
    if (flags.json) console.log(JSON.stringify({ ok: true, model: file, ...result }, null, 2));
    else console.log(formatEvaluation(file, result));
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError("Interrupted. Features of real images that were computed are kept.", EXIT.interrupted, { cause: error });
  } finally {
    disposeModel(model);
  }
}

function formatEvaluation(file: string, result: Evaluation): string {
  const { classAccuracy } = result;
  const rows = [
    ["model", file],
    ["samples", `${result.count}, one step each, seed ${result.seed}`],
    ["compared with", `${result.referenceCount} images of ${result.dataset} (${result.split})`],
    ["features", `${result.features}, ${result.resize}`],
    ["Frechet distance", result.frechetDistance.toFixed(2)],
    ["kernel distance", `${result.kernelDistance.toFixed(4)} (standard error ${result.kernelDistanceError.toFixed(4)})`],
    ["precision", result.precision.toFixed(3)],
    ["recall", result.recall.toFixed(3)],
    ...(classAccuracy ? [["class accuracy", `${(100 * classAccuracy.value).toFixed(1)} % (95 % interval ${(100 * classAccuracy.low).toFixed(1)} to ${(100 * classAccuracy.high).toFixed(1)})`]] : []),
  ];
  return formatTable(rows);
}
