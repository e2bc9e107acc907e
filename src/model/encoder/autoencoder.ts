import { createHash } from "node:crypto";
import { tf } from "../engine/tf";
import { convolution, linear, parameter, silu, upsample, type Parameters } from "../layers";
import { randomStream } from "../random";
import { writeSafetensors, type SafetensorsTensor } from "../safetensors";
import { loadWeights } from "../weights/load";
import { findWeights, type PublishedWeights } from "../weights/published";
import { openWeights, type WeightsFile } from "../weights/weights-file";
import { autoencoderWeights, decoderLayers, downsampling, encoderLayers, SD_VAE, VA_VAE, type AutoencoderConfig, type Layer } from "./autoencoder-plan";
import type { Encoder } from "./index";
import { decodeTiled, encodeTiled, tilingFor, type Tiling } from "./tiling";

const NORM_EPSILON = 1e-6;

/** Range of the posterior's log variance. */
const LOG_VARIANCE_RANGE = [-30, 20] as const;

/**
 * Group normalisation with a learned scale and shift (Wu and He, 2018). Reductions run over the contiguous channel axis first, and the groups are joined
 * on their small means, which is exact and many times as fast as a reduction over split axes.
 * @param x [B, H, W, C]
 */
function groupNorm(parameters: Parameters, name: string, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const ofGroups = (perChannel: tf.Tensor): tf.Tensor => {
    const means = perChannel.reshape([batch, groups, channels / groups]).mean(-1, true); // [B, G, 1]
    return tf.tile(means, [1, 1, channels / groups]).reshape([batch, 1, channels]);
  };
  const positions = x.reshape([batch, height * width, channels]);
  const centred = positions.sub(ofGroups(positions.mean(1)));
  const scale = tf.rsqrt(ofGroups(centred.square().mean(1)).add(NORM_EPSILON)).mul(parameter(parameters, `${name}.weight`)); // [B, 1, C]
  return centred.mul(scale).add(parameter(parameters, `${name}.bias`)).reshape([batch, height, width, channels]);
}

/** Attention of every position to every other, with one head. @param x [B, H, W, C] */
function attention(parameters: Parameters, name: string, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const positions = groupNorm(parameters, `${name}.group_norm`, x, groups).reshape([batch, height * width, channels]);
  const [query, key, value] = ["query", "key", "value"].map((part) => linear(parameters, `${name}.${part}`, positions) as tf.Tensor3D);
  const weights = tf.softmax(tf.matMul(query, key, false, true).mul(channels ** -0.5)); // [B, H W, H W]
  return x.add(linear(parameters, `${name}.output`, tf.matMul(weights, value)).reshape(x.shape));
}

function residual(parameters: Parameters, { name, from, to }: Layer, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  let hidden = convolution(parameters, `${name}.conv1`, silu(groupNorm(parameters, `${name}.norm1`, x, groups)));
  hidden = convolution(parameters, `${name}.conv2`, silu(groupNorm(parameters, `${name}.norm2`, hidden, groups)));
  return tf.add(from === to ? x : convolution(parameters, `${name}.conv_shortcut`, x), hidden);
}

function applyLayer(parameters: Parameters, x: tf.Tensor4D, layer: Layer, groups: number): tf.Tensor4D {
  switch (layer.kind) {
    case "residual":
      return residual(parameters, layer, x, groups);
    case "attention":
      return attention(parameters, layer.name, x, groups);
    case "norm":
      return silu(groupNorm(parameters, layer.name, x, groups));
    case "downsample": // heights and widths are even, so "same" pads on the right and below alone, as the original does
      return convolution(parameters, layer.name, x, 2);
    case "upsample":
      return convolution(parameters, layer.name, upsample(x));
    case "convolution":
      return convolution(parameters, layer.name, x);
  }
}

/** Layer after layer, freeing what no later layer needs. */
function applyLayers(parameters: Parameters, layers: readonly Layer[], input: tf.Tensor4D, groups: number): tf.Tensor4D {
  return layers.reduce((x, layer) => {
    const result = tf.tidy(() => applyLayer(parameters, x, layer, groups));
    // While gradients are recorded nothing may go early; the tape frees it all.
    if (x !== input && tf.engine().state.gradientDepth === 0) x.dispose();
    return result;
  }, input);
}

/**
 * Mean and log variance of the latent's distribution, before any scaling.
 * @param images [B, H, W, 3] in [-1, 1], H and W multiples of the downsampling
 * @returns [B, h, w, c] each
 */
export function encodeMoments(config: AutoencoderConfig, parameters: Parameters, images: tf.Tensor4D): { mean: tf.Tensor4D; logVariance: tf.Tensor4D } {
  const factor = downsampling(config);
  const [, height, width] = images.shape;
  if (height % factor !== 0 || width % factor !== 0) throw new Error(`this autoencoder takes images whose sides are multiples of ${factor} pixels, not ${height} x ${width}`);
  const [mean, logVariance] = tf.tidy(() => {
    const [first, second] = tf.split(applyLayers(parameters, encoderLayers(config), images, config.normGroups), 2, -1) as tf.Tensor4D[];
    return [first, tf.clipByValue(second, ...LOG_VARIANCE_RANGE)];
  });
  return { mean, logVariance };
}

/** @param latents [B, h, w, c] before any scaling @returns images [B, H, W, 3], not clipped */
export function decodeLatents(config: AutoencoderConfig, parameters: Parameters, latents: tf.Tensor4D): tf.Tensor4D {
  return tf.tidy(() => applyLayers(parameters, decoderLayers(config), latents, config.normGroups));
}

export interface Autoencoder extends Encoder {
  config: AutoencoderConfig;
  /** Mean and standard deviation of the latent's distribution [B, h, w, c], before normalisation. @param images [B, H, W, 3] in [-1, 1] */
  posterior(images: tf.Tensor4D): { mean: tf.Tensor4D; standardDeviation: tf.Tensor4D };
}

export interface AutoencoderOptions {
  /** Height and width of the images, pixels. */
  imageSize?: number;
  /** What `encode` gives: the posterior's mean, or a draw from it, seeded. */
  latent?: "mean" | "sample";
  /** Of the draws. */
  seed?: number;
  /** Encode and decode in overlapping tiles where the image is larger than this, in pixels; 0 never. */
  tileSize?: number;
  /** Mean and standard deviation of each latent channel; the published ones by default. */
  mean?: readonly number[];
  standardDeviation?: readonly number[];
  /** Pretrained networks that its training used; those of the published weights by default. */
  lossNetworks?: readonly string[];
  /** A weights file in place of the cache folder's, or an open one. */
  path?: string | WeightsFile;
}

export const AUTOENCODER_DEFAULTS = { imageSize: 256, latent: "mean", seed: 0, tileSize: 512 } as const;

export type AutoencoderName = "sd-vae" | "sd-vae-ema" | "va-vae";

interface AutoencoderKind {
  config: AutoencoderConfig;
  published: readonly PublishedWeights[];
  /** Mean and standard deviation of each latent channel: one for all, or a file that holds them. */
  statistics: { mean: number; standardDeviation: number } | PublishedWeights;
  /** Networks that the published weights were trained with. */
  lossNetworks: readonly string[];
}

/** All of them were trained with LPIPS on VGG16: the model cards of the two SD-VAE, and Yao and Wang (arXiv 2501.01423) for VA-VAE, which also saw a DINOv2 that is none of ours (L). */
const TRAINED_WITH = ["lpips-vgg16"];

const stability = (repository: string, folder: string): PublishedWeights => ({
  folder,
  file: "diffusion_pytorch_model.safetensors",
  description: `${folder} weights`,
  publishedAs: `https://huggingface.co/stabilityai/${repository}`,
  license: "MIT License",
  megabytes: 335,
  obtainedBy: "download",
});

/** SD-VAE's published scale: latents are multiplied by it, and have a deviation of about 1 then. */
const SD_SCALE = 0.18215;

/** Mean and deviation of VA-VAE's latents over ImageNet, which its authors publish beside the weights as "mean" and "std". */
export const VA_VAE_STATISTICS: PublishedWeights = {
  folder: "va-vae",
  file: "latents_stats.pt",
  description: "VA-VAE's latent statistics",
  publishedAs: "https://huggingface.co/hustvl/vavae-imagenet256-f16d32-dinov2",
  license: "MIT License",
  obtainedBy: "download",
};

/** The published autoencoders. */
export const AUTOENCODERS: Readonly<Record<AutoencoderName, AutoencoderKind>> = {
  "sd-vae": { config: SD_VAE, published: [stability("sd-vae-ft-mse", "sd-vae")], statistics: { mean: 0, standardDeviation: 1 / SD_SCALE }, lossNetworks: TRAINED_WITH },
  "sd-vae-ema": { config: SD_VAE, published: [stability("sd-vae-ft-ema", "sd-vae-ema")], statistics: { mean: 0, standardDeviation: 1 / SD_SCALE }, lossNetworks: TRAINED_WITH },
  "va-vae": {
    config: VA_VAE,
    published: [
      {
        folder: "va-vae",
        file: "vavae-imagenet256-f16d32-dinov2.pt",
        description: "VA-VAE weights",
        publishedAs: "https://huggingface.co/hustvl/vavae-imagenet256-f16d32-dinov2",
        license: "MIT License",
        obtainedBy: "download",
      },
    ],
    statistics: VA_VAE_STATISTICS,
    lossNetworks: TRAINED_WITH,
  },
};

/**
 * Load one of the published autoencoders.
 * @throws if the weights file is absent (saying which is wanted and where it is published) or is not that network's
 */
export async function loadAutoencoder(name: AutoencoderName, options: AutoencoderOptions = {}): Promise<Autoencoder> {
  const { config, published, statistics, lossNetworks } = AUTOENCODERS[name];
  const given = options.mean && options.standardDeviation ? { mean: options.mean, standardDeviation: options.standardDeviation } : await latentStatistics(statistics, config.latentChannels);
  const { parameters, digest } = await loadWeights(autoencoderWeights(config, name), typeof options.path === "object" ? options.path : findWeights(published, options.path));
  return createAutoencoder(name, config, parameters, digest, { ...options, ...given, lossNetworks });
}

async function latentStatistics(statistics: AutoencoderKind["statistics"], channels: number): Promise<{ mean: number[]; standardDeviation: number[] }> {
  if ("mean" in statistics) {
    const every = (value: number): number[] => new Array<number>(channels).fill(value);
    return { mean: every(statistics.mean), standardDeviation: every(statistics.standardDeviation) };
  }
  const file = await openWeights(findWeights(statistics));
  try {
    return { mean: [...(await file.read("mean"))], standardDeviation: [...(await file.read("std"))] };
  } finally {
    await file.close();
  }
}

/**
 * An autoencoder of given weights.
 * @param parameters are its own from now on: dispose() frees them
 * @param digest of the weights, for the fingerprint
 * @throws Error when the statistics have another length than the latent has channels, or the image size is no multiple of the downsampling
 */
export function createAutoencoder(name: string, config: AutoencoderConfig, parameters: Parameters, digest: string, options: AutoencoderOptions): Autoencoder {
  const { imageSize, latent, seed, tileSize } = { ...AUTOENCODER_DEFAULTS, ...options };
  const { latentChannels } = config;
  const [mean, standardDeviation] = [[...(options.mean ?? [])], [...(options.standardDeviation ?? [])]];
  if (mean.length !== latentChannels || standardDeviation.length !== latentChannels) {
    throw new Error(`${name} has ${latentChannels} latent channels: mean and standardDeviation need as many numbers, not ${mean.length} and ${standardDeviation.length}`);
  }
  const factor = downsampling(config);
  if (!Number.isInteger(imageSize / factor)) throw new Error(`${name}: the image size must be a multiple of ${factor}, not ${imageSize}`);
  const tiling: Tiling | undefined = tileSize > 0 ? tilingFor(tileSize, factor) : undefined;
  const fingerprint = createHash("sha256").update(JSON.stringify({ name, config, digest, imageSize, latent, mean, standardDeviation, ...(latent === "sample" ? { seed } : {}) })).digest("hex").slice(0, 16);
  const [shift, scale] = [tf.tensor1d(mean), tf.tensor1d(standardDeviation)];
  const noise = randomStream(seed, "posterior");
  const moments = (images: tf.Tensor4D): { mean: tf.Tensor4D; logVariance: tf.Tensor4D } => {
    const whole = (part: tf.Tensor4D): tf.Tensor4D => tf.tidy(() => {
      const both = encodeMoments(config, parameters, part);
      return tf.concat([both.mean, both.logVariance], -1);
    });
    if (!tiling || Math.max(images.shape[1], images.shape[2]) <= tiling.imageTile) return encodeMoments(config, parameters, images);
    const [first, second] = tf.split(encodeTiled(images, tiling, whole), 2, -1) as tf.Tensor4D[];
    return { mean: first, logVariance: second };
  };
  const decoded = (latents: tf.Tensor4D): tf.Tensor4D => {
    const whole = (part: tf.Tensor4D): tf.Tensor4D => decodeLatents(config, parameters, part);
    return tiling && Math.max(latents.shape[1], latents.shape[2]) > tiling.latentTile ? decodeTiled(latents, tiling, whole) : whole(latents);
  };
  const draw = (images: tf.Tensor4D): tf.Tensor4D => {
    const { mean: centre, logVariance } = moments(images);
    if (latent === "mean") return centre;
    return centre.add(logVariance.mul(0.5).exp().mul(tf.tensor4d(noise.normal(centre.size), centre.shape)));
  };
  return {
    name,
    config,
    imageSize,
    latentSize: imageSize / factor,
    latentChannels,
    mean,
    standardDeviation,
    fingerprint,
    lossNetworks: options.lossNetworks ?? [],
    posterior(images) {
      const [centre, deviation] = tf.tidy(() => {
        const { mean: first, logVariance } = moments(images);
        return [first, logVariance.mul<tf.Tensor4D>(0.5).exp()];
      });
      return { mean: centre, standardDeviation: deviation };
    },
    encode: (images) => tf.tidy(() => draw(images).sub(shift).div<tf.Tensor4D>(scale)),
    decode: (latents) => tf.tidy(() => decoded(latents.mul(scale).add(shift))),
    async save(file) {
      const tensors = Object.fromEntries(Object.entries(parameters).map(([key, tensor]): [string, SafetensorsTensor] => [key, { dtype: "F32", shape: tensor.shape, data: tensor.dataSync() as Float32Array }]));
      await writeSafetensors(file, tensors, { kind: "crossflow weights", network: name, source: digest });
    },
    dispose: () => void tf.dispose([parameters, shift, scale]),
  };
}
