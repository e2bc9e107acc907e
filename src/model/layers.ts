import { tf } from "./engine/tf";
import { convolutionInStrips, stripRows, stripsPay } from "./strips";

/** Weights by dotted name, `blocks.3.attention.qkv.weight`; the same names stand in checkpoints and summaries. */
export type Parameters = Record<string, tf.Tensor>;

/** @throws Error naming the parameter that is missing */
export function parameter<T extends tf.Tensor = tf.Tensor>(parameters: Parameters, name: string): T {
  const value = parameters[name];
  if (!value) throw new Error(`parameter "${name}" is missing; there are ${Object.keys(parameters).length} others, such as ${Object.keys(parameters).slice(0, 3).join(", ")}`);
  return value as T;
}

/** SiLU, x sigmoid(x) (Elfwing et al., 2017). */
export function silu<T extends tf.Tensor>(x: T): T {
  return tf.mul(x, tf.sigmoid(x));
}

/**
 * A linear map of the last axis: x W + b, with the bias where there is one.
 * @param x [..., D]
 * @returns [..., E] for a weight of shape [D, E]
 */
export function linear(parameters: Parameters, name: string, x: tf.Tensor): tf.Tensor {
  const weight = parameter<tf.Tensor2D>(parameters, `${name}.weight`);
  const rows = x.reshape([-1, weight.shape[0]]); // [..., D] -> [rows, D]
  const product = tf.matMul(rows, weight);
  const bias = parameters[`${name}.bias`];
  return (bias ? tf.add(product, bias) : product).reshape([...x.shape.slice(0, -1), weight.shape[1]]);
}

/**
 * Root-mean-square normalisation of the last axis with a learned scale (Zhang and Sennrich, 2019).
 * @param x [..., D]
 */
export function rmsNorm(parameters: Parameters, name: string, x: tf.Tensor, epsilon = 1e-6): tf.Tensor {
  const inverse = tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), epsilon));
  return tf.mul(tf.mul(x, inverse), parameter(parameters, `${name}.scale`));
}

/**
 * A square convolution with stride 1 or more and "same" padding.
 * @param x [B, H, W, C]
 * @returns [B, H / stride, W / stride, E] for a weight of shape [k, k, C, E]
 */
export function convolution(parameters: Parameters, name: string, x: tf.Tensor4D, stride = 1): tf.Tensor4D {
  const weight = parameter<tf.Tensor4D>(parameters, `${name}.weight`);
  const rows = stripsPay() ? stripRows(x.shape, weight.shape, stride) : undefined;
  const result = rows === undefined ? tf.conv2d(x, weight, stride, "same") : convolutionInStrips(x, weight, stride, rows);
  const bias = parameters[`${name}.bias`];
  return bias ? tf.add(result, bias) : result;
}

/**
 * Doubles height and width by repeating each pixel. Built of concatenations, whose gradient and forward mode every engine has.
 * @param x [B, H, W, C]
 * @returns [B, 2 H, 2 W, C]
 */
export function upsample(x: tf.Tensor4D): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const pixels = x.reshape([batch * height * width, 1, channels]);
  const rows = tf.concat([pixels, pixels], 1).reshape([batch * height, 1, 2 * width * channels]); // each pixel twice
  return tf.concat([rows, rows], 1).reshape([batch, 2 * height, 2 * width, channels]); // each row twice
}

/**
 * Cuts an image into square patches, one a token.
 * @param x [B, H, W, C]
 * @returns [B, (H / p) (W / p), p p C], rows first
 */
export function patchify(x: tf.Tensor4D, patchSize: number): tf.Tensor3D {
  const [batch, height, width, channels] = x.shape;
  if (patchSize === 1) return x.reshape([batch, height * width, channels]);
  const [rows, columns] = [height / patchSize, width / patchSize];
  return x
    .reshape([batch, rows, patchSize, columns, patchSize * channels]) // [B, H/p, p, W/p, p C]
    .transpose([0, 1, 3, 2, 4]) // [B, H/p, W/p, p, p C]
    .reshape([batch, rows * columns, patchSize * patchSize * channels]);
}

/**
 * Puts patches back together: the inverse of patchify().
 * @param tokens [B, n n, p p C]
 * @returns [B, n p, n p, C]
 */
export function unpatchify(tokens: tf.Tensor, patchSize: number): tf.Tensor4D {
  const [batch, count, size] = tokens.shape;
  const side = Math.sqrt(count);
  const channels = size / (patchSize * patchSize);
  return tokens
    .reshape([batch, side, side, patchSize, patchSize * channels]) // [B, n, n, p, p C]
    .transpose([0, 1, 3, 2, 4]) // [B, n, p, n, p C]
    .reshape([batch, side * patchSize, side * patchSize, channels]);
}

/**
 * Spreads each pixel's channels over a 2 x 2 square (Shi et al., 2016).
 * @param x [B, H, W, 4 C]
 * @returns [B, 2 H, 2 W, C]
 */
export function depthToSpace(x: tf.Tensor4D): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  return unpatchify(x.reshape([batch, height * width, channels]), 2);
}

/** Cosines and sines [1, N, 1, d / 2] of the rotary position embedding of N tokens. */
export interface RotaryTable {
  cosine: tf.Tensor4D;
  sine: tf.Tensor4D;
}

/**
 * The two-dimensional rotary position embedding (Su et al., 2021; one half of the head turns with the row, the other with the column).
 * @param side patches lie on a grid of side x side
 * @param prefix tokens before the grid, which have no place and are not turned
 * @param headSize numbers in a head's query, divisible by 4
 * @param tokensPerPatch tokens in a row that share a patch's place
 */
export function rotaryTable(side: number, prefix: number, headSize: number, tokensPerPatch = 1, base = 100): RotaryTable {
  const quarter = headSize / 4;
  const count = prefix + side * side * tokensPerPatch;
  const angles = new Float32Array(count * 2 * quarter);
  for (let token = prefix; token < count; token++) {
    const patch = Math.floor((token - prefix) / tokensPerPatch);
    for (let index = 0; index < quarter; index++) {
      const frequency = base ** (-index / quarter);
      angles[token * 2 * quarter + index] = Math.floor(patch / side) * frequency;
      angles[token * 2 * quarter + quarter + index] = (patch % side) * frequency;
    }
  }
  const shape: [number, number, number, number] = [1, count, 1, 2 * quarter];
  return { cosine: tf.tensor4d(angles.map(Math.cos), shape), sine: tf.tensor4d(angles.map(Math.sin), shape) };
}

/**
 * Turns queries or keys by their token's place.
 * @param x [B, N, heads, d]
 */
export function rotate(x: tf.Tensor4D, { cosine, sine }: RotaryTable): tf.Tensor4D {
  const [first, second] = tf.split(x, 2, -1); // [B, N, heads, d / 2] each
  return tf.concat([tf.sub(tf.mul(first, cosine), tf.mul(second, sine)), tf.add(tf.mul(second, cosine), tf.mul(first, sine))], -1) as tf.Tensor4D;
}

/**
 * Sines and cosines of a time at frequencies from 100 down to 0.1 radians a unit (Vaswani et al., 2017, for times in [0, 1]).
 * @param times [B]
 * @returns [B, size]
 */
export function timeFeatures(times: tf.Tensor1D, size: number): tf.Tensor2D {
  const half = size / 2;
  const frequencies = Float32Array.from({ length: half }, (_, index) => 100 * 1000 ** (-index / (half - 1)));
  const angles = tf.mul(times.reshape([-1, 1]), tf.tensor2d(frequencies, [1, half])); // [B, size / 2]
  return tf.concat([tf.sin(angles), tf.cos(angles)], 1) as tf.Tensor2D;
}

/**
 * Rows of a table, as a product with one-hot rows: every engine has its gradient and its forward mode.
 * @param table [classes, D]
 * @param labels int32 [B]
 * @returns [B, D]
 */
export function embed(table: tf.Tensor2D, labels: tf.Tensor1D): tf.Tensor2D {
  return tf.matMul(tf.oneHot(labels, table.shape[0]).toFloat() as tf.Tensor2D, table);
}

/** A copy of a value through which no gradient flows: the sg of the paper. */
export function stopGradient<T extends tf.Tensor>(x: T): T {
  const stop = tf.customGrad((value) => ({ value: tf.clone(value as tf.Tensor), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy) }));
  return stop(x) as T;
}
