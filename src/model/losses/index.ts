import type { Scores } from "../critic";
import type { tf } from "../engine/tf";
import { nearestNames } from "../nearest-name";
import type { ObjectiveTerms } from "../objective";
import { adversarialLoss } from "./adversarial";
import { perceptualLoss } from "./perceptual";
import { pixelLoss } from "./pixel";

/** Judges images [B, H, W, 3] of classes y, int32 [B]. */
export type CriticScore = (images: tf.Tensor4D, y: tf.Tensor1D) => Scores;

/** Features of images [B, H, W, 3] in [-1, 1] at several levels, each [B, h, w, C]. */
export type FeatureLevels = (images: tf.Tensor4D) => tf.Tensor4D[];

/** All that a loss may use: what the objective computed, and what the training provides. */
export interface Terms extends ObjectiveTerms {
  /** The rows of the batch with r = 0, which are one-step samples F(z_t, 0, y); `real` are their x0. */
  samples: { images: tf.Tensor4D; real: tf.Tensor4D; y: tf.Tensor1D };
  /** Frozen features for the perceptual loss. @throws Error when the training has no perceptual network */
  features: FeatureLevels;
  /** The critic in training. @throws Error when the training has no critic */
  critic: CriticScore;
  /** Largest factor t (t - r) / r at which losses on pictures still trust x_hat. */
  correctionLimit: number;
}

/** A loss: a plain function of the terms of one batch to a scalar. It runs inside the differentiated (and compiled) step. */
export type Loss = (terms: Terms) => tf.Scalar;

const registry = new Map<string, Loss>();

/**
 * Makes a loss known by name, so that `train({ losses: { name: weight } })` finds it. A name that is taken is replaced, which is what
 * running a notebook cell again means.
 * @param name what the configuration and the metrics call it
 * @param loss scalar function of the terms; built of tfjs operations alone, with randomness only from the terms
 * @returns the loss itself
 */
export function defineLoss(name: string, loss: Loss): Loss {
  if (!/^[A-Za-z][\w-]*$/.test(name)) throw new Error(`"${name}" can not name a loss: a letter first, then letters, digits, - or _`);
  registry.set(name, loss);
  return loss;
}

/** @throws Error naming the losses nearest in spelling */
export function lossNamed(name: string): Loss {
  const loss = registry.get(name);
  if (!loss) throw new Error(`there is no loss "${name}". There are: ${[...new Set([...nearestNames(name, lossNames()), ...lossNames()])].join(", ")}. Define it with defineLoss("${name}", (terms) => ...) before training`);
  return loss;
}

/** Names of all losses that are defined. */
export function lossNames(): string[] {
  return [...registry.keys()];
}

defineLoss("pixel", pixelLoss());
defineLoss("pixel-paper", pixelLoss({ distance: "L1", weight: "none", through: "residual", adaptivePower: 0 }));
defineLoss("pixel-l1", pixelLoss({ distance: "L1", weight: "t^2/r", through: "residual", adaptivePower: 0 }));
defineLoss("pixel-huber", pixelLoss({ distance: "Huber" }));
defineLoss("perceptual", perceptualLoss());
defineLoss("adversarial", adversarialLoss("relativistic"));
defineLoss("adversarial-hinge", adversarialLoss("hinge"));
