import { tf } from "../engine/tf";
import { linear, parameter, type Parameters } from "../layers";
import { loadWeights } from "../weights/load";
import type { NameMap, WantedWeights } from "../weights/name-map";
import { findWeights, type PublishedWeights } from "../weights/published";
import type { WeightsFile } from "../weights/weights-file";
import type { FeatureNetwork } from "./feature-network";
import { resizeImages } from "./resize";

/*
 * Inception-v3 (Szegedy et al., arXiv 1512.00567) in the variant that the Frechet inception distance is defined by: TensorFlow's graph of 2015-12-05,
 * whose pooling branches average over the pixels inside the image alone, whose last block pools by the maximum, and which has 1,008 classes.
 */

const BATCH_NORM_EPSILON = 1e-3;

/** Side of the images that the network sees. */
const INPUT_SIZE = 299;

const EMBEDDING_SIZE = 2048;
const CLASSES = 1008;

/** A convolution without bias, its batch norm and a ReLU. */
interface Unit {
  name: string;
  from: number;
  to: number;
  /** Height and width of the kernel. */
  kernel: readonly [number, number];
  stride: number;
  padding: "same" | "valid";
}

/** What a block does with its input besides its convolutions. */
type Pooling = { kind: "average"; unit: Unit } | { kind: "maximum"; unit: Unit } | { kind: "maximum, stride 2" };

/** Branches side by side, joined along the channels; a branch is a chain, of which the last link may fork. */
interface Block {
  branches: readonly { chain: readonly Unit[]; fork?: readonly [Unit, Unit] }[];
  pooling: Pooling;
}

const unit = (name: string, from: number, to: number, kernel: number | readonly [number, number] = 1, stride = 1, padding: Unit["padding"] = stride === 1 ? "same" : "valid"): Unit => ({
  name,
  from,
  to,
  kernel: typeof kernel === "number" ? [kernel, kernel] : kernel,
  stride,
  padding,
});

const STEM_BEFORE_POOL: readonly Unit[] = [unit("Conv2d_1a_3x3", 3, 32, 3, 2), unit("Conv2d_2a_3x3", 32, 32, 3, 1, "valid"), unit("Conv2d_2b_3x3", 32, 64, 3)];
const STEM_AFTER_POOL: readonly Unit[] = [unit("Conv2d_3b_1x1", 64, 80), unit("Conv2d_4a_3x3", 80, 192, 3, 1, "valid")];

/** 35 x 35 pixels. */
function blockA(name: string, from: number, pooled: number): Block {
  return {
    branches: [
      { chain: [unit(`${name}.branch1x1`, from, 64)] },
      { chain: [unit(`${name}.branch5x5_1`, from, 48), unit(`${name}.branch5x5_2`, 48, 64, 5)] },
      { chain: [unit(`${name}.branch3x3dbl_1`, from, 64), unit(`${name}.branch3x3dbl_2`, 64, 96, 3), unit(`${name}.branch3x3dbl_3`, 96, 96, 3)] },
    ],
    pooling: { kind: "average", unit: unit(`${name}.branch_pool`, from, pooled) },
  };
}

/** 17 x 17 pixels, with factorised 7 x 7 kernels. */
function blockC(name: string, width: number): Block {
  const [row, column] = [[1, 7], [7, 1]] as const;
  return {
    branches: [
      { chain: [unit(`${name}.branch1x1`, 768, 192)] },
      { chain: [unit(`${name}.branch7x7_1`, 768, width), unit(`${name}.branch7x7_2`, width, width, row), unit(`${name}.branch7x7_3`, width, 192, column)] },
      {
        chain: [
          unit(`${name}.branch7x7dbl_1`, 768, width),
          unit(`${name}.branch7x7dbl_2`, width, width, column),
          unit(`${name}.branch7x7dbl_3`, width, width, row),
          unit(`${name}.branch7x7dbl_4`, width, width, column),
          unit(`${name}.branch7x7dbl_5`, width, 192, row),
        ],
      },
    ],
    pooling: { kind: "average", unit: unit(`${name}.branch_pool`, 768, 192) },
  };
}

/** 8 x 8 pixels, whose branches fork into a row and a column. */
function blockE(name: string, from: number, pooling: "average" | "maximum"): Block {
  const fork = (stem: string, width: number): readonly [Unit, Unit] => [unit(`${name}.${stem}a`, width, 384, [1, 3]), unit(`${name}.${stem}b`, width, 384, [3, 1])];
  return {
    branches: [
      { chain: [unit(`${name}.branch1x1`, from, 320)] },
      { chain: [unit(`${name}.branch3x3_1`, from, 384)], fork: fork("branch3x3_2", 384) },
      { chain: [unit(`${name}.branch3x3dbl_1`, from, 448), unit(`${name}.branch3x3dbl_2`, 448, 384, 3)], fork: fork("branch3x3dbl_3", 384) },
    ],
    pooling: { kind: pooling, unit: unit(`${name}.branch_pool`, from, 192) },
  };
}

const BLOCKS: readonly Block[] = [
  blockA("Mixed_5b", 192, 32),
  blockA("Mixed_5c", 256, 64),
  blockA("Mixed_5d", 288, 64),
  {
    branches: [
      { chain: [unit("Mixed_6a.branch3x3", 288, 384, 3, 2)] },
      { chain: [unit("Mixed_6a.branch3x3dbl_1", 288, 64), unit("Mixed_6a.branch3x3dbl_2", 64, 96, 3), unit("Mixed_6a.branch3x3dbl_3", 96, 96, 3, 2)] },
    ],
    pooling: { kind: "maximum, stride 2" },
  },
  blockC("Mixed_6b", 128),
  blockC("Mixed_6c", 160),
  blockC("Mixed_6d", 160),
  blockC("Mixed_6e", 192),
  {
    branches: [
      { chain: [unit("Mixed_7a.branch3x3_1", 768, 192), unit("Mixed_7a.branch3x3_2", 192, 320, 3, 2)] },
      {
        chain: [
          unit("Mixed_7a.branch7x7x3_1", 768, 192),
          unit("Mixed_7a.branch7x7x3_2", 192, 192, [1, 7]),
          unit("Mixed_7a.branch7x7x3_3", 192, 192, [7, 1]),
          unit("Mixed_7a.branch7x7x3_4", 192, 192, 3, 2),
        ],
      },
    ],
    pooling: { kind: "maximum, stride 2" },
  },
  blockE("Mixed_7b", 1280, "average"),
  blockE("Mixed_7c", 2048, "maximum"),
];

/** Blocks after which the other depths that the field uses lie: 192 channels before the first, 768 after the eighth, 2048 after the last. */
const LEVEL_AFTER_BLOCK: Readonly<Record<number, true>> = { 7: true, 10: true };

function* allUnits(): Generator<Unit> {
  yield* STEM_BEFORE_POOL;
  yield* STEM_AFTER_POOL;
  for (const { branches, pooling } of BLOCKS) {
    for (const { chain, fork } of branches) yield* [...chain, ...(fork ?? [])];
    if ("unit" in pooling) yield pooling.unit;
  }
}

/** The weights of Inception-v3, as pytorch-fid and torch-fidelity name them. */
export function inceptionWeights(): WantedWeights {
  const parameters: NameMap = {};
  for (const { name, from, to, kernel } of allUnits()) {
    parameters[`${name}.conv.weight`] = { from: `${name}.conv.weight`, layout: "convolution", shape: [...kernel, from, to] };
    for (const part of ["weight", "bias", "running_mean", "running_var"]) parameters[`${name}.bn.${part}`] = { from: `${name}.bn.${part}`, layout: "same", shape: [to] };
  }
  parameters["fc.weight"] = { from: "fc.weight", layout: "linear", shape: [EMBEDDING_SIZE, CLASSES] };
  parameters["fc.bias"] = { from: "fc.bias", layout: "same", shape: [CLASSES] };
  return { network: "inception-fid", dialects: [{ name: "pytorch-fid", parameters, ignored: /\.num_batches_tracked$/ }] };
}

export const INCEPTION_PUBLISHED: readonly PublishedWeights[] = [
  {
    folder: "inception-fid",
    file: "pt_inception-2015-12-05-6726825d.pth",
    description: "Inception-v3 weights (FID variant)",
    publishedAs: "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights",
    license: "Apache License 2.0",
    megabytes: 95.6,
    obtainedBy: "download",
  },
  {
    folder: "inception-fid",
    file: "weights-inception-2015-12-05-6726825d.pth",
    description: "Inception-v3 weights (FID variant)",
    publishedAs: "https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0",
    license: "Apache License 2.0",
    megabytes: 95.6,
    obtainedBy: "download",
  },
];

/** Weights with the batch norms folded into the convolutions: `NAME.weight` and `NAME.bias`. The given ones are left as they are. */
function foldBatchNorms(parameters: Parameters): Parameters {
  const folded: Parameters = { "fc.weight": parameters["fc.weight"].clone(), "fc.bias": parameters["fc.bias"].clone() };
  for (const { name } of allUnits()) {
    const of = (part: string): tf.Tensor => parameter(parameters, `${name}.bn.${part}`);
    [folded[`${name}.weight`], folded[`${name}.bias`]] = tf.tidy(() => {
      const factor = of("weight").div(tf.sqrt(of("running_var").add(BATCH_NORM_EPSILON)));
      return [parameter(parameters, `${name}.conv.weight`).mul(factor), of("bias").sub(of("running_mean").mul(factor))];
    });
  }
  return folded;
}

function applyUnit(parameters: Parameters, x: tf.Tensor4D, { name, stride, padding }: Unit): tf.Tensor4D {
  const result = tf.conv2d(x, parameter<tf.Tensor4D>(parameters, `${name}.weight`), stride, padding);
  return tf.relu(result.add<tf.Tensor4D>(parameter(parameters, `${name}.bias`)));
}

function applyBlock(parameters: Parameters, x: tf.Tensor4D, { branches, pooling }: Block): tf.Tensor4D {
  const apply = (input: tf.Tensor4D, next: Unit): tf.Tensor4D => applyUnit(parameters, input, next);
  const parts = branches.flatMap(({ chain, fork }) => {
    const end = chain.reduce(apply, x);
    return fork ? fork.map((last) => apply(end, last)) : [end];
  });
  if (pooling.kind === "maximum, stride 2") parts.push(tf.maxPool(x, 3, 2, "valid"));
  // "same" average pooling of TensorFlow divides by the number of pixels inside the image.
  else parts.push(apply(pooling.kind === "average" ? tf.avgPool(x, 3, 1, "same") : tf.maxPool(x, 3, 1, "same"), pooling.unit));
  return tf.concat(parts, 3);
}

/**
 * The network as a function of its (folded) weights.
 * @param images [B, 299, 299, 3], (pixel - 128) / 128 with pixel in [0, 255]
 * @returns activations of 192 [B, 35, 35, 192], 768 [B, 17, 17, 768] and 2048 channels [B, 8, 8, 2048]
 */
function inception(parameters: Parameters, images: tf.Tensor4D): [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D] {
  const apply = (input: tf.Tensor4D, next: Unit): tf.Tensor4D => applyUnit(parameters, input, next);
  let x = tf.maxPool(STEM_BEFORE_POOL.reduce(apply, images), 3, 2, "valid"); // [B, 73, 73, 64]
  x = tf.maxPool(STEM_AFTER_POOL.reduce(apply, x), 3, 2, "valid"); // [B, 35, 35, 192]
  const levels = [x];
  BLOCKS.forEach((block, index) => {
    x = applyBlock(parameters, x, block);
    if (LEVEL_AFTER_BLOCK[index]) levels.push(x);
  });
  return levels as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
}

export interface Inception extends FeatureNetwork {
  /**
   * Class scores of the Inception score, [B, 1008]: without the last layer's bias, as the original has it.
   * @param images [B, H, W, 3] in [-1, 1]
   */
  logits(images: tf.Tensor4D): tf.Tensor2D;
}

export interface InceptionOptions {
  /**
   * "clean": antialiased bicubic as Pillow's on floating-point pixels (Parmar et al., arXiv 2104.11222), clipped to [0, 255]; the default. "tensorflow": the
   * original's bilinear without antialiasing. Distances by the two do not compare.
   */
  resize?: "clean" | "tensorflow";
  /** A weights file in place of the cache folder's, or an open one. */
  path?: string | WeightsFile;
}

/**
 * Load Inception-v3 in the FID variant: distances in its embedding (2,048 numbers) are the FID and the KID.
 * @throws if the weights file is absent (saying which is wanted and where it is published) or is not that network's
 */
export async function loadInception(options: InceptionOptions = {}): Promise<Inception> {
  const { resize = "clean" } = options;
  const source = typeof options.path === "object" ? options.path : findWeights(INCEPTION_PUBLISHED, options.path);
  const { parameters: raw, digest } = await loadWeights(inceptionWeights(), source);
  const parameters = foldBatchNorms(raw);
  tf.dispose(raw);
  const seen = (images: tf.Tensor4D): tf.Tensor4D => {
    const pixels = images.add(1).mul<tf.Tensor4D>(127.5);
    const resized = resizeImages(pixels, [INPUT_SIZE, INPUT_SIZE], resize === "clean" ? "bicubic" : "bilinear-tensorflow1");
    return (resize === "clean" ? tf.clipByValue(resized, 0, 255) : resized).sub(128).div<tf.Tensor4D>(128);
  };
  const pooled = (images: tf.Tensor4D): tf.Tensor2D => inception(parameters, seen(images))[2].mean<tf.Tensor2D>([1, 2]);
  return {
    name: "inception-fid",
    fingerprint: `inception-fid ${digest}`,
    resize: resize === "clean" ? "clean bicubic 299" : "tensorflow bilinear 299",
    embeddingSize: EMBEDDING_SIZE,
    features: (images) => tf.tidy(() => inception(parameters, seen(images))),
    embedding: (images) => tf.tidy(() => pooled(images)),
    logits: (images) => tf.tidy(() => linear({ "fc.weight": parameters["fc.weight"] }, "fc", pooled(images)) as tf.Tensor2D),
    dispose: () => tf.dispose(parameters),
  };
}
