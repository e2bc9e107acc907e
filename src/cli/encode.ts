import { Command, InvalidArgumentError } from "commander";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import type { AutoencoderName, Encoder, EncoderChoice, EncodingCost } from "../model/encoder";
import { wholeNumber } from "./sample";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";

interface EncodeFlags {
  dataset?: string;
  path?: string;
  size?: number;
  steps?: number;
  retrain?: string;
  like?: string;
  klWeight?: number;
  images?: string;
  out?: string;
  encoder?: string;
  weights?: string;
  latent?: string;
  seed?: number;
  workers?: number;
  batch?: number;
  flips?: boolean;
  keepImages?: boolean;
  json?: boolean;
}

/** Held-out images on which the reconstruction is measured, at most. */
const MEASURED = 1000;

/** Images that could not be read, of which the reason is told, at most. */
const SHOWN_SKIPPED = 5;

export function encodeCommand(): Command {
  const command = new Command("encode")
    .description("encode a data set to latents, with the encoder that fits it (trained now where there is none)")
    .option("--dataset <name>", "avatars, folder, cifar10 or mnist")
    .option("--path <folder>", "where the images are; not for avatars")
    .option("--size <pixels>", "height and width of the images", Number)
    .option("--steps <count>", "training steps of a new encoder", Number)
    .option("--retrain <file>", "train a new encoder and write it to this file")
    .option("--like <file>", "with --retrain: make latents like this encoder's, so that networks trained on those have little to learn anew")
    .option("--kl-weight <number>", "with --retrain: weight of the latents' divergence from noise; less keeps more of the image", weight)
    .option("--images <folder>", "encode any number of images to files of latents: a folder of tar files (WebDataset) or with one sub-folder a class")
    .option("--out <folder>", "with --images: where the latents go; the same command goes on where it stopped")
    .option("--encoder <name>", "with --images: sd-vae, sd-vae-ema, va-vae, or the file of a trained encoder", "sd-vae")
    .option("--weights <file>", "with --images: the encoder's weights file, if it is not in the cache")
    .option("--latent <kind>", "with --images: mean or sample of the latent's distribution", "mean")
    .option("--seed <number>", "with --images: of the samples", wholeNumber, 0)
    .option("--workers <count>", "with --images: processes that encode", wholeNumber)
    .option("--batch <images>", "with --images: encoded at once by each process", wholeNumber)
    .option("--no-flips", "with --images: leave out the mirrored images")
    .option("--keep-images", "with --images: keep the cropped images beside the latents");
  addJsonOption(command).action(encode);
  return addExamples(command, ["encode", "encode --images imagenet/train --out data/imagenet-latents --workers 4", "encode --dataset folder --path photos --size 64", "encode --retrain encoder.safetensors --steps 2400", "encode --retrain sharper.safetensors --like encoder.safetensors --kl-weight 1e-4 --steps 2400"]);
}

async function encode(flags: EncodeFlags): Promise<void> {
  if (flags.retrain === undefined && (flags.like ?? flags.klWeight) !== undefined) throw new CommandError("--like and --kl-weight are of a training: give --retrain FILE too.", EXIT.usage);
  if (flags.images !== undefined) return encodeImages(flags, flags.images);
  const { resolveConfig } = await import("../model/config.js");
  const { datasetConfig, encoderFor } = await import("../model/resources.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { cachedLatents, loadEncoder, trainEncoder } = await import("../model/encoder/index.js");
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
    const retrained = async (): Promise<Encoder> => {
      const like = flags.like === undefined ? undefined : await loadEncoder(flags.like);
      try {
        return await trainEncoder(train, { ...options, seed: config.seed, steps: config.encoderSteps, klWeight: flags.klWeight, like });
      } finally {
        like?.dispose();
      }
    };
    const encoder = flags.retrain === undefined ? await encoderFor(config, train, options) : await retrained();
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

async function encodeImages(flags: EncodeFlags, images: string): Promise<void> {
  const { AUTOENCODERS } = await import("../model/encoder/autoencoder.js");
  const { encodeToShards, skippedImages } = await import("../model/encoder/latent-shards/index.js");
  const { unknownNameMessage } = await import("../model/nearest-name.js");
  const { encoder: name = "sd-vae", out, latent, seed, weights, size = 256 } = flags;
  if (out === undefined) throw new CommandError("Where shall the latents go? Give a folder: --out FOLDER", EXIT.usage);
  if (latent !== "mean" && latent !== "sample") throw new CommandError(`--latent is mean or sample, not ${latent}.`, EXIT.usage);
  const isFile = name.endsWith(".safetensors");
  if (!isFile && !Object.hasOwn(AUTOENCODERS, name)) throw new CommandError(unknownNameMessage("encoder", name, Object.keys(AUTOENCODERS)), EXIT.usage);
  const choice: EncoderChoice = isFile ? { kind: "small", path: name } : { kind: "pretrained", name: name as AutoencoderName, imageSize: size, path: weights, latent, seed };
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const onProgress = (event: Parameters<typeof formatProgress>[0]): void => reporter.update(formatProgress(event));
  try {
    const result = await encodeToShards(images, out, choice, { signal, onProgress, workers: flags.workers, batchSize: flags.batch, flips: flags.flips, keepImages: flags.keepImages });
    const skipped = result.shards.reduce((sum, shard) => sum + shard.skipped, 0);
    const shown = await skippedImages(out, SHOWN_SKIPPED);
    if (flags.json) console.log(JSON.stringify({ ok: true, folder: out, ...result, skippedImages: shown }, null, 2));
    else
      console.log(
        formatTable([
          ["latents", `${result.images} images in ${result.shards.length} files, ${result.latentShape.join(" x ")}${result.flips ? ", each mirrored too" : ""}`],
          ["folder", out],
          ["encoder", `${name}, fingerprint ${result.encoder}`],
          ["now encoded", result.encoded === 0 ? "nothing: all was there" : `${result.encoded} images in ${result.seconds.toFixed(1)} s, ${result.imagesPerSecond.toFixed(2)} images/s`],
          ...(result.encoded > 0 ? [["processor time", encodingCost(result.processorSeconds, result.encoded)]] : []),
          ["skipped", String(skipped)],
          ...shown.map(({ key, reason }) => ["", `${JSON.stringify(key)}: ${reason}`]),
          ...(skipped > shown.length ? [["", `and ${skipped - shown.length} more; each shard's metadata lists its own`]] : []),
        ]),
      );
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new CommandError("Interrupted. Finished files are kept: the same command goes on from there.", EXIT.interrupted, { cause: error });
  }
}

function weight(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < Infinity)) throw new InvalidArgumentError("Expected a number, 0 or above, such as 1e-4.");
  return value;
}

/** "0.42 s an image: 97.1 % network, 2.0 % reading and decoding, 0.9 % writing" */
function encodingCost({ decode, encode: network, write }: EncodingCost, images: number): string {
  const all = decode + network + write;
  const share = (part: number): string => `${((100 * part) / Math.max(1e-9, all)).toFixed(1)} %`;
  return `${(all / images).toPrecision(3)} s an image: ${share(network)} network, ${share(decode)} reading and decoding, ${share(write)} writing`;
}
