import { tf } from "../engine/tf";
import { linear, parameter, type Parameters } from "../layers";
import { loadWeights } from "../weights/load";
import type { Dialect, NameMap, WantedWeights } from "../weights/name-map";
import { findWeights, type PublishedWeights } from "../weights/published";
import type { WeightsFile } from "../weights/weights-file";
import type { FeatureNetwork } from "./feature-network";
import { resizeImages, sampledBicubicMatrix, type ResizeMethod } from "./resize";

/*
 * The vision transformers of DINOv2 (Oquab et al., arXiv 2304.07193) and DINOv3 (Simeoni et al., arXiv 2508.10104): patches, a class token, in DINOv3
 * four register tokens; blocks with a norm before, a scale after each part, GELU. Places are told by a learned table in DINOv2 and by rotation in DINOv3.
 */

export interface DinoConfig {
  /** 2: learned position table; 3: rotary positions. */
  generation: 2 | 3;
  /** D. */
  width: number;
  depth: number;
  heads: number;
  /** Side of a patch in pixels. */
  patchSize: number;
  /** Tokens between the class token and the patches. */
  registers: number;
  /** Side of the learned position table, in patches; 0 with rotary positions. */
  positionGrid: number;
  normEpsilon: number;
}

export type DinoVariant = "dinov2-s" | "dinov2-b" | "dinov3-s" | "dinov3-b";

const DINOV2 = { generation: 2, patchSize: 14, registers: 0, positionGrid: 37, normEpsilon: 1e-6 } as const;
const DINOV3 = { generation: 3, patchSize: 16, registers: 4, positionGrid: 0, normEpsilon: 1e-5 } as const;

/** ViT-S and ViT-B of both generations. */
export const DINO_VARIANTS: Readonly<Record<DinoVariant, DinoConfig>> = {
  "dinov2-s": { ...DINOV2, width: 384, depth: 12, heads: 6 },
  "dinov2-b": { ...DINOV2, width: 768, depth: 12, heads: 12 },
  "dinov3-s": { ...DINOV3, width: 384, depth: 12, heads: 6 },
  "dinov3-b": { ...DINOV3, width: 768, depth: 12, heads: 12 },
};

/** Base of DINOv3's rotation frequencies. */
const ROTARY_BASE = 100;

/** Mean and standard deviation of ImageNet's pixels in [0, 1]. */
const PIXEL_MEAN = [0.485, 0.456, 0.406];
const PIXEL_DEVIATION = [0.229, 0.224, 0.225];

const facebook = (file: string, folder: string, megabytes: number): PublishedWeights => ({
  folder,
  file,
  description: `${folder} weights`,
  publishedAs: `https://dl.fbaipublicfiles.com/dinov2/${file.replace("_pretrain.pth", "")}/${file}`,
  license: "Apache License 2.0",
  megabytes,
  obtainedBy: "download",
});
const huggingFace = (repository: string, folder: string, license: string, megabytes: number): PublishedWeights => ({
  folder,
  file: "model.safetensors",
  description: `${folder} weights`,
  publishedAs: `https://huggingface.co/${repository}`,
  license,
  megabytes,
  obtainedBy: "download",
});
const DINOV3_LICENSE = "DINOv3 License; the page asks for its acceptance";

export const DINO_PUBLISHED: Readonly<Record<DinoVariant, readonly PublishedWeights[]>> = {
  "dinov2-s": [facebook("dinov2_vits14_pretrain.pth", "dinov2-s", 88.3), huggingFace("facebook/dinov2-small", "dinov2-s", "Apache License 2.0", 88.2)],
  "dinov2-b": [facebook("dinov2_vitb14_pretrain.pth", "dinov2-b", 346), huggingFace("facebook/dinov2-base", "dinov2-b", "Apache License 2.0", 346)],
  "dinov3-s": [huggingFace("facebook/dinov3-vits16-pretrain-lvd1689m", "dinov3-s", DINOV3_LICENSE, 86.4)],
  "dinov3-b": [huggingFace("facebook/dinov3-vitb16-pretrain-lvd1689m", "dinov3-b", DINOV3_LICENSE, 343)],
};

/** The names of one block's parts in a dialect. */
interface BlockNames {
  queryKeyValue: readonly string[];
  projection: string;
  /** Followed by ".weight" and ".bias". */
  norms: readonly [string, string];
  mlp: readonly [string, string];
  scales: readonly [string, string];
  /** Of the keys' bias: DINOv3 has none. */
  keyBias: boolean;
}

interface DialectNames {
  name: string;
  classToken: string;
  registers?: string;
  positions?: string;
  patches: string;
  norm: string;
  block(index: number): BlockNames;
  ignored: RegExp;
}

const FACEBOOK_NAMES: DialectNames = {
  name: "facebook",
  classToken: "cls_token",
  registers: "storage_tokens",
  positions: "pos_embed",
  patches: "patch_embed.proj",
  norm: "norm",
  block: (index) => ({
    queryKeyValue: [`blocks.${index}.attn.qkv`],
    projection: `blocks.${index}.attn.proj`,
    norms: [`blocks.${index}.norm1`, `blocks.${index}.norm2`],
    mlp: [`blocks.${index}.mlp.fc1`, `blocks.${index}.mlp.fc2`],
    scales: [`blocks.${index}.ls1.gamma`, `blocks.${index}.ls2.gamma`],
    keyBias: true,
  }),
  ignored: /^(mask_token|rope_embed\.periods)$|\.bias_mask$/,
};

const DINOV2_HUGGING_FACE_NAMES: DialectNames = {
  name: "transformers",
  classToken: "embeddings.cls_token",
  positions: "embeddings.position_embeddings",
  patches: "embeddings.patch_embeddings.projection",
  norm: "layernorm",
  block: (index) => ({
    queryKeyValue: ["query", "key", "value"].map((part) => `encoder.layer.${index}.attention.attention.${part}`),
    projection: `encoder.layer.${index}.attention.output.dense`,
    norms: [`encoder.layer.${index}.norm1`, `encoder.layer.${index}.norm2`],
    mlp: [`encoder.layer.${index}.mlp.fc1`, `encoder.layer.${index}.mlp.fc2`],
    scales: [`encoder.layer.${index}.layer_scale1.lambda1`, `encoder.layer.${index}.layer_scale2.lambda1`],
    keyBias: true,
  }),
  ignored: /^embeddings\.mask_token$/,
};

const DINOV3_HUGGING_FACE_NAMES: DialectNames = {
  name: "transformers",
  classToken: "embeddings.cls_token",
  registers: "embeddings.register_tokens",
  patches: "embeddings.patch_embeddings",
  norm: "norm",
  block: (index) => ({
    queryKeyValue: ["q_proj", "k_proj", "v_proj"].map((part) => `layer.${index}.attention.${part}`),
    projection: `layer.${index}.attention.o_proj`,
    norms: [`layer.${index}.norm1`, `layer.${index}.norm2`],
    mlp: [`layer.${index}.mlp.up_proj`, `layer.${index}.mlp.down_proj`],
    scales: [`layer.${index}.layer_scale1.lambda1`, `layer.${index}.layer_scale2.lambda1`],
    keyBias: false,
  }),
  ignored: /^embeddings\.mask_token$/,
};

function dialectOf(config: DinoConfig, names: DialectNames): Dialect {
  const { width, depth, patchSize, registers, positionGrid } = config;
  const parameters: NameMap = {
    classToken: { from: names.classToken, layout: "row", shape: [width] },
    "patches.weight": { from: `${names.patches}.weight`, layout: "convolution", shape: [patchSize, patchSize, 3, width] },
    "patches.bias": { from: `${names.patches}.bias`, layout: "same", shape: [width] },
  };
  if (registers > 0) parameters.registers = { from: names.registers ?? "registers", layout: "row", shape: [registers, width], publishedShape: [1, registers, width] };
  if (positionGrid > 0) parameters.positions = { from: names.positions ?? "positions", layout: "row", shape: [positionGrid ** 2 + 1, width], publishedShape: [1, positionGrid ** 2 + 1, width] };
  const norm = (to: string, from: string): void => {
    parameters[`${to}.weight`] = { from: `${from}.weight`, layout: "same", shape: [width] };
    parameters[`${to}.bias`] = { from: `${from}.bias`, layout: "same", shape: [width] };
  };
  const map = (to: string, from: readonly string[], shape: readonly [number, number], hasBias: (index: number) => boolean = () => true): void => {
    parameters[`${to}.weight`] = { from: from.map((name) => `${name}.weight`), layout: "linear", shape };
    parameters[`${to}.bias`] = { from: from.map((name, index) => (hasBias(index) ? `${name}.bias` : undefined)), layout: "same", shape: [shape[1]] };
  };
  for (let index = 0; index < depth; index++) {
    const { queryKeyValue, projection, norms, mlp, scales, keyBias } = names.block(index);
    const to = `blocks.${index}`;
    norm(`${to}.attentionNorm`, norms[0]);
    map(`${to}.attention.queryKeyValue`, queryKeyValue, [width, 3 * width], (part) => part !== 1 || keyBias);
    map(`${to}.attention.projection`, [projection], [width, width]);
    parameters[`${to}.attentionScale`] = { from: scales[0], layout: "same", shape: [width] };
    norm(`${to}.mlpNorm`, norms[1]);
    map(`${to}.mlp.up`, [mlp[0]], [width, 4 * width]);
    map(`${to}.mlp.down`, [mlp[1]], [4 * width, width]);
    parameters[`${to}.mlpScale`] = { from: scales[1], layout: "same", shape: [width] };
  }
  norm("norm", names.norm);
  return { name: names.name, parameters, ignored: names.ignored };
}

/** The weights of a DINO transformer, as its authors and as Hugging Face's transformers name them. */
export function dinoWeights(config: DinoConfig, network: string = "dino"): WantedWeights {
  const own = config.generation === 2 ? DINOV2_HUGGING_FACE_NAMES : DINOV3_HUGGING_FACE_NAMES;
  return { network, dialects: [own, FACEBOOK_NAMES].map((names) => dialectOf(config, names)) };
}

/** @param x [..., D] */
function layerNorm(parameters: Parameters, name: string, x: tf.Tensor, epsilon: number): tf.Tensor {
  const centred = x.sub(x.mean(-1, true));
  const inverse = tf.rsqrt(centred.square().mean(-1, true).add(epsilon));
  return centred.mul(inverse).mul(parameter(parameters, `${name}.weight`)).add(parameter(parameters, `${name}.bias`));
}

/** x times the normal distribution's share below x (Hendrycks and Gimpel, 2016), exactly. */
function gelu(x: tf.Tensor): tf.Tensor {
  return x.mul(tf.erf(x.mul(Math.SQRT1_2)).add(1)).mul(0.5);
}

/** DINOv2's position table for another grid of patches: bicubic, without antialiasing. @returns [side side + 1, D] */
function positionsFor(table: tf.Tensor2D, grid: number, side: number, offset: number): tf.Tensor2D {
  if (side === grid) return table;
  const width = table.shape[1];
  const ratio = offset > 0 ? grid / (side + offset) : grid / side;
  const matrix = tf.tensor2d(Float32Array.from(sampledBicubicMatrix(grid, side, ratio)), [side, grid]);
  const rows = tf.matMul(matrix, table.slice([1, 0], [grid * grid, width]).reshape([grid, grid * width]) as tf.Tensor2D); // [side, grid D]
  const columns = tf.matMul(matrix.expandDims(0), rows.reshape([side, grid, width])); // [side, side, D]
  return tf.concat([table.slice([0, 0], [1, width]), columns.reshape([side * side, width])], 0) as tf.Tensor2D;
}

/** Cosines and sines of DINOv3's rotation: [1, side side, 1, d] each. The angles are 2 pi c / base^(4 i / d) of the patch centre's coordinates c in [-1, 1], rows first. */
function rotaryAngles(side: number, headSize: number): { cosine: tf.Tensor; sine: tf.Tensor } {
  const quarter = headSize / 4;
  const angles = new Float32Array(side * side * headSize);
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const start = (row * side + column) * headSize;
      for (let index = 0; index < headSize; index++) {
        const place = index % (2 * quarter) < quarter ? row : column;
        angles[start + index] = (2 * Math.PI * ((2 * (place + 0.5)) / side - 1)) / ROTARY_BASE ** ((index % quarter) / quarter);
      }
    }
  }
  const shape = [1, side * side, 1, headSize];
  return { cosine: tf.tensor(angles.map(Math.cos), shape), sine: tf.tensor(angles.map(Math.sin), shape) };
}

/** Turns the patches' queries or keys [B, N, heads, d]; the `prefix` tokens before them have no place. */
function rotatePatches(x: tf.Tensor4D, prefix: number, { cosine, sine }: { cosine: tf.Tensor; sine: tf.Tensor }): tf.Tensor4D {
  const [batch, tokens, heads, size] = x.shape;
  const first = x.slice([0, 0, 0, 0], [batch, prefix, heads, size]);
  const patches = x.slice([0, prefix, 0, 0], [batch, tokens - prefix, heads, size]);
  const [left, right] = tf.split(patches, 2, -1);
  const turned = patches.mul(cosine).add(tf.concat([right.neg(), left], -1).mul(sine));
  return tf.concat([first, turned], 1) as tf.Tensor4D;
}

/**
 * The network as a function of its weights.
 * @param images [B, H, H, 3] in [-1, 1], H a multiple of the patch size
 * @param blocks after which blocks (from 1) to return the patches, ascending; nothing after the last is computed
 * @param positionOffset see `DinoOptions`
 * @returns for each, the patches' tokens after the final norm [B, H/p, H/p, D], and the class token after the final norm and the last of the blocks [B, D]
 */
export function dino(config: DinoConfig, parameters: Parameters, images: tf.Tensor4D, blocks: readonly number[], positionOffset = 0): { levels: tf.Tensor4D[]; classToken: tf.Tensor2D } {
  const { generation, width, heads, patchSize, registers, positionGrid, normEpsilon } = config;
  const [batch, height] = images.shape;
  const side = height / patchSize;
  const headSize = width / heads;
  const prefix = 1 + registers;
  const pixels = images.add(1).div(2).sub(PIXEL_MEAN).div<tf.Tensor4D>(PIXEL_DEVIATION);
  const patches = tf.conv2d(pixels, parameter<tf.Tensor4D>(parameters, "patches.weight"), patchSize, "valid").add(parameter(parameters, "patches.bias")); // [B, side, side, D]
  const token = (name: string): tf.Tensor => tf.tile(parameter(parameters, name).reshape([1, -1, width]), [batch, 1, 1]);
  let x = tf.concat([token("classToken"), ...(generation === 3 && registers > 0 ? [token("registers")] : []), patches.reshape([batch, side * side, width])], 1);
  if (generation === 2) x = x.add(positionsFor(parameter<tf.Tensor2D>(parameters, "positions"), positionGrid, side, positionOffset));
  const angles = generation === 3 ? rotaryAngles(side, headSize) : undefined;
  const tokens = prefix + side * side;
  const levels: tf.Tensor4D[] = [];
  let normed = x;
  for (let block = 0; block < blocks[blocks.length - 1]; block++) {
    const name = `blocks.${block}`;
    const joined = linear(parameters, `${name}.attention.queryKeyValue`, layerNorm(parameters, `${name}.attentionNorm`, x, normEpsilon)); // [B, N, 3 D]
    const [query, key, value] = tf.split(joined, 3, -1).map((part) => part.reshape([batch, tokens, heads, headSize]) as tf.Tensor4D);
    const place = (part: tf.Tensor4D): tf.Tensor => (angles ? rotatePatches(part, prefix, angles) : part).transpose([0, 2, 1, 3]); // [B, heads, N, d]
    const weights = tf.softmax(tf.matMul(place(query), place(key), false, true).mul(headSize ** -0.5)); // [B, heads, N, N]
    const attended = tf.matMul(weights, value.transpose([0, 2, 1, 3])).transpose([0, 2, 1, 3]).reshape([batch, tokens, width]);
    x = x.add(linear(parameters, `${name}.attention.projection`, attended).mul(parameter(parameters, `${name}.attentionScale`)));
    const hidden = gelu(linear(parameters, `${name}.mlp.up`, layerNorm(parameters, `${name}.mlpNorm`, x, normEpsilon)));
    x = x.add(linear(parameters, `${name}.mlp.down`, hidden).mul(parameter(parameters, `${name}.mlpScale`)));
    if (blocks.includes(block + 1)) {
      normed = layerNorm(parameters, "norm", x, normEpsilon);
      levels.push(normed.slice([0, prefix, 0], [batch, side * side, width]).reshape([batch, side, side, width]));
    }
  }
  return { levels, classToken: normed.slice([0, 0, 0], [batch, 1, width]).reshape([batch, width]) };
}

export interface DinoOptions {
  /** Side of the images that the network sees, pixels, a multiple of the patch size; others are resized. Default 224. */
  inputSize?: number;
  /** Default "bicubic" (antialiased). */
  resize?: ResizeMethod;
  /** After which blocks `features` are taken, ascending from 1. Default [3, 6, 9, 12]. */
  blocks?: readonly number[];
  /**
   * DINOv2 alone: what its authors' code adds to the number of patches when it rescales the position table (0.1); 0, the default, rescales to the exact
   * size, as transformers does.
   */
  positionOffset?: number;
  /** A weights file in place of the cache folder's, or an open one. */
  path?: string | WeightsFile;
}

/**
 * Load a DINO transformer. Its embedding is the class token after the final norm.
 * @throws if the weights file is absent (saying which is wanted and where it is published), is not that network's, or an option is out of range
 */
export async function loadDino(variant: DinoVariant, options: DinoOptions = {}): Promise<FeatureNetwork> {
  return loadDinoOf(variant, DINO_VARIANTS[variant], DINO_PUBLISHED[variant], options);
}

/** As loadDino(), for any configuration. */
export async function loadDinoOf(name: string, config: DinoConfig, published: readonly PublishedWeights[], options: DinoOptions = {}): Promise<FeatureNetwork> {
  const { inputSize = 224, resize = "bicubic", blocks = [3, 6, 9, 12], positionOffset = 0 } = options;
  const { patchSize, depth, width } = config;
  if (!Number.isInteger(inputSize / patchSize) || inputSize < patchSize) throw new Error(`${name}: inputSize must be a multiple of the patches' ${patchSize} pixels, not ${inputSize}.`);
  if (blocks.length === 0 || blocks.some((block, i) => !Number.isInteger(block) || block > depth || block <= (blocks[i - 1] ?? 0))) {
    throw new Error(`${name}: blocks must be ascending whole numbers from 1 to ${depth}, not [${blocks}].`);
  }
  const source = typeof options.path === "object" ? options.path : findWeights(published, options.path);
  const { parameters, digest } = await loadWeights(dinoWeights(config, name), source);
  const at = (images: tf.Tensor4D): tf.Tensor4D => resizeImages(images, [inputSize, inputSize], resize);
  return {
    name,
    fingerprint: `${name} ${digest}${positionOffset > 0 ? ` offset ${positionOffset}` : ""}`,
    resize: `${resize} ${inputSize}`,
    embeddingSize: width,
    features: (images) => tf.tidy(() => dino(config, parameters, at(images), blocks, positionOffset).levels),
    embedding: (images) => tf.tidy(() => dino(config, parameters, at(images), [depth], positionOffset).classToken),
    dispose: () => tf.dispose(parameters),
  };
}
