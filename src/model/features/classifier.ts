import { createHash } from "node:crypto";
import { imageBatch, type Dataset } from "../data";
import { tf } from "../engine/tf";
import { yieldToEventLoop } from "../interrupt";
import { convolution, linear, silu, type Parameters } from "../layers";
import { createProgress, type LongRunOptions } from "../progress";
import { randomStream } from "../random";
import { float32Values, readSafetensors, writeSafetensors, type SafetensorsTensor } from "../safetensors";
import type { FeatureNetwork } from "./feature-network";

/*
 * A small convolutional classifier that is trained on the data set itself. It is the judge of "does this image show the
 * class that was asked for", so no loss may use it: a network that a generator was trained against is no evidence.
 */

/** Channels of the four convolutions; the first keeps the resolution, the others halve it. */
const CHANNELS = [16, 32, 64, 96] as const;

export interface Classifier extends FeatureNetwork {
  /** Names of the classes, in the order of the labels. */
  classes: readonly string[];
  /** Side of the images that it was trained on, in pixels. */
  imageSize: number;
  parameters: Parameters;
  /** Unnormalised log-probabilities [B, classes]. @param images [B, H, W, 3] in [-1, 1] */
  logits(images: tf.Tensor4D): tf.Tensor2D;
}

export interface ClassifierOptions extends LongRunOptions {
  /** Optimiser steps. Default 400. */
  steps?: number;
  /** Images a step. Default 128. */
  batchSize?: number;
  /** Adam's step size. Default 2e-3. */
  learningRate?: number;
  /** Each training image gets Gaussian noise of a standard deviation drawn uniformly from 0 to this. Default 0.3. */
  noise?: number;
  /** Default 0. */
  seed?: number;
}

/**
 * The activations of the classifier's four convolutions, shallow to deep.
 * @param images [B, H, W, 3] in [-1, 1]
 * @returns [B, H, W, 16], [B, H/2, W/2, 32], [B, H/4, W/4, 64], [B, H/8, W/8, 96]
 */
export function classifierFeatures(parameters: Parameters, images: tf.Tensor4D): tf.Tensor4D[] {
  const levels: tf.Tensor4D[] = [];
  CHANNELS.forEach((_, layer) => {
    const input = levels[layer - 1] ?? images;
    levels.push(silu(convolution(parameters, `convolutions.${layer}`, input, layer === 0 ? 1 : 2)));
  });
  return levels;
}

function parameterShapes(classes: number): Record<string, number[]> {
  const shapes: Record<string, number[]> = {};
  CHANNELS.forEach((channels, layer) => {
    shapes[`convolutions.${layer}.weight`] = [3, 3, CHANNELS[layer - 1] ?? 3, channels];
    shapes[`convolutions.${layer}.bias`] = [channels];
  });
  shapes["head.weight"] = [CHANNELS[CHANNELS.length - 1], classes];
  shapes["head.bias"] = [classes];
  return shapes;
}

/** Normal weights of variance 2 / fan-in (He et al., 2015), zero biases. */
function initialParameters(classes: number, seed: number): Record<string, tf.Variable> {
  const stream = randomStream(seed, "classifier weights");
  const parameters: Record<string, tf.Variable> = {};
  for (const [name, shape] of Object.entries(parameterShapes(classes))) {
    const fanIn = product(shape.slice(0, -1));
    const values = name.endsWith(".bias") ? new Float32Array(product(shape)) : stream.normal(product(shape)).map((value) => value * Math.sqrt(2 / fanIn));
    parameters[name] = tf.tidy(() => tf.variable(tf.tensor(values, shape)));
  }
  return parameters;
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, length) => size * length, 1);
}

/**
 * Train a classifier on a data set by cross-entropy with Adam, on images with noise of random strength: generated images
 * are a little unclean, and the judge shall not mind.
 * @param dataset the training split
 * @throws the signal's reason when aborted
 */
export async function trainClassifier(dataset: Dataset, options: ClassifierOptions = {}): Promise<Classifier> {
  const { steps = 400, batchSize = 128, learningRate = 2e-3, noise = 0.3, seed = 0, onProgress, signal } = options;
  if (dataset.size === 0) throw new Error(`trainClassifier: the data set "${dataset.name}" has no images.`);
  const order = randomStream(seed, "classifier data order");
  const noiseStream = randomStream(seed, "classifier noise");
  const parameters = initialParameters(dataset.classes.length, seed);
  const variables = Object.values(parameters);
  const optimizer = tf.train.adam(learningRate);
  const progress = createProgress({ label: "training the classifier", total: steps, onUpdate: onProgress });
  try {
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      const { images, labels } = imageBatch(dataset, order.integers(batchSize, dataset.size));
      const deviations = noiseStream.uniform(batchSize).map((value) => value * noise);
      tf.tidy(() => {
        const noisy = images.add<tf.Tensor4D>(
          tf.tensor(noiseStream.normal(images.size), images.shape).mul(tf.tensor(deviations, [batchSize, 1, 1, 1])),
        );
        const targets = tf.oneHot(labels, dataset.classes.length);
        optimizer.minimize(() => tf.losses.softmaxCrossEntropy(targets, classify(parameters, noisy)).asScalar(), false, variables);
      });
      tf.dispose([images, labels]);
      progress.advance();
      await yieldToEventLoop();
    }
    return classifierOf(frozen(parameters), dataset.classes, dataset.imageSize);
  } finally {
    optimizer.dispose();
    tf.dispose(parameters);
  }
}

/** @returns [B, classes] */
function classify(parameters: Parameters, images: tf.Tensor4D): tf.Tensor2D {
  return linear(parameters, "head", pooled(parameters, images)) as tf.Tensor2D;
}

/** @returns [B, 96] */
function pooled(parameters: Parameters, images: tf.Tensor4D): tf.Tensor2D {
  return classifierFeatures(parameters, images)[CHANNELS.length - 1].mean<tf.Tensor2D>([1, 2]);
}

function frozen(variables: Record<string, tf.Variable>): Parameters {
  return Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, variable.clone()]));
}

function classifierOf(parameters: Parameters, classes: readonly string[], imageSize: number): Classifier {
  const digest = createHash("sha256");
  for (const name of Object.keys(parameters).sort()) digest.update(name).update(new Uint8Array((parameters[name].dataSync() as Float32Array).buffer));
  return {
    name: "classifier",
    fingerprint: `classifier ${digest.digest("hex").slice(0, 16)}`,
    resize: "none",
    embeddingSize: CHANNELS[CHANNELS.length - 1],
    classes,
    imageSize,
    parameters,
    features: (images) => tf.tidy(() => classifierFeatures(parameters, images)),
    embedding: (images) => tf.tidy(() => pooled(parameters, images)),
    logits: (images) => tf.tidy(() => classify(parameters, images)),
    dispose: () => tf.dispose(parameters),
  };
}

/**
 * Save a classifier as safetensors.
 * @param madeBy how it was made (data set, options, accuracy), stored beside the weights
 */
export async function saveClassifier(classifier: Classifier, path: string, madeBy: Record<string, string> = {}): Promise<void> {
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const [name, tensor] of Object.entries(classifier.parameters)) {
    tensors[name] = { dtype: "F32", shape: tensor.shape, data: (await tensor.data()) as Float32Array };
  }
  await writeSafetensors(path, tensors, { ...madeBy, classes: JSON.stringify(classifier.classes), imageSize: String(classifier.imageSize) });
}

/** Load what `saveClassifier` wrote. @throws naming the file when it is absent or not a classifier's */
export async function loadClassifier(path: string): Promise<Classifier> {
  const { tensors, metadata } = await readSafetensors(path);
  const classes: unknown = metadata.classes === undefined ? undefined : JSON.parse(metadata.classes);
  const imageSize = Number(metadata.imageSize);
  if (!Array.isArray(classes) || !classes.every((name) => typeof name === "string") || !(imageSize > 0)) {
    throw new Error(`${path} is not a classifier: expected "classes" and "imageSize" in its metadata.`);
  }
  const parameters: Parameters = {};
  for (const [name, shape] of Object.entries(parameterShapes(classes.length))) {
    const tensor = tensors[name];
    if (String(tensor?.shape) !== String(shape)) {
      tf.dispose(parameters);
      throw new Error(`${path} is not a classifier: expected ${name} of shape [${shape}], found ${tensor ? `[${tensor.shape}]` : "nothing"}.`);
    }
    parameters[name] = tf.tensor(float32Values(tensor, name), shape);
  }
  return classifierOf(parameters, classes, imageSize);
}
