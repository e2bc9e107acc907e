import { Command } from "commander";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";

interface EncodeFlags {
  dataset?: string;
  path?: string;
  size?: number;
  steps?: number;
  retrain?: string;
  json?: boolean;
}

/** Held-out images on which the reconstruction is measured, at most. */
const MEASURED = 1000;

export function encodeCommand(): Command {
  const command = new Command("encode")
    .description("encode a data set to latents, with the encoder that fits it (trained now where there is none)")
    .option("--dataset <name>", "avatars, folder, cifar10 or mnist")
    .option("--path <folder>", "where the images are; not for avatars")
    .option("--size <pixels>", "height and width of the images", Number)
    .option("--steps <count>", "training steps of a new encoder", Number)
    .option("--retrain <file>", "train a new encoder and write it to this file");
  addJsonOption(command).action(encode);
  return addExamples(command, ["encode", "encode --dataset folder --path photos --size 64", "encode --retrain encoder.safetensors --steps 1200"]);
}

async function encode(flags: EncodeFlags): Promise<void> {
  const { resolveConfig } = await import("../model/config.js");
  const { datasetConfig, encoderFor } = await import("../model/resources.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { cachedLatents, trainEncoder } = await import("../model/encoder/index.js");
  const { reconstructionPsnr } = await import("../model/encoder/quality.js");
  const { projectRoot } = await import("../model/files.js");
  const { join } = await import("node:path");
  const given = { dataset: flags.dataset, dataPath: flags.path, imageSize: flags.size, encoderSteps: flags.steps };
  const config = resolveConfig(Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)));
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const options = { signal, onProgress: (event: Parameters<typeof formatProgress>[0]) => reporter.update(formatProgress(event)) };
  try {
    const { train, test } = await loadDataset(datasetConfig(config), options);
    const encoder = flags.retrain === undefined ? await encoderFor(config, train, options) : await trainEncoder(train, { ...options, seed: config.seed, steps: config.encoderSteps });
    if (flags.retrain !== undefined) await encoder.save(flags.retrain);
    const psnr = reconstructionPsnr(encoder, test, MEASURED);
    for (const dataset of [train, test]) await cachedLatents(encoder, dataset, join(projectRoot(), "data"), options);
    const result = { encoder: encoder.name, fingerprint: encoder.fingerprint, latent: [encoder.latentSize, encoder.latentSize, encoder.latentChannels], standardDeviation: encoder.standardDeviation, psnrDecibel: psnr, images: { train: train.size, test: test.size } };
    encoder.dispose();
    if (flags.json) console.log(JSON.stringify({ ok: true, ...result }, null, 2));
    else
      console.log(
        formatTable([
          ["encoder", `${result.encoder}, fingerprint ${result.fingerprint}`],
          ["latent", result.latent.join(" x ")],
          ["reconstruction", `${psnr.toFixed(2)} dB on ${Math.min(MEASURED, test.size)} held-out images`],
          ["encoded", `${train.size} training images, ${test.size} held-out images`],
        ]),
      );
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError("Interrupted. Data that was rendered is kept.", EXIT.interrupted, { cause: error });
  }
}
