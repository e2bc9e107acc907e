import { jvp } from "../engine/jvp";
import { tf } from "../engine/tf";
import type { Parameters } from "../layers";
import { network, type NetworkConfig } from "../network";
import { randomStream, type RandomStream } from "../random";
import type { Rows, TrainingRows } from "../training-rows";
import { latentAt, velocity } from "../trajectory";
import { rounded } from "./regions";

/** How the network answers to what it is told, on the same noise, classes and images each time. */
export interface ProbeResult {
  /**
   * Root mean square by which F(eps, 0, y) changes, as a share of the difference between two training images: with another class ("class", against images of
   * two classes), with another noise ("noise", against images of one class), with r = 0.5 in place of 0 ("r", against images of two classes). Near 0 it is ignored.
   */
  sensitivity: { class: number; noise: number; r: number };
  /** Peak signal-to-noise ratio (decibel) of F(z_t, t, y) against the image, at several t. It falls with t; where it does not, r or z_t is ignored. */
  diagonal: { t: number[]; psnr: number[] };
  /** Relative difference of dF/dt by forward mode and by a central difference. */
  derivativeError: number;
}

export interface Probe {
  /** @param parameters the network's weights now */
  measure(parameters: Parameters): ProbeResult;
  dispose(): void;
}

const SAMPLES = 8;
const DIAGONAL_TIMES = [0.02, 0.1, 0.3, 0.6, 0.9];
const DIAGONAL_IMAGES = 8;
/** Images that the contrast of the training data is measured on; the first of them are the diagonal's. */
const IMAGES = 64;
const DERIVATIVE = { samples: 4, r: 0.3, t: 0.7, step: 1e-2 };

/**
 * Makes a probe of a network. Its noise, classes and images come from a stream of its own, so that it changes nothing in the training.
 * @param source the training's rows, in memory or in files; a few are read
 */
export async function createProbe(config: NetworkConfig, source: Pick<TrainingRows, "read" | "size">, seed: number): Promise<Probe> {
  const stream = randomStream(seed, "diagnostics");
  const { imageSize, latentSize, latentChannels, classes } = config;
  const latentShape: [number, number, number] = [latentSize, latentSize, latentChannels];
  const normal = (count: number): tf.Tensor4D => tf.tensor4d(stream.normal(count * latentSize * latentSize * latentChannels), [count, ...latentShape]);
  const labels = (shift: number): tf.Tensor1D => tf.tensor1d(Array.from({ length: SAMPLES }, (_, index) => (index + shift) % classes), "int32");
  const order = stream.permutation(source.size);
  const chosen = Int32Array.from({ length: IMAGES }, (_, index) => order[index % order.length]);
  const rows = await source.read(chosen, new Uint8Array(IMAGES));
  const first = <T extends tf.Tensor>(tensor: T): T => tf.tidy(() => tf.slice(tensor, 0, DIAGONAL_IMAGES));
  const images = tf.tensor4d(rows.images, [IMAGES, imageSize, imageSize, 3]);
  const latents = tf.tensor4d(rows.latents, [IMAGES, ...latentShape]);
  const [x0, z, y] = [first(images), first(latents), tf.tensor1d(rows.labels.slice(0, DIAGONAL_IMAGES), "int32")];
  const contrast = { across: imageContrast(images, rows, stream, false), within: imageContrast(images, rows, stream, true) };
  tf.dispose([images, latents]);
  const held = { x0, y, z, eps: normal(SAMPLES), otherEps: normal(SAMPLES), noise: normal(DIAGONAL_IMAGES), own: labels(0), other: labels(1) };

  const measure = (parameters: Parameters): ProbeResult =>
    tf.tidy(() => {
      const field = (zT: tf.Tensor4D, r: tf.Tensor1D, classOf: tf.Tensor1D): tf.Tensor4D => network(config, parameters, zT, r, classOf);
      const constant = (count: number, value: number): tf.Tensor1D => tf.fill([count], value);
      const along = DIAGONAL_TIMES.map((t) => latentAt(held.z, held.noise, constant(DIAGONAL_IMAGES, t)));
      const all = field(
        tf.concat([held.eps, held.eps, held.otherEps, held.eps, ...along], 0),
        tf.concat([constant(3 * SAMPLES, 0), constant(SAMPLES, 0.5), ...DIAGONAL_TIMES.map((t) => constant(DIAGONAL_IMAGES, t))], 0),
        tf.concat([held.own, held.other, held.own, held.own, ...DIAGONAL_TIMES.map(() => held.y)], 0),
      );
      const [drawn, otherClass, otherNoise, otherTime, ...diagonal] = tf.split(all, [...Array<number>(4).fill(SAMPLES), ...DIAGONAL_TIMES.map(() => DIAGONAL_IMAGES)], 0) as tf.Tensor4D[];
      const apart = (other: tf.Tensor, scale: number): number => rounded(rootMeanSquare(tf.sub(drawn, other)) / scale);
      const psnr = diagonal.map((image) => rounded(10 * Math.log10(4 / Math.max(tf.mean(tf.square(tf.sub(tf.clipByValue(image, -1, 1), held.x0))).dataSync()[0], 1e-12))));
      return {
        sensitivity: { class: apart(otherClass, contrast.across), noise: apart(otherNoise, contrast.within), r: apart(otherTime, contrast.across) },
        diagonal: { t: [...DIAGONAL_TIMES], psnr },
        derivativeError: derivativeError(field, held),
      };
    });
  return { measure, dispose: () => tf.dispose({ ...held }) };
}

/** dF/dt by forward mode against a central difference, on a few samples. */
function derivativeError(field: (zT: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D) => tf.Tensor4D, { z, noise, y }: Record<"z" | "noise", tf.Tensor4D> & { y: tf.Tensor1D }): number {
  const { samples, r, t, step } = DERIVATIVE;
  const [latents, eps, classOf] = [tf.slice(z, 0, samples), tf.slice(noise, 0, samples), tf.slice(y, 0, samples)];
  const times = tf.fill([samples], r) as tf.Tensor1D;
  const [point, v] = [latentAt(latents, eps, tf.fill([samples], t)), velocity(latents, eps)];
  const at = (zT: tf.Tensor): tf.Tensor4D => field(zT as tf.Tensor4D, times, classOf);
  const { tangent } = jvp(at, [point], [v]);
  const difference = tf.div(tf.sub(at(tf.add(point, tf.mul(v, step))), at(tf.sub(point, tf.mul(v, step)))), 2 * step);
  return rounded(rootMeanSquare(tf.sub(tangent, difference)) / Math.max(rootMeanSquare(difference), 1e-6));
}

function rootMeanSquare(x: tf.Tensor): number {
  return Math.sqrt(tf.mean(tf.square(x)).dataSync()[0]);
}

/** Root mean square difference of training images of one class, or of two: what a sensitivity is compared with. */
function imageContrast(images: tf.Tensor4D, { labels }: Rows, stream: RandomStream, sameClass: boolean): number {
  const positions = Array.from(labels.keys());
  const seconds = positions.map((position) => {
    const fitting = positions.filter((other) => other !== position && (labels[other] === labels[position]) === sameClass);
    return fitting.length > 0 ? fitting[stream.integers(1, fitting.length)[0]] : position;
  });
  return tf.tidy(() => Math.max(rootMeanSquare(tf.sub(images, tf.gather(images, tf.tensor1d(seconds, "int32")))), 1e-6));
}
