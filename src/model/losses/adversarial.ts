import type { Scores } from "../critic";
import { tf } from "../engine/tf";
import { balanced } from "./balance";
import { GATES } from "./gates";
import type { CriticScore, Loss, Terms } from "./index";

/**
 * How critic and network judge each other. "relativistic": a sample shall look more real than the real image of its class (Jolicoeur-Martineau, 2018;
 * Huang et al., 2024). "hinge": Lim and Ye, 2017. "non-saturating": Goodfellow et al., 2014.
 */
export type AdversarialKind = "relativistic" | "hinge" | "non-saturating";

/** Which of the network's pictures the critic sees: one-step samples F(z_t, 0, y) (ours), or x_hat (eq. 13, the paper's) of the pairs with a bounded correction. */
export type AdversarialPictures = "samples" | "xHat";

export interface AdversarialVariant {
  kind: AdversarialKind;
  on: AdversarialPictures;
}

/** The adversarial losses by name; a training takes one of them, since it has one critic. */
export const ADVERSARIAL_LOSSES: Record<string, AdversarialVariant> = {
  adversarial: { kind: "relativistic", on: "samples" },
  "adversarial-hinge": { kind: "hinge", on: "samples" },
  "adversarial-non-saturating": { kind: "non-saturating", on: "samples" },
  "adversarial-x-hat": { kind: "relativistic", on: "xHat" },
  "adversarial-hinge-x-hat": { kind: "hinge", on: "xHat" },
  "adversarial-non-saturating-x-hat": { kind: "non-saturating", on: "xHat" },
};

/** The critic's side of an adversarial loss; that of "adversarial" for a loss of the user's own, whose name begins with that word. */
export function adversarialVariant(name: string): AdversarialVariant {
  return ADVERSARIAL_LOSSES[name] ?? ADVERSARIAL_LOSSES.adversarial;
}

/** What the critic compares: pictures of the network and real ones of the same classes. */
export interface CriticPictures {
  /** [N, H, W, 3] each. */
  images: tf.Tensor4D;
  real: tf.Tensor4D;
  /** Class labels, int32 [N]. */
  y: tf.Tensor1D;
  /** Share with which each pair counts [N]; all alike where absent. */
  counts?: tf.Tensor1D;
}

/** The pictures of one batch that an adversarial loss is about. */
export function criticPictures(on: AdversarialPictures, terms: Omit<Terms, "features" | "critic">): CriticPictures {
  if (on === "samples") return terms.samples;
  return { images: terms.xHat, real: terms.x0, y: terms.y, counts: GATES["bounded correction"](terms.r, terms.t, terms.correctionLimit) };
}

/** Mean of a function of both scores, each image by its share. */
function bothScores(scores: Scores, each: (score: tf.Tensor2D) => tf.Tensor, counts?: tf.Tensor1D): tf.Scalar {
  const mean = (score: tf.Tensor2D): tf.Tensor => {
    if (!counts) return tf.mean(each(score));
    const perImage = tf.mean(each(score), 1); // [N, n] -> [N]
    return tf.div(tf.sum(tf.mul(perImage, counts)), tf.maximum(tf.sum(counts), 1));
  };
  return tf.add(mean(scores.whole), mean(scores.patches)) as tf.Scalar;
}
const difference = (first: Scores, second: Scores): Scores => ({ whole: tf.sub(first.whole, second.whole), patches: tf.sub(first.patches, second.patches) });

/**
 * The network's adversarial loss, by default on samples at r = 0, F(z_t, 0, y): the region that one-step sampling uses and that the pixel loss reaches least.
 * Hinge: -mean D(fake). Non-saturating: mean softplus(-D(fake)). Relativistic: mean softplus(D(real) - D(fake)). Its gradient is balanced against the pixel loss's.
 * @param kind must be the critic's own kind
 * @param on which pictures
 */
export function adversarialLoss(kind: AdversarialKind = "relativistic", on: AdversarialPictures = "samples"): Loss {
  return (terms) => {
    const { images, real, y, counts } = criticPictures(on, terms);
    return balanced(images, terms.F.shape[0], (pictures) => {
      const fake = terms.critic(pictures, y);
      if (kind === "hinge") return bothScores(fake, (score) => tf.neg(score), counts);
      if (kind === "non-saturating") return bothScores(fake, (score) => tf.softplus(tf.neg(score)), counts);
      return bothScores(difference(terms.critic(real, y), fake), (gap) => tf.softplus(gap), counts);
    });
  };
}

/**
 * The critic's loss. Hinge: mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)). Non-saturating: mean softplus(-D(real)) + mean softplus(D(fake)).
 * Relativistic: mean softplus(D(fake) - D(real)).
 * @param real images of the data [B, H, W, 3], of the same classes as the samples
 * @param fake samples of the network [B, H, W, 3], constants here
 * @param counts share with which each pair counts [B]; all alike where absent
 */
export function criticLoss(kind: AdversarialKind, critic: CriticScore, real: tf.Tensor4D, fake: tf.Tensor4D, y: tf.Tensor1D, counts?: tf.Tensor1D): tf.Scalar {
  return criticLossOfScores(kind, critic(real, y), critic(fake, y), counts);
}

/** The same from scores that are there already. */
export function criticLossOfScores(kind: AdversarialKind, onReal: Scores, onFake: Scores, counts?: tf.Tensor1D): tf.Scalar {
  if (kind === "relativistic") return bothScores(difference(onFake, onReal), (gap) => tf.softplus(gap), counts);
  const [realTerm, fakeTerm] =
    kind === "hinge" ? [(score: tf.Tensor2D) => tf.relu(tf.sub(1, score)), (score: tf.Tensor2D) => tf.relu(tf.add(1, score))] : [(score: tf.Tensor2D) => tf.softplus(tf.neg(score)), (score: tf.Tensor2D) => tf.softplus(score)];
  return tf.add(bothScores(onReal, realTerm, counts), bothScores(onFake, fakeTerm, counts)) as tf.Scalar;
}

/**
 * The critic's gradient penalty without a second derivative: E[(D(x + s n) - D(x))^2] / s^2 is the squared norm of D's gradient at x, up to O(s),
 * which is R1 on real images and R2 on samples (Mescheder et al., 2018).
 * @param images [B, H, W, 3]
 * @param noise standard normal, of the same shape
 * @param size s, in units of the images' range [-1, 1]
 */
export function gradientPenalty(critic: CriticScore, images: tf.Tensor4D, noise: tf.Tensor4D, y: tf.Tensor1D, size: number): tf.Scalar {
  const step = difference(critic(tf.add(images, tf.mul(size, noise)), y), critic(images, y));
  return bothScores(step, (change) => tf.square(tf.div(change, size)));
}
