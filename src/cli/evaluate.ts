import { Command } from "commander";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";
import { findModel, SAMPLE_TEMPERATURE, wholeNumber } from "./sample";
import type { Generator } from "./generator";
import type { FeatureNetworkName } from "../model/features/load";
import { evaluationCaption, evaluationTable } from "../model/metrics/evaluation-table";
import { independenceNote } from "../model/metrics/independence";
import type { Evaluation } from "../model/metrics";
import type { TrainConfig } from "../model/config";

interface EvaluateFlags {
  count: number;
  seed: number;
  temperature: number;
  evaluations?: number;
  decoder?: string;
  features?: FeatureNetworkName;
  reference?: string;
  saveReference?: string;
  json?: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("measure a model's samples against held-out images: of CrossFlow in one step, of a baseline by its own method")
    .argument("[model]", "a model file or the name of a run; the shipped avatars by default")
    .option("--count <images>", "samples to measure", wholeNumber, 2000)
    .option("--seed <number>", "seed of the noise", wholeNumber, 0)
    .option("--temperature <deviation>", "standard deviation of the noise; below 1 images vary less", Number, SAMPLE_TEMPERATURE)
    .option("--evaluations <count>", "evaluations of the network, of a latent flow (default: 32)", wholeNumber)
    .option("--decoder <model>", "what makes images of a latent flow's latents: a CrossFlow network or a model of the method decoder; without it the autoencoder's decoder");
  command
    .option("--features <network>", "network in whose features distances are measured: efficientnet-lite2 (default), inception-fid, dinov2-b ...")
    .option("--reference <file>", "take the Frechet distance to saved statistics; refused if they were made with another network or resize, or of images of another size")
    .option("--save-reference <file>", "save the statistics of the held-out images, with split, count, features, resize and seed");
  addJsonOption(command).action(evaluate);
  return addExamples(command, ["evaluate", "evaluate first --count 1000", "evaluate --save-reference avatars-test.safetensors", "evaluate first --features inception-fid", "evaluate runs/first/model.safetensors --json"]);
}

async function evaluate(name: string | undefined, flags: EvaluateFlags): Promise<void> {
  const { resolveConfig } = await import("../model/config.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { startEngine } = await import("../model/engine/index.js");
  const { datasetFeatures, evaluateImages, generatedBatches, loadEvaluationNetworks, loadStatistics, saveStatistics } = await import("../model/metrics/index.js");
  const { loadLpips } = await import("../model/features/lpips.js");
  const { hasWeights } = await import("../model/weights/available.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const { datasetConfig } = await import("../model/resources.js");
  const { generatorOf } = await import("./generator.js");
  await startEngine();
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const options = { signal, onProgress: (event: Parameters<typeof formatProgress>[0]) => reporter.update(formatProgress(event)) };
  const file = await findModel(name);
  const model = await loadModel(file);
  let generator: Generator | undefined;
  try {
    const config = resolveConfig(model.provenance.config as Partial<TrainConfig>);
    const splits = await loadDataset(datasetConfig(config), options);
    generator = await generatorOf(file, model, flags, { ...options, train: splits.train });
    const referenceStatistics = flags.reference === undefined ? undefined : await loadStatistics(flags.reference);
    const networks = await loadEvaluationNetworks(splits, { ...options, features: flags.features });
    // Its two files are downloaded by hand: where they are missing, all else is measured.
    const lpips = hasWeights("vgg16") && hasWeights("lpips-vgg16-heads") ? await loadLpips() : undefined;
    const images = generatedBatches(generator.draw, splits.test, { count: flags.count, seed: flags.seed * 1_000_003 });
    const result = await evaluateImages(images, splits.test, { ...networks, lpips }, { ...options, count: flags.count, seed: flags.seed, referenceStatistics, lossNetworks: generator.lossNetworks });
    if (flags.saveReference !== undefined) {
      const { statistics } = await datasetFeatures(splits.test, networks.features, options);
      const { name: dataset, split, fingerprint, imageSize } = splits.test;
      await saveStatistics(flags.saveReference, statistics, { dataset, split, datasetFingerprint: fingerprint, imageSize: String(imageSize), features: networks.features.name, seed: String(flags.seed) });
    }
    networks.features.dispose();
    networks.judge.dispose();
    lpips?.dispose();
    if (flags.json) console.log(JSON.stringify({ ok: true, model: file, sampling: generator.description, temperature: flags.temperature, ...result }, null, 2));
    else console.log(`${formatEvaluation(file, result, flags.temperature, generator.description)}${lpips ? "" : "\nLPIPS diversity: no weights; npx crossflow weights list says which files (vgg16, lpips-vgg16-heads)"}`);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError("Interrupted. Features of real images that were computed are kept.", EXIT.interrupted, { cause: error });
  } finally {
    generator?.dispose();
    disposeModel(model);
  }
}

/** The table of an evaluation; what is not independent is marked in its row, and a temperature that is not the usual one is said. */
export function formatEvaluation(file: string, result: Evaluation, temperature = SAMPLE_TEMPERATURE, sampling = "one step a sample"): string {
  const note = independenceNote(result.lossNetworks);
  return formatTable([
    ["model", file],
    ["measured", `${sampling}${temperature === SAMPLE_TEMPERATURE ? "" : ` at temperature ${temperature}`}; ${evaluationCaption(result)}`],
    ...evaluationTable(result).map(({ measure, value, "95 % interval": interval, best }) => [measure, `${value}${interval === "-" ? "" : `, 95 % interval ${interval}`}${best.endsWith("the data's") ? `; ${best}` : ""}`]),
    ...(note === undefined ? [] : [["losses", note]]),
  ]);
}
