import { existsSync } from "node:fs";
import { imagesToPixels } from "./data/image-batch";
import { writeImageValues } from "./data/image-values";
import { differences } from "./differences";
import { compile } from "./engine/compile";
import { tf } from "./engine/tf";
import { interruptSignal, yieldToEventLoop } from "./interrupt";
import { createProgress, type LongRunOptions } from "./progress";
import { randomStream, type RandomStream } from "./random";
import { float32Values, readSafetensors, writeSafetensors } from "./safetensors";

/** What the noise and the images of pairs are. */
export interface PairsSubject {
  latentSize: number;
  latentChannels: number;
  /** Height and width of the images, pixels. */
  imageSize: number;
  /** Names of the classes; label i is classNames[i]. */
  classNames: readonly string[];
  /** Fingerprint of the encoder whose latents the noise stands for. */
  encoderFingerprint: string;
}

/** Noise with the image that one step has to make of it (Luhman and Luhman, 2021): what a slow teacher says once and a training hears many times. */
export interface Pairs extends PairsSubject {
  /** Standard normal noise [N, h, w, c]. */
  eps: Float32Array;
  /** Images [N, H, W, 3], 0 to 255. */
  images: Uint8Array;
  /** Class labels [N]. */
  labels: Int32Array;
  /** Pretrained networks that losses of the teacher's training used: what is measured in them is not independent of what learns from the pairs. */
  lossNetworks: string[];
  /** What made them: the files and options, as text. */
  recipe: string;
}

export interface PairsOptions extends PairsSubject, LongRunOptions, Pick<Pairs, "lossNetworks" | "recipe"> {
  /** Pairs in all, of the classes in turn. */
  count: number;
  seed: number;
}

const KIND = "crossflow pairs";

/** Pairs that are made at once. */
const BATCH_SIZE = 64;

/** Sizes and names in which pairs have to agree with what learns from them. */
const SUBJECT = ["latentSize", "latentChannels", "imageSize", "classNames", "encoderFingerprint"] as const satisfies readonly (keyof PairsSubject)[];

/**
 * Makes pairs and writes them to a file; a file of the same recipe that holds fewer is gone on with. The i-th batch's noise depends on the seed and i alone.
 * @param file where they are kept (.safetensors), written when all are made, and when the work is interrupted or fails
 * @param imageOf noise [B, h, w, c] and class labels [B] -> images [B, H, W, 3] in [-1, 1]: distillationTarget() or refinementTarget() at t = 1
 * @returns how many the file holds now
 * @throws Error when the file there holds other pairs; the signal's reason when interrupted: what was made is then in the file
 */
export async function makePairs(file: string, imageOf: (eps: tf.Tensor4D, y: tf.Tensor1D) => tf.Tensor4D, options: PairsOptions): Promise<number> {
  const { latentSize, latentChannels, imageSize, classNames, encoderFingerprint, lossNetworks, recipe, count, seed, onProgress } = options;
  const signal = options.signal ?? interruptSignal();
  const [noiseLength, imageLength] = [latentSize * latentSize * latentChannels, imageSize * imageSize * 3];
  const pairs: Pairs = { latentSize, latentChannels, imageSize, classNames, encoderFingerprint, lossNetworks, recipe, eps: new Float32Array(count * noiseLength), images: new Uint8Array(count * imageLength), labels: Int32Array.from({ length: count }, (_, index) => index % classNames.length) };
  let made = 0;
  if (existsSync(file)) {
    const there = await readPairs(file, options);
    if (there.recipe !== recipe) throw new Error(`${file} holds pairs that were made otherwise, ${there.recipe}, and not ${recipe}: choose another name, or move it aside`);
    if (there.labels.length >= count) return there.labels.length;
    pairs.eps.set(there.eps);
    pairs.images.set(there.images);
    // Batches are made whole, so that none of them depends on where the work was cut off.
    made = Math.floor(there.labels.length / BATCH_SIZE) * BATCH_SIZE;
  }
  const compiled = compile(({ eps, y }: { eps: tf.Tensor4D; y: tf.Tensor1D }) => ({ images: imageOf(eps, y) }), { name: "the pairs' images" });
  const progress = createProgress({ label: "making pairs", total: count, done: made, onUpdate: onProgress });
  const written = made;
  try {
    while (made < count) {
      const wanted = Math.min(BATCH_SIZE, count - made);
      const eps = randomStream(seed, `pairs ${made / BATCH_SIZE}`).normal(BATCH_SIZE * noiseLength);
      const inputs = { eps: tf.tensor4d(eps, [BATCH_SIZE, latentSize, latentSize, latentChannels]), y: tf.tensor1d(Array.from({ length: BATCH_SIZE }, (_, index) => (made + index) % classNames.length), "int32") };
      const { images } = compiled(inputs);
      const pixels = await imagesToPixels(images);
      tf.dispose([inputs, images]);
      pairs.eps.set(eps.subarray(0, wanted * noiseLength), made * noiseLength);
      pairs.images.set(pixels.subarray(0, wanted * imageLength), made * imageLength);
      made += wanted;
      progress.advance(wanted);
      await yieldToEventLoop();
      signal.throwIfAborted();
    }
  } finally {
    compiled.dispose();
    if (made > written) await writePairs(file, pairs, made);
  }
  return made;
}

/** Writes the first pairs to a file, atomically. */
async function writePairs(file: string, { eps, images, labels, latentSize, latentChannels, imageSize, classNames, encoderFingerprint, lossNetworks, recipe }: Pairs, count: number): Promise<void> {
  const tensors = {
    eps: { dtype: "F32" as const, shape: [count, latentSize, latentSize, latentChannels], data: eps.subarray(0, count * latentSize * latentSize * latentChannels) },
    images: { dtype: "U8" as const, shape: [count, imageSize, imageSize, 3], data: images.subarray(0, count * imageSize * imageSize * 3) },
    labels: { dtype: "I32" as const, shape: [count], data: labels.subarray(0, count) },
  };
  await writeSafetensors(file, tensors, { kind: KIND, recipe, pairs: JSON.stringify({ latentSize, latentChannels, imageSize, classNames, encoderFingerprint, lossNetworks }) });
}

/**
 * Reads pairs.
 * @param subject what is to learn from them
 * @throws Error when the file is missing, damaged or holds no pairs, when they are of other sizes, classes or latents, or when a class has none
 */
export async function readPairs(file: string, subject: PairsSubject): Promise<Pairs> {
  const { tensors, metadata } = await readSafetensors(file);
  if (metadata.kind !== KIND) throw new Error(`${file} holds no pairs: expected a file that "npx crossflow pairs" wrote`);
  const { latentSize, latentChannels, imageSize, classNames, encoderFingerprint, lossNetworks } = JSON.parse(metadata.pairs) as PairsSubject & Pick<Pairs, "lossNetworks">;
  const there = { latentSize, latentChannels, imageSize, classNames, encoderFingerprint };
  const differing = differences<PairsSubject>(there, subject, SUBJECT);
  if (differing !== "") throw new Error(`the pairs in ${file} do not fit this training: ${differing}. Make them with a teacher of the same data and encoder`);
  const labels = tensors.labels.data as Int32Array;
  const without = classNames.filter((_, label) => !labels.includes(label));
  if (without.length > 0) throw new Error(`${file} holds no pair of the class ${without.map((name) => `"${name}"`).join(", ")}, only ${labels.length} in all: make more (npx crossflow pairs --count)`);
  return { ...there, lossNetworks, recipe: metadata.recipe, eps: float32Values(tensors.eps, "eps"), images: tensors.images.data as Uint8Array, labels };
}

/**
 * Puts the noise and the image of a pair of the row's class, drawn anew at each call, in the place of a row's.
 * @param rows which rows of the batch
 * @param labels class labels [B]
 * @param eps noise [B, h, w, c], written into
 * @param images [B, H, W, 3] in [-1, 1], written into
 */
export type PairDraw = (rows: Iterable<number>, labels: ArrayLike<number>, eps: Float32Array, images: Float32Array, stream: RandomStream) => void;

/** @returns what draws from pairs */
export function pairDraw(pairs: Pairs): PairDraw {
  const { latentSize, latentChannels, imageSize } = pairs;
  const [noiseLength, imageLength] = [latentSize * latentSize * latentChannels, imageSize * imageSize * 3];
  const byClass = pairs.classNames.map((_, label) => [...pairs.labels.keys()].filter((index) => pairs.labels[index] === label));
  return (rows, labels, eps, images, stream) => {
    for (const row of rows) {
      const ofClass = byClass[labels[row]];
      const pair = ofClass[stream.integers(1, ofClass.length)[0]];
      eps.set(pairs.eps.subarray(pair * noiseLength, (pair + 1) * noiseLength), row * noiseLength);
      writeImageValues(pairs.images.subarray(pair * imageLength, (pair + 1) * imageLength), images.subarray(row * imageLength, (row + 1) * imageLength), imageSize, false);
    }
  };
}
