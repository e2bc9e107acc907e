import type { MethodName } from "../model/baselines";
import type { Dataset } from "../model/data";
import type { Encoder } from "../model/encoder";
import type { tf } from "../model/engine/tf";
import type { Model } from "../model/model";
import type { TrainConfig } from "../model/config";
import type { LongRunOptions } from "../model/progress";
import { CommandError, EXIT } from "./output";
import { findModel } from "./sample";

/** What the command line may say of how images are drawn. */
export interface DrawingFlags {
  /** Standard deviation of the noise. */
  temperature: number;
  /** The time that CrossFlow's network is asked for. */
  r?: number;
  /** Evaluations of the network, for methods of many steps. */
  evaluations?: number;
  /** File of a model that makes images of a latent flow's latents, in place of the autoencoder's decoder. */
  decoder?: string;
}

/** Draws a model's images by the method that it was trained by. */
export interface Generator {
  /** @param labels one class label an image @returns images [N, H, W, 3] in [-1, 1] */
  draw(labels: ArrayLike<number>, seed: number): tf.Tensor4D;
  /** How, in words: "one step a sample". */
  description: string;
  /** Pretrained networks that losses of the trainings of all that draws used. */
  lossNetworks: string[];
  /** Frees what makes images of latents, where there is such a thing. */
  dispose(): void;
}

export interface GeneratorOptions extends LongRunOptions {
  /** Training images of the model's data, where they are loaded already. */
  train?: Dataset;
}

/**
 * Makes what draws a model's images: F(eps, r, y) of CrossFlow, many steps and a decoder of a latent flow.
 * @param file the model's, for messages
 * @throws CommandError (wrong usage) for a model that makes nothing of noise, for flags that the model's method does not know, and for a decoder that makes no images of its latents; Error when its autoencoder is another
 * than that of its data
 */
export async function generatorOf(file: string, model: Model, { temperature, r = 0, evaluations, decoder: decoderFile }: DrawingFlags, options: GeneratorOptions = {}): Promise<Generator> {
  const { generateImages, GENERATE_DEFAULTS, methodOf } = await import("../model/baselines/index.js");
  const { lossNetworksOf } = await import("../model/metrics/independence.js");
  const { disposeModel, trainingMethodOf } = await import("../model/model.js");
  const { sample } = await import("../model/sampler.js");
  const method = methodOf(model);
  if (trainingMethodOf(model) === ("decoder" satisfies MethodName)) throw new CommandError(`${file} makes images of latents and none of noise: let it decode those of a latent flow (--decoder ${file}), or choose a model of another method`, EXIT.usage);
  if (evaluations !== undefined && !method.manySteps) throw new CommandError(`--evaluations serves models of many steps, and ${file}, of the method "${trainingMethodOf(model)}", makes an image in one: leave it out`, EXIT.usage);
  if (evaluations !== undefined && (evaluations < 2 || evaluations % 2 !== 0)) throw new CommandError(`--evaluations must be an even number from 2, not ${evaluations}: Heun's method takes two an interval`, EXIT.usage);
  const description = `${method.manySteps ? `${evaluations ?? GENERATE_DEFAULTS.steps} evaluations` : "one step"} a sample`;
  const lossNetworks = lossNetworksOf(model);
  if (decoderFile !== undefined && (!method.generate || method.space !== "latent")) throw new CommandError(`--decoder makes images of latents, and ${file}, of the method "${trainingMethodOf(model)}", makes none: leave it out`, EXIT.usage);
  if (!method.generate) return { draw: (labels, seed) => sample(model, labels, { seed, temperature, r }), description, lossNetworks, dispose: () => undefined };
  if (r !== 0) throw new CommandError(`--r is the time that CrossFlow's network is asked for, and ${file} is of the method "${trainingMethodOf(model)}": leave it out`, EXIT.usage);
  if (decoderFile !== undefined) {
    const decoder = await decoderOf(decoderFile, model);
    return {
      draw: (labels, seed) => generateImages(model, labels, { seed, temperature, steps: evaluations, decoder }),
      description: `${description}, decoded by ${decoderFile}`,
      lossNetworks: [...new Set([...lossNetworks, ...lossNetworksOf(decoder)])],
      dispose: () => disposeModel(decoder),
    };
  }
  const encoder = method.space === "latent" ? await autoencoderOf(file, model, options) : undefined;
  return { draw: (labels, seed) => generateImages(model, labels, { seed, temperature, steps: evaluations, encoder }), description, lossNetworks, dispose: () => encoder?.dispose() };
}

/** The model in a decoder's file. */
async function decoderOf(decoderFile: string, model: Model): Promise<Model> {
  const { DECODING_METHODS, whyUnfit } = await import("../model/distillation.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const decoder = await loadModel(await findModel(decoderFile));
  const unfit = whyUnfit(decoder, model, DECODING_METHODS, "makes no images of latents");
  if (unfit === undefined) return decoder;
  disposeModel(decoder);
  throw new CommandError(`--decoder ${decoderFile} can not be used: ${unfit}`, EXIT.usage);
}

/** The autoencoder on whose latents a model was trained. */
async function autoencoderOf(file: string, model: Model, { train, ...options }: GeneratorOptions): Promise<Encoder> {
  const { resolveConfig } = await import("../model/config.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { datasetConfig, encoderFor } = await import("../model/resources.js");
  const config = resolveConfig(model.provenance.config as Partial<TrainConfig>);
  const encoder = await encoderFor(config, train ?? (await loadDataset(datasetConfig(config), options)).train, options);
  if (encoder.fingerprint === model.encoderFingerprint) return encoder;
  encoder.dispose();
  throw new Error(`${file} was trained on the latents of another encoder than that of its data now, so nothing can make images of its latents: train it anew (npx crossflow train)`);
}
