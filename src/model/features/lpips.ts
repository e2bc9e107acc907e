import { tf } from "../engine/tf";
import { convolution, parameter, type Parameters } from "../layers";
import { loadWeights } from "../weights/load";
import type { NameMap, WantedWeights } from "../weights/name-map";
import { findAllWeights, type PublishedWeights } from "../weights/published";
import type { WeightsFile } from "../weights/weights-file";
import type { FeatureNetwork } from "./feature-network";

/*
 * LPIPS (Zhang et al., arXiv 1801.03924), version 0.1, on VGG16 (Simonyan and Zisserman, arXiv 1409.1556): squared differences of activations that are
 * normalised along the channels, weighted by channel, averaged over positions and summed over five depths.
 */

/** Convolutions before each of the four poolings and after the last, with the index that they have in torchvision's sequence, and their channels. */
const STAGES: readonly { indices: readonly number[]; channels: number }[] = [
  { indices: [0, 2], channels: 64 },
  { indices: [5, 7], channels: 128 },
  { indices: [10, 12, 14], channels: 256 },
  { indices: [17, 19, 21], channels: 512 },
  { indices: [24, 26, 28], channels: 512 },
];

/** From [-1, 1] to what the network was trained on; the constants are LPIPS's own. */
const SHIFT = [-0.03, -0.088, -0.188];
const SCALE = [0.458, 0.448, 0.45];

const NORM_EPSILON = 1e-10;

/** VGG16's convolutions, as torchvision (and timm) name them; its classifier is not used. */
export function vgg16Weights(): WantedWeights {
  const parameters: NameMap = {};
  let from = 3;
  for (const { indices, channels } of STAGES) {
    for (const index of indices) {
      parameters[`features.${index}.weight`] = { from: `features.${index}.weight`, layout: "convolution", shape: [3, 3, from, channels] };
      parameters[`features.${index}.bias`] = { from: `features.${index}.bias`, layout: "same", shape: [channels] };
      from = channels;
    }
  }
  return { network: "vgg16", dialects: [{ name: "torchvision", parameters, ignored: /^(classifier|pre_logits|head)\./ }] };
}

/** The channel weights of LPIPS, as its authors name them. */
export function lpipsHeadWeights(): WantedWeights {
  const parameters: NameMap = {};
  STAGES.forEach(({ channels }, level) => {
    parameters[`lin${level}.weight`] = { from: `lin${level}.model.1.weight`, layout: "pointwise", shape: [channels, 1] };
  });
  return { network: "lpips-vgg16-heads", dialects: [{ name: "lpips", parameters }] };
}

export const VGG16_PUBLISHED: readonly PublishedWeights[] = [
  {
    folder: "vgg16",
    file: "vgg16-397923af.pth",
    description: "VGG16 weights",
    publishedAs: "https://download.pytorch.org/models/vgg16-397923af.pth",
    license: "BSD 3-Clause (torchvision)",
    // With the classifier, which LPIPS does not use.
    megabytes: 553,
    obtainedBy: "download",
  },
  {
    folder: "vgg16",
    file: "model.safetensors",
    description: "VGG16 weights",
    publishedAs: "https://huggingface.co/timm/vgg16.tv_in1k",
    license: "BSD 3-Clause",
    // With the classifier, which LPIPS does not use.
    megabytes: 553,
    obtainedBy: "download",
  },
];

export const LPIPS_HEADS_PUBLISHED: PublishedWeights = {
  folder: "lpips",
  file: "vgg.pth",
  description: "LPIPS's channel weights for VGG16",
  publishedAs: "the PyPI package lpips 0.1.4 (lpips/weights/v0.1/vgg.pth), or https://github.com/richzhang/PerceptualSimilarity",
  license: "BSD 2-Clause",
  megabytes: 0.007,
  obtainedBy: "download",
};

/**
 * Activations after the last ReLU of each of VGG16's five stages.
 * @param images [B, H, W, 3] in [-1, 1], H and W at least 16
 * @returns [B, H, W, 64], [B, H/2, W/2, 128], [B, H/4, W/4, 256], [B, H/8, W/8, 512], [B, H/16, W/16, 512]
 */
function vgg16(parameters: Parameters, images: tf.Tensor4D): tf.Tensor4D[] {
  const levels: tf.Tensor4D[] = [];
  let x = images.sub(SHIFT).div<tf.Tensor4D>(SCALE);
  STAGES.forEach(({ indices }, level) => {
    if (level > 0) x = tf.maxPool(x, 2, 2, "valid");
    for (const index of indices) x = tf.relu(convolution(parameters, `features.${index}`, x));
    levels.push(x);
  });
  return levels;
}

/** Each position's activations divided by their norm along the channels. The root is taken above 0, where its gradient is finite. */
function normalised(x: tf.Tensor4D): tf.Tensor4D {
  const squares = x.square().sum(3, true);
  return x.div(tf.sqrt(tf.maximum(squares, 1e-20)).add(NORM_EPSILON));
}

export interface Lpips extends FeatureNetwork {
  /**
   * The perceptual distance of pairs of images.
   * @param images [B, H, W, 3] in [-1, 1]
   * @param references of the same shape
   * @returns [B], 0 for equal images
   */
  distance(images: tf.Tensor4D, references: tf.Tensor4D): tf.Tensor1D;
}

export interface LpipsOptions {
  /** VGG16's file in place of the cache folder's, or an open one. */
  path?: string | WeightsFile;
  /** The channel weights' file in place of the cache folder's, or an open one. */
  headsPath?: string | WeightsFile;
}

/**
 * Load LPIPS on VGG16. Its `features` are the normalised activations; images are taken at their own size.
 * @throws if a weights file is absent (saying which is wanted and where it is published) or is not that network's
 */
export async function loadLpips(options: LpipsOptions = {}): Promise<Lpips> {
  const sources = [{ wanted: VGG16_PUBLISHED, given: options.path }, { wanted: LPIPS_HEADS_PUBLISHED, given: options.headsPath }];
  const paths = findAllWeights(sources.flatMap(({ wanted, given }) => (typeof given === "object" ? [] : [{ wanted, override: given }])));
  const [trunk, headsSource] = sources.map(({ given }) => (typeof given === "object" ? given : paths.shift()!));
  const heads = await loadWeights(lpipsHeadWeights(), headsSource);
  const { parameters, digest } = await loadWeights(vgg16Weights(), trunk);
  const features = (images: tf.Tensor4D): tf.Tensor4D[] => vgg16(parameters, images).map(normalised);
  const distance = (images: tf.Tensor4D, references: tf.Tensor4D): tf.Tensor1D => {
    tf.util.assertShapesMatch(images.shape, references.shape, "LPIPS: ");
    const [ofImages, ofReferences] = [features(images), features(references)];
    const perLevel = ofImages.map((level, index) => {
      const [batch, height, width, channels] = level.shape;
      const difference = tf.squaredDifference(level, ofReferences[index]).reshape([batch * height * width, channels]);
      const weighted = tf.matMul<tf.Tensor2D>(difference as tf.Tensor2D, parameter<tf.Tensor2D>(heads.parameters, `lin${index}.weight`)); // [B h w, 1]
      return weighted.reshape([batch, height * width]).mean<tf.Tensor1D>(1);
    });
    return tf.addN(perLevel);
  };
  return {
    name: "lpips-vgg16",
    fingerprint: `lpips-vgg16 ${digest} ${heads.digest}`,
    resize: "none",
    embeddingSize: STAGES[STAGES.length - 1].channels,
    features: (images) => tf.tidy(() => features(images)),
    embedding: (images) => tf.tidy(() => vgg16(parameters, images)[STAGES.length - 1].mean<tf.Tensor2D>([1, 2])),
    distance: (images, references) => tf.tidy(() => distance(images, references)),
    dispose: () => tf.dispose([parameters, heads.parameters]),
  };
}
