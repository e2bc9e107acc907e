import { tf } from "./engine/tf";
import { recomputed } from "./engine/recompute";
import { convolution, depthToSpace, embed, linear, parameter, patchify, rmsNorm, rotaryTable, rotate, silu, timeFeatures, unpatchify, type Parameters, type RotaryTable } from "./layers";
import type { RandomStream } from "./random";

/** The network's size and the shapes between which it maps. */
export interface NetworkConfig {
  /** Height and width of the image, pixels. */
  imageSize: number;
  /** Height and width of the latent. */
  latentSize: number;
  latentChannels: number;
  /** Number of classes; label `classes` means "no class". */
  classes: number;
  /** Latent pixels along one side of a token. */
  patchSize: number;
  /** Numbers in a token. */
  width: number;
  /** Transformer blocks. */
  depth: number;
  heads: number;
  /** Numbers through which a patch enters; 0 for no bottleneck. */
  bottleneck: number;
  /** Prefix tokens that carry the class and the time r. */
  classTokens: number;
  timeTokens: number;
  /** Tokens that a patch becomes, of which one linear map makes the patch's pixels again: more tokens, more computation from hardly more weights. 1 where it is not given. */
  tokensPerPatch?: number;
  /** "linear": one linear map to pixels (the paper's); "convolution": overlapping convolutions, which leave no seams between small patches. */
  head: "linear" | "convolution";
  /** Channels of the convolutional head at twice the latent's resolution, halved at each further doubling. */
  headChannels: number;
  /** Residual blocks of two convolutions at each of its resolutions; 1 where it is not given. */
  headBlocks?: number;
  /** Channels of the linear head's output; 3, an image's, where it is not given. */
  outputChannels?: number;
}

/** What a configuration means that does not say how often. */
export const NETWORK_DEFAULTS = { tokensPerPatch: 1, headBlocks: 1 };

const TIME_FEATURES = 64;

/** Width of the SwiGLU layer: 8/3 of the token's, rounded to a multiple of 8 (Shazeer, 2020). */
export const hiddenWidth = (width: number): number => Math.round((width * 8) / 3 / 8) * 8;

/** Patches along one side of the latent. */
export const patchesPerSide = (config: Pick<NetworkConfig, "latentSize" | "patchSize">): number => config.latentSize / config.patchSize;
/** Tokens of class and time, which come before those of the patches. */
export const prefixTokens = (config: Pick<NetworkConfig, "classTokens" | "timeTokens">): number => config.classTokens + config.timeTokens;

/** Channels of the convolutional head: one entry a resolution, from twice the latent's to the image's. */
export function headChannels(config: NetworkConfig): number[] {
  const doublings = Math.log2(config.imageSize / config.latentSize);
  return Array.from({ length: doublings }, (_, stage) => Math.max(Math.round(config.headChannels / 2 ** stage), 16));
}

/** Names of the residual blocks of a stage of the convolutional head. */
export const headBlockNames = (stage: number, { headBlocks = 1 }: Pick<NetworkConfig, "headBlocks">): string[] => Array.from({ length: headBlocks }, (_, block) => (block === 0 ? `head.stages.${stage}` : `head.stages.${stage}.blocks.${block}`));

/** How a weight starts: normal with a standard deviation, or all ones, or all zeros. */
export interface ParameterShape {
  shape: number[];
  start: number | "ones" | "zeros";
}

/**
 * Names, shapes and starting values of all parameters, without allocating any.
 * @throws Error when the sizes do not fit together
 */
export function parameterShapes(config: NetworkConfig): Record<string, ParameterShape> {
  const { width, depth, heads, classes, latentChannels, patchSize, bottleneck, tokensPerPatch = 1 } = config;
  assertConfig(config);
  const hidden = hiddenWidth(width);
  const patch = patchSize * patchSize * latentChannels;
  const shapes: Record<string, ParameterShape> = {};
  const dense = (name: string, rows: number, columns: number, start: number | "zeros" = rows ** -0.5): void => void (shapes[`${name}.weight`] = { shape: [rows, columns], start });
  const bias = (name: string, size: number): void => void (shapes[`${name}.bias`] = { shape: [size], start: "zeros" });
  const scale = (name: string, size: number): void => void (shapes[`${name}.scale`] = { shape: [size], start: "ones" });

  if (bottleneck > 0) dense("patchEmbedding.bottleneck", patch, bottleneck);
  dense("patchEmbedding", bottleneck > 0 ? bottleneck : patch, tokensPerPatch * width);
  bias("patchEmbedding", tokensPerPatch * width);
  shapes["positionEmbedding"] = { shape: [prefixTokens(config) + patchesPerSide(config) ** 2 * tokensPerPatch, width], start: 0.02 };
  shapes["classEmbedding"] = { shape: [classes + 1, width], start: 0.02 };
  dense("timeEmbedding.first", TIME_FEATURES, width);
  bias("timeEmbedding.first", width);
  dense("timeEmbedding.second", width, width);
  bias("timeEmbedding.second", width);
  for (let block = 0; block < depth; block++) {
    const name = `blocks.${block}`;
    scale(`${name}.attention.norm`, width);
    dense(`${name}.attention.qkv`, width, 3 * width);
    scale(`${name}.attention.queryNorm`, width / heads);
    scale(`${name}.attention.keyNorm`, width / heads);
    dense(`${name}.attention.output`, width, width);
    shapes[`${name}.attention.gate`] = { shape: [width], start: "zeros" };
    scale(`${name}.mlp.norm`, width);
    dense(`${name}.mlp.activation`, width, hidden);
    dense(`${name}.mlp.up`, width, hidden);
    dense(`${name}.mlp.down`, hidden, width);
    shapes[`${name}.mlp.gate`] = { shape: [width], start: "zeros" };
  }
  scale("finalNorm", width);
  if (config.head === "linear") {
    const outputs = (config.outputChannels ?? 3) * (config.imageSize / patchesPerSide(config)) ** 2;
    dense("head", tokensPerPatch * width, outputs, "zeros");
    bias("head", outputs);
  } else {
    const channels = headChannels(config);
    const conv = (name: string, from: number, to: number, size = 3, start: number | "zeros" = (size * size * from) ** -0.5): void => {
      shapes[`${name}.weight`] = { shape: [size, size, from, to], start };
      bias(name, to);
    };
    dense("head.tokens", tokensPerPatch * width, (2 * patchSize) ** 2 * channels[0]);
    bias("head.tokens", (2 * patchSize) ** 2 * channels[0]);
    channels.forEach((count, stage) => {
      if (stage > 0) conv(`head.stages.${stage}.enter`, channels[stage - 1], 4 * count, 1);
      for (const name of headBlockNames(stage, config)) {
        conv(`${name}.first`, count, count);
        conv(`${name}.second`, count, count, 3, "zeros");
      }
    });
    conv("head.image", channels[channels.length - 1], 3, 3, "zeros");
  }
  return shapes;
}

function assertConfig(config: NetworkConfig): void {
  const { width, heads, latentSize, patchSize, imageSize } = config;
  for (const key of ["tokensPerPatch", "headBlocks"] as const) {
    const { [key]: count } = { ...NETWORK_DEFAULTS, ...config };
    if (!(Number.isInteger(count) && count > 0)) throw new Error(`${key} must be a whole number from 1, not ${count}`);
  }
  if (latentSize % patchSize !== 0) throw new Error(`patchSize ${patchSize} does not divide latentSize ${latentSize}`);
  if (width % heads !== 0 || (width / heads) % 4 !== 0) throw new Error(`width ${width} with ${heads} heads: a head needs a whole number of numbers divisible by 4 (for the rotary embedding)`);
  if (!Number.isInteger(Math.log2(imageSize / latentSize))) throw new Error(`imageSize ${imageSize} must be latentSize ${latentSize} times a power of two`);
}

/** Whether a parameter belongs to the head, which follows the transformer. */
export const isOfHead = (name: string): boolean => name === "finalNorm.scale" || name.startsWith("head.");

/**
 * Draws starting weights: normal with standard deviation 1/sqrt(inputs), gates and the last layer zero, so that each block starts as the identity.
 * @returns variables by name; the caller disposes of them
 */
export function initializeParameters(shapes: Record<string, ParameterShape>, stream: RandomStream): Record<string, tf.Variable> {
  return Object.fromEntries(
    Object.entries(shapes).map(([name, { shape, start }]) => {
      const size = shape.reduce((product, length) => product * length, 1);
      const values = typeof start === "number" ? stream.normal(size).map((value) => value * start) : new Float32Array(size).fill(start === "ones" ? 1 : 0);
      return [name, tf.tidy(() => tf.variable(tf.tensor(values, shape)))];
    }),
  );
}

export interface NetworkOptions {
  /** Keep of each transformer block, and of each stage of a convolutional head, its input alone, and compute it again in the backward pass; false by default. */
  recompute?: boolean;
}

/**
 * The network F(z_t, r, y): a transformer over latent patches with the class and the time r as prefix tokens, from a noisy latent
 * straight to an image. It is not told t (App. B.2).
 * @param zT latents [B, h, w, c], normalised
 * @param r times [B] in [0, 1]; 0 asks for the end of the trajectory
 * @param y class labels, int32 [B], 0 to classes; `classes` means "no class"
 * @param options how its gradient is computed
 * @returns images [B, H, W, 3], about [-1, 1], not clamped
 * @throws Error when the latents have another shape than the configuration says
 */
export function network(config: NetworkConfig, parameters: Parameters, zT: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D, { recompute = false }: NetworkOptions = {}): tf.Tensor4D {
  const { latentSize, latentChannels, tokensPerPatch = 1 } = config;
  const [batch, ...shape] = zT.shape;
  if (shape.join() !== [latentSize, latentSize, latentChannels].join()) throw new Error(`the network takes latents of shape [B, ${latentSize}, ${latentSize}, ${latentChannels}], not [${zT.shape}]`);
  const side = patchesPerSide(config);
  const count = side * side * tokensPerPatch;
  const prefix = prefixTokens(config);

  let patches = patchify(zT, config.patchSize) as tf.Tensor; // [B, n n, p p c]
  if (config.bottleneck > 0) patches = linear(parameters, "patchEmbedding.bottleneck", patches);
  const image = linear(parameters, "patchEmbedding", patches).reshape([batch, count, config.width]); // [B, n n, m D] -> [B, n n m, D]
  const repeat = (row: tf.Tensor, tokens: number): tf.Tensor => tf.tile(row.reshape([batch, 1, config.width]), [1, tokens, 1]);
  const classRow = embed(parameter(parameters, "classEmbedding"), y); // [B, D]
  const timeRow = linear(parameters, "timeEmbedding.second", silu(linear(parameters, "timeEmbedding.first", timeFeatures(r, TIME_FEATURES))));
  let tokens = tf.concat([repeat(classRow, config.classTokens), repeat(timeRow, config.timeTokens), image], 1); // [B, prefix + n n m, D]
  tokens = tf.add(tokens, parameter(parameters, "positionEmbedding"));

  const table = rotaryTable(side, prefix, config.width / config.heads, tokensPerPatch);
  // A scope for each part: run op by op, what it leaves behind would otherwise stay until the whole network is done.
  const part: Part = recompute ? (name, x, fn) => recomputed((input, weights, [cosine, sine]) => fn(input, weights, { cosine, sine }), x, under(parameters, name), [table.cosine, table.sine]) : (name, x, fn) => tf.tidy(() => fn(x, parameters, table));
  for (let block = 0; block < config.depth; block++) {
    const name = `blocks.${block}`;
    tokens = part(name, tokens, (x, weights, places) => {
      const attended = tf.add(x, attention(config, weights, `${name}.attention`, x, places));
      return tf.add(attended, swiGlu(weights, `${name}.mlp`, attended));
    });
  }
  const last = rmsNorm(parameters, "finalNorm", tf.slice(tokens, [0, prefix, 0], [batch, count, config.width])).reshape([batch, side * side, tokensPerPatch * config.width]); // [B, n n, m D]
  return config.head === "linear" ? unpatchify(linear(parameters, "head", last), config.imageSize / side) : convolutionHead(config, parameters, last, part);
}

/** Runs a part of the network whose weights' names begin with `name` and a dot. */
type Part = (name: string, x: tf.Tensor, fn: (x: tf.Tensor, weights: Parameters, table: RotaryTable) => tf.Tensor) => tf.Tensor;

const under = (parameters: Parameters, name: string): Parameters => Object.fromEntries(Object.entries(parameters).filter(([key]) => key.startsWith(`${name}.`)));

/** Multi-head attention with normalised queries and keys, times a learned gate. @param x [B, N, D] */
function attention(config: NetworkConfig, parameters: Parameters, name: string, x: tf.Tensor, table: RotaryTable): tf.Tensor {
  const [batch, count, width] = x.shape;
  const headSize = width / config.heads;
  const joined = linear(parameters, `${name}.qkv`, rmsNorm(parameters, `${name}.norm`, x));
  const [query, key, value] = tf.split(joined, 3, -1).map((part) => part.reshape([batch, count, config.heads, headSize]) as tf.Tensor4D);
  const toHeads = (part: tf.Tensor): tf.Tensor => part.transpose([0, 2, 1, 3]); // [B, N, heads, d] -> [B, heads, N, d]
  const turned = (part: tf.Tensor4D, norm: string): tf.Tensor => toHeads(rotate(rmsNorm(parameters, `${name}.${norm}`, part) as tf.Tensor4D, table));
  const scores = tf.mul(tf.matMul(turned(query, "queryNorm"), turned(key, "keyNorm"), false, true), headSize ** -0.5); // [B, heads, N, N]
  const mixed = tf.matMul(tf.softmax(scores), toHeads(value)).transpose([0, 2, 1, 3]).reshape([batch, count, width]);
  return tf.mul(linear(parameters, `${name}.output`, mixed), parameter(parameters, `${name}.gate`));
}

/** SwiGLU (Shazeer, 2020), times a learned gate. @param x [B, N, D] */
function swiGlu(parameters: Parameters, name: string, x: tf.Tensor): tf.Tensor {
  const normalised = rmsNorm(parameters, `${name}.norm`, x);
  const hidden = tf.mul(silu(linear(parameters, `${name}.activation`, normalised)), linear(parameters, `${name}.up`, normalised));
  return tf.mul(linear(parameters, `${name}.down`, hidden), parameter(parameters, `${name}.gate`));
}

/**
 * From tokens to pixels: tokens become patches of features at twice the latent's resolution, and residual convolutions, which overlap
 * the patches' borders, work at each resolution up to the image's.
 * @param tokens [B, n n, m D]
 * @returns images [B, H, W, 3]
 */
function convolutionHead(config: NetworkConfig, parameters: Parameters, tokens: tf.Tensor, part: Part): tf.Tensor4D {
  let x = unpatchify(linear(parameters, "head.tokens", tokens), 2 * config.patchSize); // [B, n n, (2 p)^2 C] -> [B, 2 h, 2 w, C]
  headChannels(config).forEach((_, stage) => {
    const name = `head.stages.${stage}`;
    x = part(name, x, (input, weights) => {
      const entered = stage > 0 ? depthToSpace(convolution(weights, `${name}.enter`, input as tf.Tensor4D)) : (input as tf.Tensor4D); // [B, s, s, C] -> [B, 2 s, 2 s, C']
      return headBlockNames(stage, config).reduce((before, block) => tf.add(before, convolution(weights, `${block}.second`, silu(convolution(weights, `${block}.first`, silu(before))))), entered);
    }) as tf.Tensor4D;
  });
  return convolution(parameters, "head.image", silu(x));
}
