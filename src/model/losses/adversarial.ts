import type { Scores } from "../critic";
import { tf } from "../engine/tf";
import { balanced } from "./balance";
import type { CriticScore, Loss } from "./index";

/** "relativistic": a sample shall look more real than the real image of its class (Jolicoeur-Martineau, 2018; Huang et al., 2024). "hinge": Lim and Ye, 2017. */
export type AdversarialKind = "relativistic" | "hinge";

const bothScores = (scores: Scores, each: (score: tf.Tensor2D) => tf.Tensor): tf.Scalar => tf.add(tf.mean(each(scores.whole)), tf.mean(each(scores.patches))) as tf.Scalar;
const difference = (first: Scores, second: Scores): Scores => ({ whole: tf.sub(first.whole, second.whole), patches: tf.sub(first.patches, second.patches) });

/**
 * The generator's adversarial loss on samples at r = 0, F(z_t, 0, y): the region that one-step sampling uses and that the pixel loss reaches least.
 * Hinge: -mean D(fake). Relativistic: mean softplus(D(real) - D(fake)). Its gradient is balanced against the pixel loss's.
 * @param kind must be the critic's own kind
 */
export function adversarialLoss(kind: AdversarialKind = "relativistic"): Loss {
  return ({ samples, critic, F }) =>
    balanced(samples.images, F.shape[0], [samples.real, samples.y], (images, [real, y]) => {
      const fake = critic(images, y);
      if (kind === "hinge") return bothScores(fake, (score) => tf.neg(score));
      return bothScores(difference(critic(real, y), fake), (gap) => tf.softplus(gap));
    });
}

/**
 * The critic's loss. Hinge: mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)). Relativistic: mean softplus(D(fake) - D(real)).
 * @param real images of the data [B, H, W, 3], of the same classes as the samples
 * @param fake samples of the network [B, H, W, 3], constants here
 */
export function criticLoss(kind: AdversarialKind, critic: CriticScore, real: tf.Tensor4D, fake: tf.Tensor4D, y: tf.Tensor1D): tf.Scalar {
  const [onReal, onFake] = [critic(real, y), critic(fake, y)];
  if (kind === "relativistic") return bothScores(difference(onFake, onReal), (gap) => tf.softplus(gap));
  return tf.add(bothScores(onReal, (score) => tf.relu(tf.sub(1, score))), bothScores(onFake, (score) => tf.relu(tf.add(1, score)))) as tf.Scalar;
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
