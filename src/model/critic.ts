import { tf } from "./engine/tf";
import { convolution, embed, linear, parameter, type Parameters } from "./layers";
import type { ParameterShape } from "./network";

/** The critic's size and the images that it judges. */
export interface CriticConfig {
  /** Height and width of the images, pixels. */
  imageSize: number;
  classes: number;
  /** Channels of the first layer; each halving of the resolution doubles them, up to four times as many. Of a local critic, of all layers. */
  channels: number;
  /** Whether it judges places by what lies around them alone, and no image as a whole; false where it is not given. */
  local?: boolean;
}

const PATCH_SIZE = 8; // pixels: the resolution at which patches are judged
const LEAK = 0.2;

/** Strides of a local critic's layers, of 3 x 3 pixels each: a score knows 17 x 17 pixels around its place. */
const LOCAL_STRIDES = [1, 2, 1, 1, 1];

/** The convolutions: one at the image's resolution, one a halving down to the patches', and one at half of that; or a local critic's. */
function layersOf({ imageSize, channels, local }: CriticConfig): { size: number; stride: number; channels: number }[] {
  if (local) return LOCAL_STRIDES.map((stride) => ({ size: 3, stride, channels }));
  const halvings = Math.log2(imageSize / PATCH_SIZE) + 1;
  const halving = Array.from({ length: halvings }, (_, stage) => ({ size: 4, stride: 2, channels: channels * Math.min(2 ** (stage + 1), 4) }));
  return [{ size: 3, stride: 1, channels: Math.round((channels * 2) / 3) }, ...halving];
}

/** Names, shapes and starting values of the critic's parameters. @throws Error when the image is too small for it */
export function criticShapes(config: CriticConfig): Record<string, ParameterShape> {
  if (config.imageSize < 2 * PATCH_SIZE) throw new Error(`the critic takes images of at least ${2 * PATCH_SIZE} pixels, not ${config.imageSize}`);
  const layers = layersOf(config);
  const shapes: Record<string, ParameterShape> = {};
  layers.forEach(({ size, channels }, stage) => {
    const from = stage === 0 ? 3 : layers[stage - 1].channels;
    shapes[`stages.${stage}.weight`] = { shape: [size, size, from, channels], start: (2 / (size * size * from)) ** 0.5 };
    shapes[`stages.${stage}.bias`] = { shape: [channels], start: "zeros" };
  });
  const [beforeLast, last] = layers.slice(-2).map(({ channels }) => channels);
  if (config.local) return { ...shapes, ...headShapes("patch", last, config) };
  const side = PATCH_SIZE / 2;
  shapes["pooling"] = { shape: [1, side, side, last], start: 1 / side };
  return { ...shapes, ...headShapes("patch", beforeLast, config), ...headShapes("whole", last, config) };
}

function headShapes(head: string, width: number, { classes }: CriticConfig): Record<string, ParameterShape> {
  return { [`${head}.weight`]: { shape: [width, 1], start: width ** -0.5 }, [`${head}.bias`]: { shape: [1], start: "zeros" }, [`${head}.classEmbedding`]: { shape: [classes + 1, width], start: 0.1 } };
}

/** The critic's judgement: large for what looks real. */
export interface Scores {
  /** Of the image as a whole [B, 1]. */
  whole: tf.Tensor2D;
  /** Of its patches [B, n n], 64 of them, or of a local critic as many as 2 x 2 pixels: catches seams and checkerboards that the whole hides. */
  patches: tf.Tensor2D;
}

/**
 * A critic that learns from pixels: strided convolutions, then a score of each patch and of the whole, each with the inner product of
 * features and class (projection, Miyato and Koyama, 2018). It stands on no network trained on the data, whose blind spots the generator would find.
 * A local one judges each place by 17 x 17 pixels around it (patches as in Isola et al., 2017, "Image-to-Image Translation with Conditional Adversarial Networks"), and the whole by their mean: how
 * things are drawn, and not what.
 * @param images [B, H, W, 3], about [-1, 1]
 * @param y class labels, int32 [B]
 */
export function critic(config: CriticConfig, parameters: Parameters, images: tf.Tensor4D, y: tf.Tensor1D): Scores {
  const layers = layersOf(config);
  const through = (x: tf.Tensor4D, from: number, to?: number): tf.Tensor4D => layers.slice(from, to).reduce((input, { stride }, index) => tf.leakyRelu(convolution(parameters, `stages.${from + index}`, input, stride), LEAK), x);
  const judged = config.local ? layers.length : layers.length - 1;
  const features = through(images, 0, judged); // [B, 8, 8, C], of a local critic [B, H / 2, W / 2, C]
  const [batch, height, width, channels] = features.shape;
  const patches = judge(parameters, "patch", features.reshape([batch, height * width, channels]), y);
  if (config.local) return { whole: tf.mean(patches, 1, true), patches };
  const pooled = tf.sum(tf.mul(through(features, judged), parameter(parameters, "pooling")), [1, 2]); // [B, 4, 4, C] -> [B, C]
  return { whole: judge(parameters, "whole", pooled.reshape([batch, 1, -1]), y), patches };
}

/** A linear score plus the projection on the class. @param features [B, n, C] @returns [B, n] */
export function judge(parameters: Parameters, name: string, features: tf.Tensor, y: tf.Tensor1D): tf.Tensor2D {
  const [batch, count, channels] = features.shape;
  const row = embed(parameter(parameters, `${name}.classEmbedding`), y).reshape([batch, channels, 1]);
  const projection = tf.mul(tf.matMul(features, row), channels ** -0.5); // [B, n, 1]
  return tf.add(linear(parameters, name, features), projection).reshape([batch, count]);
}

/**
 * Moves each image by whole pixels, filling with zeros: the critic's augmentation (Zhao et al., 2020), as products with shifted
 * identity matrices, so that gradients flow through it.
 * @param images [B, H, W, C]
 * @param rows pixels downwards, int32 [B]
 * @param columns pixels to the right, int32 [B]
 */
export function translate(images: tf.Tensor4D, rows: tf.Tensor1D, columns: tf.Tensor1D): tf.Tensor4D {
  const [batch, height, width, channels] = images.shape;
  const shifted = (offsets: tf.Tensor1D, size: number): tf.Tensor3D => {
    const source = tf.sub(tf.range(0, size, 1, "int32").reshape([1, size]), offsets.reshape([batch, 1])); // [B, size]: where each pixel comes from
    return tf.equal(source.reshape([batch, size, 1]), tf.range(0, size, 1, "int32").reshape([1, 1, size])).toFloat() as tf.Tensor3D; // [B, to, from]
  };
  const byRow = tf.matMul(shifted(rows, height), images.reshape([batch, height, width * channels])).reshape([batch, height, width, channels]);
  const byColumn = tf.matMul(shifted(columns, width), byRow.transpose([0, 2, 1, 3]).reshape([batch, width, height * channels]));
  return byColumn.reshape([batch, width, height, channels]).transpose([0, 2, 1, 3]);
}
