import type { TrainConfig } from "../../src/model/config";
import { createDataset } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import type { Encoder } from "../../src/model/encoder";
import type { NetworkConfig } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import type { Resources } from "../../src/model/resources";

/** A network that trains a step in milliseconds. */
export const network: NetworkConfig = { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 2, patchSize: 2, width: 16, depth: 1, heads: 2, bottleneck: 0, classTokens: 1, timeTokens: 1, head: "linear", headChannels: 16 };

const COUNT = 20;
const pixels = Uint8Array.from(randomStream(1, "pixels").integers(COUNT * 16 * 16 * 3, 256));
const data = createDataset({ name: "noise", split: "train", classes: ["first", "second"], imageSize: 16, pixels, labels: Int32Array.from({ length: COUNT }, (_, index) => index % 2) });
const unused = (): never => {
  throw new Error("training must not encode");
};
const encoder: Encoder = { name: "none", imageSize: 16, latentSize: 4, latentChannels: 2, mean: [0, 0], standardDeviation: [1, 1], fingerprint: "fake", encode: unused, decode: unused, save: unused, dispose: () => undefined };

/** An autoencoder of means and nearest neighbours, for trainings that encode and decode. */
export const coarseEncoder: Encoder = {
  ...encoder,
  encode: (images: tf.Tensor4D) => tf.slice(tf.avgPool(images, 4, 4, "valid"), [0, 0, 0, 0], [-1, -1, -1, 2]) as tf.Tensor4D,
  decode: (latents: tf.Tensor4D) => tf.concat([tf.image.resizeNearestNeighbor(latents, [16, 16]), tf.zeros([latents.shape[0], 16, 16, 1])], 3) as tf.Tensor4D,
};

/** Twenty images of noise in two classes, with made-up latents. */
export const resources: Resources = { train: data, test: data, encoder, latents: randomStream(2, "latents").normal(COUNT * 32), network };

/** A training of six steps on them. */
export const base: Partial<TrainConfig> = { steps: 6, batchSize: 8, imageSize: 16, warmupSteps: 1, sampleEvery: 0, checkpointEvery: 100 };
