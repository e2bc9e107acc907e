import { translate } from "./critic";
import { tf } from "./engine/tf";
import type { RandomStream } from "./random";

/*
 * Differentiable augmentation of what a critic sees (Zhao et al., arXiv 2006.10738): the critic learns from, and the network is judged by, images that are
 * recoloured, moved and partly covered, so that it can not learn the few real images by heart. Gradients pass through every operation.
 */

/** The augmentations, in the order in which they are applied. */
export const AUGMENTATIONS = ["brightness", "saturation", "contrast", "translation", "cutout"] as const;
export type AugmentationName = (typeof AUGMENTATIONS)[number];

/** What "colour" stands for. */
const COLOUR: readonly AugmentationName[] = ["brightness", "saturation", "contrast"];

/** Largest translation, as a share of the image's height. */
const TRANSLATION_SHARE = 1 / 8;

/** Side of the square that cutout covers, as a share of the image's height. */
const CUTOUT_SHARE = 1 / 2;

/** The random numbers of an augmentation, one column an image: inputs, so that a compiled step draws anew each time. */
export interface AugmentationDraws extends Record<string, tf.Tensor> {
  /** Brightness, saturation and contrast [3, B], in [0, 1); 0.5 changes nothing. */
  colours: tf.Tensor2D;
  /** Pixels by which images move, downwards and to the right, int32 [2, B]. */
  shifts: tf.Tensor2D;
  /** Row and column of the covered square's centre, int32 [2, B]. */
  cutouts: tf.Tensor2D;
}

/**
 * The augmentations that a text names: names of AUGMENTATIONS or "colour", joined by commas, or "none".
 * @returns each once, in the order in which they are applied; undefined where a name is unknown
 */
export function augmentationsOf(text: string): AugmentationName[] | undefined {
  const words = text === "none" ? [] : text.split(",").map((word) => word.trim());
  const names = words.flatMap((word): readonly string[] => (word === "colour" ? COLOUR : [word]));
  return names.every((name) => (AUGMENTATIONS as readonly string[]).includes(name)) ? AUGMENTATIONS.filter((name) => names.includes(name)) : undefined;
}

/** Side of cutout's square, pixels. */
const cutoutSize = (imageSize: number): number => Math.floor(imageSize * CUTOUT_SHARE + 0.5);

/**
 * Draws an augmentation's random numbers. Only what the chosen ones need is drawn from the stream, the rest changes nothing.
 * @param batchSize B
 * @param imageSize height and width of the images, pixels
 */
export function drawAugmentation(names: readonly AugmentationName[], stream: RandomStream, batchSize: number, imageSize: number): AugmentationDraws {
  const reach = Math.floor(imageSize * TRANSLATION_SHARE);
  const shifts = names.includes("translation") ? stream.integers(2 * batchSize, 2 * reach + 1).map((shift) => shift - reach) : new Int32Array(2 * batchSize);
  const colours = COLOUR.some((name) => names.includes(name)) ? stream.uniform(3 * batchSize) : new Float32Array(3 * batchSize).fill(0.5);
  const cutouts = names.includes("cutout") ? stream.integers(2 * batchSize, imageSize + 1 - (cutoutSize(imageSize) % 2)) : new Int32Array(2 * batchSize);
  return { shifts: tf.tensor2d(shifts, [2, batchSize], "int32"), colours: tf.tensor2d(colours, [3, batchSize]), cutouts: tf.tensor2d(cutouts, [2, batchSize], "int32") };
}

/**
 * Applies augmentations, each image with its own numbers:
 * brightness x + u - 1/2; saturation g + 2 u (x - g), g the pixel's mean over the channels; contrast m + (u + 1/2) (x - m), m the image's mean;
 * translation by whole pixels, filled with zeros; cutout, a square of zeros of half the image's side, that may hang over the edge.
 * @param images [B, H, H, C], about [-1, 1]
 * @param draws for at least as many images: the first B columns count
 */
export function augment(names: readonly AugmentationName[], images: tf.Tensor4D, draws: AugmentationDraws): tf.Tensor4D {
  const batch = images.shape[0];
  const rowsOf = (tensor: tf.Tensor2D): tf.Tensor1D[] => tf.unstack(tf.slice(tensor, [0, 0], [tensor.shape[0], batch])) as tf.Tensor1D[];
  const [brightness, saturation, contrast] = rowsOf(draws.colours).map((row) => row.reshape([batch, 1, 1, 1]));
  const [down, right] = rowsOf(draws.shifts);
  const [row, column] = rowsOf(draws.cutouts);
  const about = (centre: tf.Tensor, factor: tf.Tensor, x: tf.Tensor4D): tf.Tensor4D => tf.add(centre, tf.mul(factor, tf.sub(x, centre)));
  const operations: Record<AugmentationName, (x: tf.Tensor4D) => tf.Tensor4D> = {
    brightness: (x) => tf.add(x, tf.sub(brightness, 0.5)),
    saturation: (x) => about(tf.mean(x, 3, true), tf.mul(saturation, 2), x),
    contrast: (x) => about(tf.mean(x, [1, 2, 3], true), tf.add(contrast, 0.5), x),
    translation: (x) => translate(x, down, right),
    cutout: (x) => tf.mul(x, uncovered(row, column, x.shape[1])),
  };
  return AUGMENTATIONS.filter((name) => names.includes(name)).reduce((x, name) => operations[name](x), images);
}

/** 0 within the square about (row, column), 1 elsewhere. @returns [B, size, size, 1] */
function uncovered(row: tf.Tensor1D, column: tf.Tensor1D, size: number): tf.Tensor4D {
  const side = cutoutSize(size);
  const positions = tf.range(0, size, 1, "int32").reshape([1, size]);
  const within = (centre: tf.Tensor1D): tf.Tensor => {
    const distance = tf.sub(positions, tf.sub(centre.reshape([-1, 1]), Math.floor(side / 2))); // [B, size], from the square's first row
    return tf.mul(tf.greaterEqual(distance, 0).toFloat(), tf.less(distance, side).toFloat());
  };
  const covered = tf.mul(within(row).reshape([-1, size, 1, 1]), within(column).reshape([-1, 1, size, 1]));
  return tf.sub(1, covered) as tf.Tensor4D;
}
