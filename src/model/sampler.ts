import { tf } from "./engine/tf";
import { evaluateCompiled, evaluateModel, trainingMethodOf, type Model } from "./model";
import type { ProgressListener } from "./progress";
import { randomStream } from "./random";

export interface SampleOptions {
  /** Seed of the noise; ignored where `eps` is given. */
  seed?: number;
  /** Noise [N, h, w, c], one latent a label. */
  eps?: tf.Tensor4D;
  /** Standard deviation of the noise; ignored where `eps` is given. Below 1 images vary less (Kingma and Dhariwal, 2018, "Glow": sampling at a reduced temperature). */
  temperature?: number;
  /** The time that the network is asked for; 0 is the end of the trajectory. */
  r?: number;
  /** Images evaluated at once. */
  batchSize?: number;
  /** Run batches as one graph from the third of a size on; disposeModel() frees it. */
  compile?: boolean;
  /** Hears of compiling. */
  onProgress?: ProgressListener;
}

/** Baselines whose network is no F(eps, 0, y). */
const OTHER_SAMPLING: readonly string[] = ["latent-flow", "latent-meanflow", "pixel-meanflow"];

/** One-step sampling as the method has it: r = 0. */
export const SAMPLE_DEFAULTS = { seed: 0, temperature: 1, r: 0, batchSize: 64, compile: true };

/**
 * Samples images in one step: x = F(eps, 0, y).
 * @param labels one class label an image, 0 to the number of classes ("no class")
 * @returns images [N, H, W, 3], clamped to [-1, 1]
 * @throws RangeError when a label is no class of the model, or the temperature is no number from 0 on
 */
export function sample(model: Model, labels: ArrayLike<number>, options: SampleOptions = {}): tf.Tensor4D {
  const settings = { ...SAMPLE_DEFAULTS, ...options };
  const { latentSize, latentChannels } = model.network;
  const method = trainingMethodOf(model);
  if (OTHER_SAMPLING.includes(method)) throw new Error(`this model was trained by the method "${method}", which is sampled otherwise: use generateImages()`);
  assertSampling(model, labels, settings.temperature);
  return tf.tidy(() => {
    const shape: [number, number, number, number] = [labels.length, latentSize, latentSize, latentChannels];
    const eps = options.eps ?? samplingNoise(settings.seed, settings.temperature, shape);
    return mapBatches(model, eps, labels, settings);
  });
}

/**
 * Checks what a sampling is asked for.
 * @throws RangeError when a label is no class of the model, or the temperature is no number from 0 on
 */
export function assertSampling({ network: { classes } }: Pick<Model, "network">, labels: ArrayLike<number>, temperature: number): void {
  for (const label of Array.from(labels)) if (!Number.isInteger(label) || label < 0 || label > classes) throw new RangeError(`label ${label} is no class of this model: 0 to ${classes - 1}, or ${classes} for no class`);
  if (!(temperature >= 0 && Number.isFinite(temperature))) throw new RangeError(`the temperature is the noise's standard deviation, 0 or more and usually up to 1, not ${temperature}`);
}

/**
 * The noise that samples start from.
 * @param temperature its standard deviation
 * @returns [N, h, w, c], of the shape that is given
 */
export function samplingNoise(seed: number, temperature: number, shape: [number, number, number, number]): tf.Tensor4D {
  return tf.tidy(() => tf.mul<tf.Tensor4D>(tf.tensor4d(randomStream(seed, "sampling noise").normal(shape.reduce((product, size) => product * size)), shape), temperature));
}

export type DecodeOptions = Omit<SampleOptions, "seed" | "eps" | "temperature">;

/**
 * Decodes latents to images with the same network, F(z, r ~ 0, y): the replacement of the autoencoder's decoder.
 * @param latents clean latents [N, h, w, c], normalised
 * @param labels their classes; the number of classes where none is known
 * @param r by default the smallest time of the training
 * @returns images [N, H, W, 3], clamped to [-1, 1]
 */
export function decode(model: Model, latents: tf.Tensor4D, labels: ArrayLike<number>, r: number = model.minimumTime, options: DecodeOptions = {}): tf.Tensor4D {
  if (labels.length !== latents.shape[0]) throw new RangeError(`${latents.shape[0]} latents need as many labels, not ${labels.length}`);
  return tf.tidy(() => mapBatches(model, latents, labels, { ...SAMPLE_DEFAULTS, ...options, r }));
}

function mapBatches(model: Model, latents: tf.Tensor4D, labels: ArrayLike<number>, { r, batchSize, compile, onProgress }: Required<Pick<SampleOptions, "r" | "batchSize" | "compile">> & SampleOptions): tf.Tensor4D {
  const images: tf.Tensor4D[] = [];
  for (let start = 0; start < labels.length; start += batchSize) {
    const count = Math.min(batchSize, labels.length - start);
    const y = tf.tensor1d(Array.from(labels).slice(start, start + count), "int32");
    const batch = (): tf.Tensor4D => {
      const [zT, times] = [tf.slice(latents, start, count), tf.fill([count], r) as tf.Tensor1D];
      return tf.clipByValue(compile ? evaluateCompiled(model, zT, times, y, onProgress) : evaluateModel(model, zT, times, y), -1, 1);
    };
    images.push(tf.tidy(batch));
  }
  return tf.concat(images, 0);
}
