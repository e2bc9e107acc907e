import { createHash } from "node:crypto";
import { imageBatch, type Dataset } from "../data";
import { compile } from "../engine/compile";
import { sideBySide } from "../engine/side-by-side";
import { tf } from "../engine/tf";
import { yieldToEventLoop } from "../interrupt";
import { convolution, linear, silu, type Parameters } from "../layers";
import { adamW, learningRateAt } from "../optimizer";
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
  /** How it was made, kept with the weights: data set, its fingerprint, options, accuracy on held-out images. */
  madeBy: Record<string, string>;
  /** Unnormalised log-probabilities [B, classes]. @param images [B, H, W, 3] in [-1, 1] */
  logits(images: tf.Tensor4D): tf.Tensor2D;
}

export interface ClassifierOptions extends LongRunOptions {
  /** Optimiser steps. */
  steps?: number;
  /** Images a step. */
  batchSize?: number;
  /** Adam's first step size; it falls to a hundredth by half a cosine. */
  learningRate?: number;
  /** Each training image gets Gaussian noise of a standard deviation drawn uniformly from 0 to this. */
  noise?: number;
  seed?: number;
}

export const CLASSIFIER_DEFAULTS = { steps: 500, batchSize: 128, learningRate: 4e-3, noise: 0.3, seed: 0 };

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
 * Train a classifier on a data set by cross-entropy, on images with noise of random strength: generated images are a
 * little unclean, and the judge shall not mind.
 * @param dataset the training split
 * @throws the signal's reason when aborted
 */
export async function trainClassifier(dataset: Dataset, options: ClassifierOptions = {}): Promise<Classifier> {
  const { onProgress, signal, ...given } = options;
  const { steps, batchSize, learningRate, noise, seed } = { ...CLASSIFIER_DEFAULTS, ...given };
  if (dataset.size === 0) throw new Error(`trainClassifier: the data set "${dataset.name}" has no images.`);
  const order = randomStream(seed, "classifier data order");
  const noiseStream = randomStream(seed, "classifier noise");
  const parameters = initialParameters(dataset.classes.length, seed);
  const trainingStep = compileTrainingStep(parameters, dataset.classes.length);
  const progress = createProgress({ label: "training the classifier", total: steps, onUpdate: onProgress });
  try {
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      const { images, labels } = imageBatch(dataset, order.integers(batchSize, dataset.size));
      const inputs = {
        images,
        labels,
        noise: tf.tensor4d(noiseStream.normal(images.size), images.shape),
        deviations: tf.tensor4d(noiseStream.uniform(batchSize).map((value) => value * noise), [batchSize, 1, 1, 1]),
        learningRate: tf.scalar(learningRate * learningRateAt(step, { warmupSteps: 0, steps, finalShare: 0.01 })),
        stepCount: tf.scalar(step + 1),
      };
      tf.dispose([trainingStep.run(inputs), inputs]);
      progress.advance();
      await yieldToEventLoop();
    }
    const madeBy = { dataset: dataset.name, datasetFingerprint: dataset.fingerprint, steps, batchSize, learningRate, noise, seed };
    return classifierOf(frozen(parameters), dataset.classes, dataset.imageSize, mapValues(madeBy, String));
  } finally {
    trainingStep.dispose();
    tf.dispose(parameters);
  }
}

interface TrainingInputs {
  [name: string]: tf.Tensor;
  /** [B, H, W, 3] in [-1, 1] */
  images: tf.Tensor4D;
  /** int32 [B] */
  labels: tf.Tensor1D;
  /** Standard normal, of the images' shape. */
  noise: tf.Tensor4D;
  /** [B, 1, 1, 1] */
  deviations: tf.Tensor4D;
  learningRate: tf.Scalar;
  stepCount: tf.Scalar;
}

/** One optimiser step as one graph; `run` gives the loss. */
function compileTrainingStep(parameters: Record<string, tf.Variable>, classes: number): { run: (inputs: TrainingInputs) => { loss: tf.Scalar }; dispose: () => void } {
  const variables = Object.values(parameters);
  const zeros = (): tf.Variable[] => variables.map((variable) => tf.tidy(() => tf.variable(tf.zerosLike(variable), false)));
  const firstMoments = zeros();
  const secondMoments = zeros();
  const run = compile(
    ({ images, labels, noise, deviations, learningRate, stepCount }: TrainingInputs) => {
      const { value, grads } = tf.variableGrads(() => {
        const noisy = images.add<tf.Tensor4D>(noise.mul(deviations));
        const logProbabilities = tf.logSoftmax(sideBySide((part: tf.Tensor4D) => classify(parameters, part), noisy));
        return tf.oneHot(labels, classes).toFloat().mul(logProbabilities).sum(1).mean().neg().asScalar();
      }, variables);
      variables.forEach((variable, i) => adamW(variable, grads[variable.name], firstMoments[i], secondMoments[i], learningRate, stepCount));
      return { loss: value };
    },
    { name: "the classifier's training step" },
  );
  return {
    run,
    dispose: () => {
      run.dispose();
      tf.dispose([firstMoments, secondMoments]);
    },
  };
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

function classifierOf(parameters: Parameters, classes: readonly string[], imageSize: number, madeBy: Record<string, string>): Classifier {
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
    madeBy,
    features: (images) => tf.tidy(() => classifierFeatures(parameters, images)),
    embedding: (images) => tf.tidy(() => pooled(parameters, images)),
    logits: (images) => tf.tidy(() => classify(parameters, images)),
    dispose: () => tf.dispose(parameters),
  };
}

/** The classifier's label for each image of a data set. */
export async function classifyDataset(classifier: Classifier, dataset: Dataset, batchSize = 250): Promise<Int32Array> {
  const seen = new Int32Array(dataset.size);
  for (let start = 0; start < dataset.size; start += batchSize) {
    const indices = Int32Array.from({ length: Math.min(batchSize, dataset.size - start) }, (_, i) => start + i);
    const { images, labels } = imageBatch(dataset, indices);
    const classes = tf.tidy(() => classifier.logits(images).argMax(1));
    seen.set(await classes.data(), start);
    tf.dispose([images, labels, classes]);
    await yieldToEventLoop();
  }
  return seen;
}

/** Save a classifier as safetensors, atomically. */
export async function saveClassifier(classifier: Classifier, path: string): Promise<void> {
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const [name, tensor] of Object.entries(classifier.parameters)) {
    tensors[name] = { dtype: "F32", shape: tensor.shape, data: (await tensor.data()) as Float32Array };
  }
  const { classes, imageSize, madeBy } = classifier;
  await writeSafetensors(path, tensors, { ...madeBy, classes: JSON.stringify(classes), imageSize: String(imageSize) });
}

/** Load what `saveClassifier` wrote. @throws naming the file when it is absent or not a classifier's */
export async function loadClassifier(path: string): Promise<Classifier> {
  const { tensors, metadata } = await readSafetensors(path);
  const { classes: classesText, imageSize: imageSizeText, ...madeBy } = metadata;
  const classes = parseNames(classesText);
  const imageSize = Number(imageSizeText);
  if (!classes || !(imageSize > 0)) throw new Error(`${path} is not a classifier: expected "classes" and "imageSize" in its metadata.`);
  const parameters: Parameters = {};
  for (const [name, shape] of Object.entries(parameterShapes(classes.length))) {
    const tensor = tensors[name];
    if (String(tensor?.shape) !== String(shape)) {
      tf.dispose(parameters);
      throw new Error(`${path} is not a classifier: expected ${name} of shape [${shape}], found ${tensor ? `[${tensor.shape}]` : "nothing"}.`);
    }
    parameters[name] = tf.tensor(float32Values(tensor, name), shape);
  }
  return classifierOf(parameters, classes, imageSize, madeBy);
}

/** A JSON list of strings, or undefined. */
function parseNames(text: string | undefined): string[] | undefined {
  try {
    const names: unknown = JSON.parse(text ?? "");
    return Array.isArray(names) && names.every((name): name is string => typeof name === "string") ? names : undefined;
  } catch {
    return undefined;
  }
}

function mapValues<T, U>(record: Record<string, T>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
