import { createHash } from "node:crypto";
import type { Dataset } from "../data";
import { imageBatch } from "../data/image-batch";
import { callWithProgress } from "../compiled-progress";
import { compile } from "../engine/compile";
import { sideBySide } from "../engine/side-by-side";
import { tf } from "../engine/tf";
import { storedWeights } from "../float16";
import { interruptSignal, yieldToEventLoop } from "../interrupt";
import { convolution, silu, upsample, type Parameters } from "../layers";
import { initializeParameters, type ParameterShape } from "../network";
import { adamW, learningRateAt, muon } from "../optimizer";
import { createProgress, type LongRunOptions } from "../progress";
import { randomStream } from "../random";
import { float32Values, readSafetensors, writeSafetensors } from "../safetensors";
import type { Encoder } from "./index";

export interface EncoderOptions {
  seed: number;
  /** Channels of the latent. */
  latentChannels: number;
  /** Channels of the first convolution; at half of the resolution the decoder has twice as many, at a quarter both halves four times. */
  channels: number;
  steps: number;
  batchSize: number;
  /** AdamW's rate, for biases and the layers that touch images or latents. */
  learningRate: number;
  /** Muon's rate, for the convolutions between. */
  matrixLearningRate: number;
  /** Weight of the Kullback-Leibler divergence, a mean over the latent's numbers. */
  klWeight: number;
  /** Weight of the squared distance to the latents of an encoder that is to be resembled, a mean over the latent's numbers. */
  likeWeight: number;
}

/** A small f4 autoencoder with 4 channels. */
export const VAE_DEFAULTS: EncoderOptions = { seed: 0, latentChannels: 4, channels: 32, steps: 800, batchSize: 64, learningRate: 2e-3, matrixLearningRate: 0.02, klWeight: 5e-4, likeWeight: 0.005 };

/** Pixels along one side of what one latent pixel covers (f4). */
export const VAE_DOWNSAMPLING = 4;

/** Residual convolutions at the latent's resolution in each half, where they cost least. */
const BLOCKS = 3;

const blockNames = (half: "encoder" | "decoder"): string[] => Array.from({ length: BLOCKS }, (_, index) => `${half}.blocks.${index}`);

/** What Muon trains: neither what touches images nor what ends in latents. */
const INNER_LAYERS = ["encoder.down.1", ...blockNames("encoder"), "decoder.enter", ...blockNames("decoder"), "decoder.up.0", "decoder.up.1"].map((name) => `${name}.weight`);

const LOG_VARIANCE_RANGE = [-12, 4] as const;

function vaeShapes({ latentChannels, channels }: Pick<EncoderOptions, "latentChannels" | "channels">): Record<string, ParameterShape> {
  const [half, quarter] = [2 * channels, 4 * channels]; // channels at half and at a quarter of the image's resolution
  const blocks = (names: string[]): [string, number, number, number][] => names.map((name) => [name, 3, quarter, quarter]);
  const layers: [string, number, number, number][] = [
    ["encoder.down.0", 4, 3, channels],
    ["encoder.down.1", 4, channels, quarter],
    ...blocks(blockNames("encoder")),
    ["encoder.moments", 1, quarter, 2 * latentChannels],
    ["decoder.enter", 3, latentChannels, quarter],
    ...blocks(blockNames("decoder")),
    ["decoder.up.0", 3, quarter, half],
    ["decoder.up.1", 3, half, channels],
    ["decoder.image", 3, channels, 3],
  ];
  return Object.fromEntries(
    layers.flatMap(([name, size, from, to]): [string, ParameterShape][] => [
      [`${name}.weight`, { shape: [size, size, from, to], start: name.includes(".blocks.") ? "zeros" : (size * size * from) ** -0.5 }],
      [`${name}.bias`, { shape: [to], start: "zeros" }],
    ]),
  );
}

/** Residual blocks x + convolution(SiLU(x)), and a last SiLU. @param x [B, h, w, C] */
function residualBlocks(parameters: Parameters, half: "encoder" | "decoder", x: tf.Tensor4D): tf.Tensor4D {
  return silu(blockNames(half).reduce((sum, name) => tf.add(sum, convolution(parameters, name, silu(sum))), x));
}

/** Mean and log variance of the latent's distribution, [B, h, w, c] each, before normalisation. @param images [B, H, W, 3] in [-1, 1] */
function posterior(parameters: Parameters, images: tf.Tensor4D): { mean: tf.Tensor4D; logVariance: tf.Tensor4D } {
  let x = silu(convolution(parameters, "encoder.down.0", images, 2)); // [B, H/2, W/2, C]
  x = residualBlocks(parameters, "encoder", convolution(parameters, "encoder.down.1", x, 2)); // [B, H/4, W/4, 4 C]
  const [mean, logVariance] = tf.split(convolution(parameters, "encoder.moments", x), 2, -1) as tf.Tensor4D[];
  return { mean, logVariance: tf.clipByValue(logVariance, ...LOG_VARIANCE_RANGE) };
}

/** @param latents [B, h, w, c] before normalisation @returns images [B, 4 h, 4 w, 3] */
function decoded(parameters: Parameters, latents: tf.Tensor4D): tf.Tensor4D {
  let x = residualBlocks(parameters, "decoder", convolution(parameters, "decoder.enter", latents)); // [B, h, w, 4 C]
  x = silu(convolution(parameters, "decoder.up.0", upsample(x))); // [B, 2 h, 2 w, 2 C]
  x = silu(convolution(parameters, "decoder.up.1", upsample(x))); // [B, 4 h, 4 w, C]
  return convolution(parameters, "decoder.image", x);
}

export interface EncoderTrainingOptions extends Partial<EncoderOptions>, LongRunOptions {
  /** An encoder whose latents the new ones shall resemble, so that networks trained on those have little to learn anew. */
  like?: Encoder;
}

/**
 * Trains a small variational autoencoder (Kingma and Welling, 2014) on the images: mean absolute error plus a weighted divergence and, given an encoder to
 * resemble, the weighted squared distance of the latents' mean to that encoder's normalised latents (ours).
 * @param dataset training images
 * @returns the encoder, with the statistics of its latents over (at most 4,096 of) the training images
 * @throws Error when the image size is not a multiple of 4, when the encoder to resemble has latents of another shape, or the signal's reason when it aborts
 */
export async function trainEncoder(dataset: Dataset, options: EncoderTrainingOptions = {}): Promise<Encoder> {
  const { like } = options;
  const settings: EncoderOptions = { ...VAE_DEFAULTS, ...Object.fromEntries(Object.entries(options).filter(([key, value]) => key in VAE_DEFAULTS && value !== undefined)) };
  const signal = options.signal ?? interruptSignal();
  const { imageSize } = dataset;
  if (imageSize % VAE_DOWNSAMPLING !== 0) throw new Error(`the encoder halves images twice: the image size must be a multiple of ${VAE_DOWNSAMPLING}, not ${imageSize}`);
  const latentSize = imageSize / VAE_DOWNSAMPLING;
  const latentShape: [number, number, number, number] = [settings.batchSize, latentSize, latentSize, settings.latentChannels];
  if (like && [like.imageSize, like.latentSize, like.latentChannels].join() !== [imageSize, latentSize, settings.latentChannels].join())
    throw new Error(`the encoder to resemble makes ${like.latentSize} x ${like.latentSize} x ${like.latentChannels} latents of ${like.imageSize}-pixel images, the new one ${latentSize} x ${latentSize} x ${settings.latentChannels} of ${imageSize}-pixel images: they have to be alike`);
  const parameters = initializeParameters(vaeShapes(settings), randomStream(settings.seed, "encoder weights"));
  const names = Object.keys(parameters);
  const zeros = (): Record<string, tf.Variable> => tf.tidy(() => Object.fromEntries(names.map((name) => [name, tf.variable(tf.zerosLike(parameters[name]), false)])));
  const [first, second] = [zeros(), zeros()];

  // Of each image, [B]; without an encoder to resemble there is no target.
  const losses = (...[images, eps, target]: tf.Tensor4D[]): tf.Tensor1D => {
    const { mean, logVariance } = posterior(parameters, images);
    const latents = tf.add<tf.Tensor4D>(mean, tf.mul(tf.exp(tf.mul(logVariance, 0.5)), eps));
    const perImage = (values: tf.Tensor): tf.Tensor1D => tf.mean(values, [1, 2, 3]);
    const error = perImage(tf.abs(tf.sub(decoded(parameters, latents), images)));
    const divergence = tf.mul(0.5, perImage(tf.sub(tf.add(tf.square(mean), tf.exp(logVariance)), tf.add(1, logVariance))));
    const loss = tf.add<tf.Tensor1D>(error, tf.mul(settings.klWeight, divergence));
    return target ? tf.add(loss, tf.mul(settings.likeWeight, perImage(tf.square(tf.sub(mean, target))))) : loss;
  };
  const step = compile(
    ({ images, eps, target, learningRate, matrixLearningRate, stepCount }: Record<string, tf.Tensor>) => {
      const batch = (target ? [images, eps, target] : [images, eps]) as tf.Tensor4D[];
      const { value, grads } = tf.variableGrads(() => tf.mean(sideBySide(losses, ...batch)), Object.values(parameters));
      for (const name of names) {
        const gradient = grads[parameters[name].name];
        if (INNER_LAYERS.includes(name)) muon(parameters[name], gradient, first[name], matrixLearningRate as tf.Scalar);
        else adamW(parameters[name], gradient, first[name], second[name], learningRate as tf.Scalar, stepCount as tf.Scalar);
      }
      return { loss: value };
    },
    { name: "the encoder's training step" },
  );

  const order = randomStream(settings.seed, "encoder data");
  const noise = randomStream(settings.seed, "encoder noise");
  const progress = createProgress({ label: "training the encoder", total: settings.steps, onUpdate: options.onProgress });
  const schedule = { warmupSteps: 30, steps: settings.steps, finalShare: 0.02 };
  try {
    for (let index = 0; index < settings.steps; index++) {
      const batch = imageBatch(dataset, order.integers(settings.batchSize, dataset.size));
      const inputs = {
        images: batch.images,
        ...(like && { target: like.encode(batch.images) }),
        eps: tf.tensor4d(noise.normal(latentShape.reduce((product, size) => product * size)), latentShape),
        learningRate: tf.scalar(settings.learningRate * learningRateAt(index, schedule)),
        matrixLearningRate: tf.scalar(settings.matrixLearningRate * learningRateAt(index, schedule)),
        stepCount: tf.scalar(index + 1),
      };
      const { loss } = step(inputs);
      const [value] = loss.dataSync();
      tf.dispose([inputs, batch.labels, loss]);
      if (!Number.isFinite(value)) throw new Error(`the encoder's loss became ${value} at step ${index}: lower the learning rate (now ${settings.learningRate})`);
      progress.advance();
      await yieldToEventLoop();
      signal.throwIfAborted();
    }
    step.dispose();
    const statistics = latentStatistics(parameters, dataset);
    const weights = Object.fromEntries(names.map((name) => [name, { shape: parameters[name].shape, data: parameters[name].dataSync().slice() as Float32Array }]));
    return createEncoder(weights, imageSize, statistics.mean, statistics.standardDeviation);
  } finally {
    step.dispose();
    tf.dispose([parameters, first, second]);
  }
}

/** Mean and standard deviation of each latent channel over at most 4,096 images, in double precision. */
function latentStatistics(parameters: Parameters, dataset: Dataset): { mean: number[]; standardDeviation: number[] } {
  const total = Math.min(dataset.size, 4096);
  let sums: number[] = [];
  let squares: number[] = [];
  let positions = 0;
  for (let start = 0; start < total; start += 256) {
    const latents = tf.tidy(() => {
      const indices = Int32Array.from({ length: Math.min(256, total - start) }, (_, index) => start + index);
      return posterior(parameters, imageBatch(dataset, indices).images).mean;
    });
    const channels = latents.shape[3];
    const values = latents.dataSync();
    latents.dispose();
    if (sums.length === 0) [sums, squares] = [new Array<number>(channels).fill(0), new Array<number>(channels).fill(0)];
    for (let index = 0; index < values.length; index++) {
      sums[index % channels] += values[index];
      squares[index % channels] += values[index] * values[index];
    }
    positions += values.length / channels;
  }
  const mean = sums.map((sum) => sum / positions);
  return { mean, standardDeviation: squares.map((square, channel) => Math.sqrt(Math.max(square / positions - mean[channel] ** 2, 1e-12))) };
}

type Weights = Record<string, { shape: number[]; data: Float32Array }>;

function createEncoder(weights: Weights, imageSize: number, mean: number[], standardDeviation: number[]): Encoder {
  const latentChannels = mean.length;
  const hash = createHash("sha256").update(JSON.stringify({ imageSize, mean, standardDeviation }));
  for (const name of Object.keys(weights).sort()) hash.update(name).update(weights[name].data);
  const parameters: Parameters = Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, shape)]));
  const shift = tf.tensor1d(mean);
  const scale = tf.tensor1d(standardDeviation);
  const assertShape = (tensor: tf.Tensor, shape: number[], what: string): void => {
    if (tensor.shape.slice(1).join() !== shape.join()) throw new Error(`the encoder takes ${what} of shape [B, ${shape.join(", ")}], not [${tensor.shape.join(", ")}]`);
  };
  const latentSize = imageSize / VAE_DOWNSAMPLING;
  // Batches of one size, of which an encoding has many, run as one graph from the third on.
  const encode = compile(({ images }: { images: tf.Tensor4D }) => ({ latents: sideBySide((part: tf.Tensor4D) => tf.div<tf.Tensor4D>(tf.sub(posterior(parameters, part).mean, shift), scale), images) }), { name: "the encoder", maximumPrograms: 2 });
  const decode = compile(({ latents }: { latents: tf.Tensor4D }) => ({ images: sideBySide((part: tf.Tensor4D) => decoded(parameters, tf.add(tf.mul(part, scale), shift)), latents) }), { name: "the decoder", maximumPrograms: 2 });
  return {
    name: "small VAE",
    imageSize,
    latentSize,
    latentChannels,
    mean,
    standardDeviation,
    fingerprint: hash.digest("hex").slice(0, 16),
    encode(images, onProgress) {
      assertShape(images, [imageSize, imageSize, 3], "images");
      return callWithProgress(encode, { images }, "compiling the encoder", onProgress).latents;
    },
    decode(latents, onProgress) {
      assertShape(latents, [latentSize, latentSize, latentChannels], "latents");
      return callWithProgress(decode, { latents }, "compiling the decoder", onProgress).images;
    },
    async save(file, { dtype = "F32" } = {}) {
      const tensors = Object.fromEntries(Object.entries(weights).map(([name, { shape, data }]) => [name, storedWeights(shape, data, dtype)]));
      await writeSafetensors(file, tensors, { kind: "crossflow encoder", imageSize: String(imageSize), mean: JSON.stringify(mean), standardDeviation: JSON.stringify(standardDeviation) });
    },
    dispose() {
      encode.dispose();
      decode.dispose();
      tf.dispose([parameters, shift, scale]);
    },
  };
}

/**
 * Reads an encoder that save() wrote.
 * @throws Error naming the file when it is missing, damaged or no encoder
 */
export async function loadEncoder(file: string): Promise<Encoder> {
  const { tensors, metadata } = await readSafetensors(file);
  if (metadata.kind !== "crossflow encoder") throw new Error(`${file} holds no encoder (its kind is "${metadata.kind ?? "not given"}")`);
  const mean = JSON.parse(metadata.mean) as number[];
  const channels = tensors["encoder.down.0.weight"]?.shape[3] ?? 0;
  const expected = vaeShapes({ latentChannels: mean.length, channels });
  const wrong = Object.entries(expected).filter(([name, { shape }]) => tensors[name]?.shape.join() !== shape.join());
  if (wrong.length > 0) throw new Error(`${file} is no complete encoder: ${wrong.map(([name, { shape }]) => `${name} [${shape}]`).join(", ")} missing or of another shape. Delete it; it is trained anew`);
  const weights = Object.fromEntries(Object.keys(expected).map((name) => [name, { shape: tensors[name].shape, data: float32Values(tensors[name], name) }]));
  return createEncoder(weights, Number(metadata.imageSize), mean, JSON.parse(metadata.standardDeviation) as number[]);
}
