import type { tf } from "../engine/tf";

/** A frozen network whose activations describe images: for perceptual losses and for metrics. */
export interface FeatureNetwork {
  /** What it is called in reports, such as "efficientnet-lite0". */
  name: string;
  /** Changes when anything changes that the numbers depend on: weights, preprocessing, levels. */
  fingerprint: string;
  /** How images are brought to the network's input size, in words, such as "bicubic 96". */
  resize: string;
  /** D of `embedding`. */
  embeddingSize: number;
  /** Activations at several depths, shallow to deep, each [B, h, w, c]. Nothing deeper than the last level is computed. @param images [B, H, W, 3] in [-1, 1] */
  features(images: tf.Tensor4D): tf.Tensor4D[];
  /** The last layer's activations averaged over positions: [B, D]. @param images [B, H, W, 3] in [-1, 1] */
  embedding(images: tf.Tensor4D): tf.Tensor2D;
  /** Free the weights. */
  dispose(): void;
}
