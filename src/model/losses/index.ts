import type { Scores } from "../critic";
import { tf } from "../engine/tf";
import { nearestNames } from "../nearest-name";
import type { ObjectiveTerms } from "../objective";
import { ADVERSARIAL_LOSSES, adversarialLoss } from "./adversarial";
import { edgeLoss } from "./edges";
import { perceptualConsistencyLoss, perceptualLoss } from "./perceptual";
import { pixelLoss } from "./pixel";

export { ofClasses } from "./of-classes";

/** Judges images [B, H, W, 3] of classes y, int32 [B]. */
export type CriticScore = (images: tf.Tensor4D, y: tf.Tensor1D) => Scores;

/** Features of images [B, H, W, 3] in [-1, 1] at several levels, each [B, h, w, C]. */
export type FeatureLevels = (images: tf.Tensor4D) => tf.Tensor4D[];

/** All that a loss may use: what the objective computed, and what the training provides. */
export interface Terms extends ObjectiveTerms {
  /** The rows of the batch with r = 0, which are one-step samples F(z_t, 0, y); `real` are their x0, or what they are taught to be (criticReal). */
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

/** What a loss is, for the catalogue. */
export interface LossDescription {
  formula: string;
  source: string;
}

interface Entry {
  loss: Loss;
  description?: LossDescription;
}

/** A loss is at fault: it failed, or returned no scalar. The message names it; the trainer adds the step. */
export class LossError extends Error {
  override name = "LossError";
}

const registry = new Map<string, Entry>();

/**
 * Makes a loss known by name, so that `train({ losses: { name: weight } })` finds it. A name that is taken is replaced, which is what
 * running a notebook cell again means.
 * @param name what the configuration and the metrics call it
 * @param loss scalar function of the terms; built of tfjs operations alone, with randomness only from the terms
 * @param description formula and source, shown by lossCatalogue()
 * @returns the loss itself
 */
export function defineLoss(name: string, loss: Loss, description?: LossDescription): Loss {
  if (!/^[A-Za-z][\w-]*$/.test(name)) throw new Error(`"${name}" can not name a loss: a letter first, then letters, digits, - or _`);
  registry.set(name, { loss, description });
  return loss;
}

/** @throws Error naming the losses nearest in spelling */
export function lossNamed(name: string): Loss {
  const entry = registry.get(name);
  if (!entry) throw new Error(`there is no loss "${name}". There are: ${[...new Set([...nearestNames(name, lossNames()), ...lossNames()])].join(", ")}. Define it with defineLoss("${name}", (terms) => ...) before training`);
  return entry.loss;
}

/** Names of all losses that are defined. */
export function lossNames(): string[] {
  return [...registry.keys()];
}

/** Every loss that is defined, with its formula and source where they are given: a table for showTable(). */
export function lossCatalogue(): ({ name: string } & LossDescription)[] {
  return [...registry].map(([name, { description }]) => ({ name, formula: description?.formula ?? "", source: description?.source ?? "defined by you" }));
}

/**
 * Evaluates a loss on the terms of a batch.
 * @returns its value, a scalar
 * @throws LossError naming the loss when it fails or returns anything but one number
 */
export function evaluateLoss(name: string, terms: Terms): tf.Scalar {
  let value: tf.Tensor;
  try {
    value = lossNamed(name)(terms);
  } catch (error) {
    // TensorFlow's binding puts the status before its message.
    throw new LossError(`loss "${name}" failed: ${(error as Error).message.replace(/^Invalid TF_Status: \d+\s+Message: /, "")}`, { cause: error });
  }
  if (!(value instanceof tf.Tensor) || value.size !== 1) throw new LossError(`loss "${name}" must return a scalar tensor, not ${value instanceof tf.Tensor ? `shape [${value.shape}]` : typeof value}: take the mean over batch and pixels`);
  return value.reshape([]);
}

const PAPER = "arXiv 2606.19970";
defineLoss("pixel", pixelLoss(), { formula: "mean(e^2) / (sg(mean(e^2)) + 0.001)^0.5, e = F - sg(F - t R)", source: "ours; adaptive weight of MeanFlow (Geng et al., 2025)" });
defineLoss("pixel-square", pixelLoss({ adaptivePower: 0 }), { formula: "mean e^2, e as in pixel: what is far off pulls more", source: "ours" });
defineLoss("pixel-paper", pixelLoss({ distance: "L1", weight: "none", through: "residual", adaptivePower: 0 }), { formula: "mean |R|", source: `${PAPER}, Sec. 3.3` });
defineLoss("pixel-paper-l2", pixelLoss({ distance: "L2", weight: "none", through: "residual", adaptivePower: 0 }), { formula: "mean R^2", source: `${PAPER}, without the adaptive weight` });
defineLoss("pixel-paper-adaptive", pixelLoss({ distance: "L2", weight: "none", through: "residual", adaptivePower: 1 }), { formula: "mean(R^2) / (sg(mean(R^2)) + 0.001)", source: `${PAPER}, ablation; MeanFlow (Geng et al., 2025)` });
defineLoss("pixel-l1", pixelLoss({ distance: "L1", weight: "t^2/r", through: "residual", adaptivePower: 0 }), { formula: "mean |w R|, w = min(t^2 / r, 10)", source: "ours" });
defineLoss("pixel-absolute", pixelLoss({ distance: "L1", adaptivePower: 0 }), { formula: "mean |e|, e as in pixel: each pixel pulls alike, flat areas beside an edge too", source: "ours" });
defineLoss("pixel-decoding", pixelLoss({ distance: "L1", adaptivePower: 0, gate: "diagonal" }), { formula: "mean |e|, e as in pixel, where r = t: what F draws of a latent that tells its image", source: "ours" });
defineLoss("pixel-huber", pixelLoss({ distance: "Huber" }), { formula: "as pixel, with Huber(e, 0.1) in place of e^2", source: "Huber, 1964" });
defineLoss("pixel-pseudo-huber", pixelLoss({ distance: "pseudo-Huber" }), { formula: "as pixel, with 0.1^2 (sqrt(1 + (e / 0.1)^2) - 1) in place of e^2", source: "Charbonnier et al., 1997; Song and Dhariwal, 2024" });
defineLoss("pixel-edges", edgeLoss(), { formula: "mean |e(next pixel) - e|, down and across, e as in pixel: flat areas lose their grain", source: "ours; Mathieu et al., 2016" });
defineLoss("perceptual", perceptualLoss(), { formula: "mean Huber((phi(x_hat) - phi(x0)) / spread), where t (t - r) / r <= correctionLimit", source: `${PAPER}; the gate is ours` });
defineLoss("perceptual-samples", perceptualLoss({ on: "F", gate: "near the end", gateLimit: 0.5 }), { formula: "mean Huber((phi(F) - phi(x0)) / spread), where r = 0 and t <= 0.5", source: "ours" });
defineLoss("perceptual-consistency", perceptualConsistencyLoss(), { formula: "mean Huber((phi(F) - phi(endTarget)) / spread), where r = 0; endTarget as the option of that name says", source: "ours; consistency models (Song et al., 2023)" });
const ADVERSARIAL_FORMULAS = {
  relativistic: { formula: "mean softplus(D(x0) - D(G))", source: "Jolicoeur-Martineau, 2018; Huang et al., 2024" },
  hinge: { formula: "-mean D(G)", source: "Lim and Ye, 2017" },
  "non-saturating": { formula: "mean softplus(-D(G))", source: "Goodfellow et al., 2014" },
};
for (const [name, { kind, on }] of Object.entries(ADVERSARIAL_LOSSES)) {
  const { formula, source } = ADVERSARIAL_FORMULAS[kind];
  defineLoss(name, adversarialLoss(kind, on), { formula: `${formula}, G = ${on === "samples" ? "F(z_t, 0, y)" : "x_hat where t (t - r) / r <= correctionLimit"}`, source });
}
