import type { Encoder } from "../encoder";
import { tf } from "../engine/tf";
import { evaluateCompiled, evaluateModel, trainingMethodOf, type Model } from "../model";
import type { ImageField } from "../objective";
import type { TrainingResources } from "../resources";
import { assertSampling, decode, SAMPLE_DEFAULTS, sample, samplingNoise } from "../sampler";
import type { TrainingRows } from "../training-rows";
import { decoder } from "./decoder";
import { gan } from "./gan";
import { latentFlow } from "./latent-flow";
import { latentMeanFlow } from "./latent-meanflow";
import type { Method } from "./method";
import { pixelMeanFlow } from "./pixel-meanflow";
import type { MethodName } from "./settings";

export { METHOD_NAMES, METHOD_SETTINGS, type MethodName } from "./settings";
export type { Method } from "./method";

const METHODS: Record<MethodName, Method> = { crossflow: { space: "latent" }, "latent-flow": latentFlow, "latent-meanflow": latentMeanFlow, "pixel-meanflow": pixelMeanFlow, gan, decoder };

/** The method of a configuration; CrossFlow where none is named. */
export function methodNamed(name: string = "crossflow"): Method {
  return METHODS[name as MethodName];
}

/** The method that a model was trained by. */
export function methodOf(model: Pick<Model, "provenance">): Method {
  return methodNamed(trainingMethodOf(model));
}

/** What a method trains on: the resources with its network, and for a trajectory of images with the images in the latents' place. */
export function methodResources(name: string, resources: TrainingResources): TrainingResources {
  const { space, network } = methodNamed(name);
  const adapted = { ...resources, network: network ? network(resources.network) : resources.network };
  if (space === "latent") return adapted;
  const { rows } = resources;
  const read: TrainingRows["read"] = async (indices, flipped) => {
    const batch = await rows.read(indices, flipped);
    return { ...batch, latents: batch.images };
  };
  return { ...adapted, rows: { ...rows, latents: undefined, read } };
}

export interface GenerateOptions {
  /** Seed of the noise. Default 0. */
  seed?: number;
  /** Standard deviation of the noise. Default 1. */
  temperature?: number;
  /** Images evaluated at once. Default 64. */
  batchSize?: number;
  /** Evaluations of the network, for methods of many steps. Default 32. */
  steps?: number;
  /** Makes images of the latents of a latent method: the autoencoder they were trained in. */
  encoder?: Pick<Encoder, "decode">;
  /** A model to decode with in place of the autoencoder. */
  decoder?: Model;
  /** Run evaluations as compiled graphs; disposeModel() frees them. Default true. */
  compile?: boolean;
}

/** Of methods of many steps. */
export const GENERATE_DEFAULTS = { steps: 32 };

/**
 * What a model's method arrives at from noise, in the space of its trajectory: of a latent flow or latent MeanFlow the latents that a decoder makes images of.
 * @param labels one class label each
 * @returns normalised latents [N, h, w, c] (of a method whose trajectory is one of images these, [N, H, W, 3], not clamped)
 * @throws Error for a method that makes images of noise straight away; RangeError when a label is no class of the model, or the temperature is no number from 0 on
 */
export function generateLatents(model: Model, labels: ArrayLike<number>, options: Omit<GenerateOptions, "encoder" | "decoder"> = {}): tf.Tensor4D {
  const { seed = SAMPLE_DEFAULTS.seed, temperature = SAMPLE_DEFAULTS.temperature, batchSize = SAMPLE_DEFAULTS.batchSize, steps = GENERATE_DEFAULTS.steps, compile = true } = options;
  const { generate } = methodOf(model);
  if (!generate) throw new Error(`a model of the method "${trainingMethodOf(model)}" makes images of noise in one step, by way of no other latents: use sample()`);
  assertSampling(model, labels, temperature);
  const { latentSize, latentChannels } = model.network;
  const field: ImageField = (zT, r, y) => (compile ? evaluateCompiled : evaluateModel)(model, zT, r, y);
  return tf.tidy(() => {
    const eps = samplingNoise(seed, temperature, [labels.length, latentSize, latentSize, latentChannels]);
    return tf.concat(batchesOf(labels, batchSize).map(({ start, part }) => tf.tidy(() => generate(field, tf.slice(eps, start, part.length), tf.tensor1d(part, "int32"), steps))), 0);
  });
}

/**
 * Images of a model by the method that it was trained by; CrossFlow's by sample().
 * @param labels one class label an image
 * @returns images [N, H, W, 3], clamped to [-1, 1]
 * @throws Error when a latent method is given neither encoder nor decoder; RangeError when a label is no class of the model, or the temperature is no number from 0 on
 */
export function generateImages(model: Model, labels: ArrayLike<number>, options: GenerateOptions = {}): tf.Tensor4D {
  const { seed = SAMPLE_DEFAULTS.seed, temperature = SAMPLE_DEFAULTS.temperature, batchSize = SAMPLE_DEFAULTS.batchSize, encoder, decoder: by, compile = true } = options;
  const method = methodOf(model);
  if (!method.generate) return sample(model, labels, { seed, temperature, batchSize, compile });
  if (method.space === "latent" && !encoder && !by) throw new Error("this model generates latents: give the encoder whose decoder makes images of them, or a model to decode with");
  return tf.tidy(() => {
    const ends = generateLatents(model, labels, options);
    if (method.space === "pixel") return tf.clipByValue(ends, -1, 1) as tf.Tensor4D;
    if (by) return decode(by, ends, labels, by.minimumTime, { batchSize, compile: false });
    return tf.concat(batchesOf(labels, batchSize).map(({ start, part }) => tf.tidy(() => tf.clipByValue(encoder!.decode(tf.slice(ends, start, part.length)), -1, 1) as tf.Tensor4D)), 0);
  });
}

/** Cuts labels into batches, with the place where each begins. */
function batchesOf(labels: ArrayLike<number>, batchSize: number): { start: number; part: number[] }[] {
  const all = Array.from(labels);
  return Array.from({ length: Math.ceil(all.length / batchSize) }, (_, batch) => ({ start: batch * batchSize, part: all.slice(batch * batchSize, (batch + 1) * batchSize) }));
}
