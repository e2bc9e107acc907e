import type { Dialect, NameMap, WantedWeights } from "../weights/name-map";

/*
 * The autoencoder of latent diffusion (Rombach et al., arXiv 2112.10752) as data: the layers in the order in which they are applied. The network, the
 * names in published files, and the count of operations are all read off this one list.
 */

export interface AutoencoderConfig {
  /** Channels of the latent. */
  latentChannels: number;
  /** Channels of each resolution, finest first; each but the last is followed by a halving. */
  channels: readonly number[];
  /** Residual blocks a resolution of the encoder; the decoder has one more. */
  blocksPerLevel: number;
  /** Whether the coarsest resolution has attention after each of its blocks, besides the middle's. */
  attentionAtCoarsest: boolean;
  /** Groups of the group norms. */
  normGroups: number;
}

/** Stable Diffusion's: f8, 4 channels. */
export const SD_VAE: AutoencoderConfig = { latentChannels: 4, channels: [128, 256, 512, 512], blocksPerLevel: 2, attentionAtCoarsest: false, normGroups: 32 };

/** VA-VAE (Yao et al., arXiv 2501.01423): f16, 32 channels. */
export const VA_VAE: AutoencoderConfig = { latentChannels: 32, channels: [128, 128, 256, 256, 512], blocksPerLevel: 2, attentionAtCoarsest: true, normGroups: 32 };

/** One step of the encoder or the decoder. `name` is diffusers', `ldm` the original code's. */
export interface Layer {
  kind: "convolution" | "residual" | "attention" | "downsample" | "upsample" | "norm";
  name: string;
  ldm: string;
  from: number;
  to: number;
  /** Of "convolution": 3, or 1 for those between the latent and the two halves. */
  kernel: 1 | 3;
}

/** Pixels along a side of what one latent pixel covers. */
export function downsampling({ channels }: AutoencoderConfig): number {
  return 2 ** (channels.length - 1);
}

const layer = (kind: Layer["kind"], name: string, ldm: string, from: number, to: number = from, kernel: 1 | 3 = 3): Layer => ({ kind, name, ldm, from, to, kernel });

function middle(half: "encoder" | "decoder", width: number): Layer[] {
  return [
    layer("residual", `${half}.mid_block.resnets.0`, `${half}.mid.block_1`, width),
    layer("attention", `${half}.mid_block.attentions.0`, `${half}.mid.attn_1`, width),
    layer("residual", `${half}.mid_block.resnets.1`, `${half}.mid.block_2`, width),
  ];
}

/** From the image to the moments: mean and log variance, 2 x latent channels. */
export function encoderLayers(config: AutoencoderConfig): Layer[] {
  const { channels, blocksPerLevel, latentChannels, attentionAtCoarsest } = config;
  const last = channels.length - 1;
  const layers = [layer("convolution", "encoder.conv_in", "encoder.conv_in", 3, channels[0])];
  let width = channels[0];
  channels.forEach((to, level) => {
    const [name, ldm] = [`encoder.down_blocks.${level}`, `encoder.down.${level}`];
    for (let block = 0; block < blocksPerLevel; block++) {
      layers.push(layer("residual", `${name}.resnets.${block}`, `${ldm}.block.${block}`, width, to));
      width = to;
      if (attentionAtCoarsest && level === last) layers.push(layer("attention", `${name}.attentions.${block}`, `${ldm}.attn.${block}`, width));
    }
    if (level < last) layers.push(layer("downsample", `${name}.downsamplers.0.conv`, `${ldm}.downsample.conv`, width));
  });
  layers.push(...middle("encoder", width), layer("norm", "encoder.conv_norm_out", "encoder.norm_out", width));
  layers.push(layer("convolution", "encoder.conv_out", "encoder.conv_out", width, 2 * latentChannels));
  layers.push(layer("convolution", "quant_conv", "quant_conv", 2 * latentChannels, 2 * latentChannels, 1));
  return layers;
}

/** From the latent to the image. */
export function decoderLayers(config: AutoencoderConfig): Layer[] {
  const { channels, blocksPerLevel, latentChannels, attentionAtCoarsest } = config;
  const last = channels.length - 1;
  let width = channels[last];
  const layers = [
    layer("convolution", "post_quant_conv", "post_quant_conv", latentChannels, latentChannels, 1),
    layer("convolution", "decoder.conv_in", "decoder.conv_in", latentChannels, width),
    ...middle("decoder", width),
  ];
  for (let level = last; level >= 0; level--) {
    // Diffusers counts the decoder's levels in the order of use, the original from the finest.
    const [name, ldm] = [`decoder.up_blocks.${last - level}`, `decoder.up.${level}`];
    for (let block = 0; block <= blocksPerLevel; block++) {
      layers.push(layer("residual", `${name}.resnets.${block}`, `${ldm}.block.${block}`, width, channels[level]));
      width = channels[level];
      if (attentionAtCoarsest && level === last) layers.push(layer("attention", `${name}.attentions.${block}`, `${ldm}.attn.${block}`, width));
    }
    if (level > 0) layers.push(layer("upsample", `${name}.upsamplers.0.conv`, `${ldm}.upsample.conv`, width));
  }
  return [...layers, layer("norm", "decoder.conv_norm_out", "decoder.norm_out", width), layer("convolution", "decoder.conv_out", "decoder.conv_out", width, 3)];
}

/** The names that a dialect gives to the parts of a layer: [ours, theirs]. */
interface PartNames {
  name: string;
  /** Which of a layer's two names it uses. */
  of: "name" | "ldm";
  shortcut: string;
  attention: { norm: string; query: string; key: string; value: string; output: string };
  /** Attention's maps are stored as 1 x 1 convolutions. */
  pointwise: boolean;
}

const DIFFUSERS: PartNames = { name: "diffusers", of: "name", shortcut: "conv_shortcut", attention: { norm: "group_norm", query: "to_q", key: "to_k", value: "to_v", output: "to_out.0" }, pointwise: false };
const EARLY_DIFFUSERS: PartNames = { ...DIFFUSERS, name: "diffusers before 0.17", attention: { norm: "group_norm", query: "query", key: "key", value: "value", output: "proj_attn" } };
const LATENT_DIFFUSION: PartNames = { name: "latent-diffusion", of: "ldm", shortcut: "nin_shortcut", attention: { norm: "norm", query: "q", key: "k", value: "v", output: "proj_out" }, pointwise: true };

function dialectOf(config: AutoencoderConfig, names: PartNames): Dialect {
  const parameters: NameMap = {};
  const norm = (to: string, from: string, width: number): void => {
    for (const part of ["weight", "bias"]) parameters[`${to}.${part}`] = { from: `${from}.${part}`, layout: "same", shape: [width] };
  };
  const convolution = (to: string, from: string, size: number, input: number, output: number): void => {
    parameters[`${to}.weight`] = { from: `${from}.weight`, layout: "convolution", shape: [size, size, input, output] };
    parameters[`${to}.bias`] = { from: `${from}.bias`, layout: "same", shape: [output] };
  };
  for (const current of [...encoderLayers(config), ...decoderLayers(config)]) {
    const { kind, name: to, from: input, to: output, kernel } = current;
    const from = current[names.of];
    if (kind === "norm") norm(to, from, input);
    else if (kind === "residual") {
      norm(`${to}.norm1`, `${from}.norm1`, input);
      convolution(`${to}.conv1`, `${from}.conv1`, 3, input, output);
      norm(`${to}.norm2`, `${from}.norm2`, output);
      convolution(`${to}.conv2`, `${from}.conv2`, 3, output, output);
      if (input !== output) convolution(`${to}.conv_shortcut`, `${from}.${names.shortcut}`, 1, input, output);
    } else if (kind === "attention") {
      norm(`${to}.group_norm`, `${from}.${names.attention.norm}`, input);
      for (const part of ["query", "key", "value", "output"] as const) {
        parameters[`${to}.${part}.weight`] = { from: `${from}.${names.attention[part]}.weight`, layout: names.pointwise ? "pointwise" : "linear", shape: [input, input] };
        parameters[`${to}.${part}.bias`] = { from: `${from}.${names.attention[part]}.bias`, layout: "same", shape: [input] };
      }
    } else convolution(to, from, kernel, input, output);
  }
  return { name: names.name, parameters, ignored: /^(loss|foundation_model|linear_proj|model_ema)\./ };
}

/** The autoencoder's weights, as diffusers and as the original code name them. */
export function autoencoderWeights(config: AutoencoderConfig, network: string = "autoencoder"): WantedWeights {
  return { network, dialects: [DIFFUSERS, EARLY_DIFFUSERS, LATENT_DIFFUSION].map((names) => dialectOf(config, names)) };
}

/**
 * Floating-point operations of encoding and decoding one image (a multiplication and an addition count two), of convolutions and attention alone.
 * @param imageSize height and width in pixels
 */
export function autoencoderFlops(config: AutoencoderConfig, imageSize: number): { encode: number; decode: number } {
  const count = (layers: readonly Layer[], start: number): number => {
    let side = start;
    return layers.reduce((sum, { kind, from, to, kernel }) => {
      const map = (size: number, input: number, output: number): number => 2 * side * side * size * size * input * output;
      if (kind === "downsample") side /= 2;
      if (kind === "upsample") side *= 2;
      if (kind === "norm") return sum;
      if (kind === "attention") return sum + 4 * map(1, from, from) + 4 * side ** 4 * from;
      if (kind === "residual") return sum + map(3, from, to) + map(3, to, to) + (from === to ? 0 : map(1, from, to));
      return sum + map(kernel, from, to);
    }, 0);
  };
  return { encode: count(encoderLayers(config), imageSize), decode: count(decoderLayers(config), imageSize / downsampling(config)) };
}
