import type { tf } from "../engine/tf";
import type { NetworkConfig } from "../network";
import type { Batch, ImageField, ObjectiveTerms } from "../objective";

/** A way to train the network, as far as it differs from CrossFlow; where a part is left out, CrossFlow's is taken. */
export interface Method {
  /** Where the trajectory lies. "latent": between noise and latents; "pixel": between noise and images. */
  space: "latent" | "pixel";
  /** The network of the preset with other shapes at its two ends; width, depth and tokens stay. */
  network?(preset: NetworkConfig): NetworkConfig;
  /**
   * What of the objective is a constant to the gradient: the derivative along the trajectory, for the first `offDiagonal` samples, zero for the others.
   * `batch.z` are the clean points of the trajectory, latents or images.
   */
  derivative?(field: ImageField, batch: Batch, offDiagonal: number): tf.Tensor4D;
  /** The terms of the losses; `residual` is what vanishes on average at the solution. `along` is the marginal velocity at z_t, where the configuration asks for it. */
  terms?(field: ImageField, batch: Batch, derivative: tf.Tensor4D, along?: tf.Tensor4D): ObjectiveTerms;
  /** Whether an image takes many evaluations of the network; one where it is left out. */
  manySteps?: boolean;
  /** From noise to the end of the trajectory, in its space. @param steps evaluations of the network, where the method has a choice */
  generate?(field: ImageField, eps: tf.Tensor4D, y: tf.Tensor1D, steps: number): tf.Tensor4D;
}
