import { jvp } from "./engine/jvp";
import { tf } from "./engine/tf";
import { stopGradient } from "./layers";
import { latentAt, perSample, velocity } from "./trajectory";

/** The network as the objective sees it: latents [B, h, w, c], r [B], class labels y int32 [B] -> images [B, H, W, 3]. */
export type ImageField = (zT: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D) => tf.Tensor4D;

/** One batch of training data with its noise and times; in the order of sampleTimes(): r = 0, other r < t, r = t. */
export interface Batch {
  /** Images [B, H, W, 3] in [-1, 1]. */
  x0: tf.Tensor4D;
  /** Their normalised latents [B, h, w, c]. */
  z: tf.Tensor4D;
  /** Noise [B, h, w, c]. */
  eps: tf.Tensor4D;
  /** Times [B], 0 <= r <= t <= 1, t > 0. */
  r: tf.Tensor1D;
  t: tf.Tensor1D;
  /** Class labels, int32 [B]. */
  y: tf.Tensor1D;
}

/** The network's images and their derivative along the trajectory. */
export interface FieldAlongTrajectory {
  /** F(zT, r, y) [B, H, W, 3]; gradients flow through it. */
  F: tf.Tensor4D;
  /** dF/dt [B, H, W, 3], zero on the diagonal; no gradient flows through it (the sg of eq. 11'). */
  dFdt: tf.Tensor4D;
}

/**
 * The network's images, and their derivative along the latent trajectory, dF/dt = J_z F . v, with r and y held fixed.
 * The derivative is computed for the off-diagonal samples alone, since where r = t the objective multiplies it by zero; it comes with
 * those samples' images, which forward mode evaluates anyway, so that each sample passes through the network once.
 * @param field the network
 * @param zT latents [B, h, w, c]
 * @param v velocities [B, h, w, c]
 * @param offDiagonal how many samples, from the first, have r < t
 * @param without how many of these, from the first, need no derivative; theirs is zero
 */
export function fieldAlongTrajectory(field: ImageField, zT: tf.Tensor4D, v: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D, offDiagonal: number, without = 0): FieldAlongTrajectory {
  const [batchSize, count] = [zT.shape[0], offDiagonal - without];
  if (count === 0) {
    const F = field(zT, r, y);
    return { F, dFdt: tf.zerosLike(F) };
  }
  const inner = <T extends tf.Tensor>(tensor: T): T => (count === batchSize ? tensor : tf.slice(tensor, without, count));
  const [rInner, yInner] = [inner(r), inner(y)];
  const { value, tangent } = jvp((latents: tf.Tensor) => field(latents as tf.Tensor4D, rInner, yInner), [inner(zT)], [inner(v)]);
  if (count === batchSize) return { F: value, dFdt: tangent };
  const outer = <T extends tf.Tensor>(tensor: T): T => (without === 0 ? tf.slice(tensor, offDiagonal) : tf.concat([tf.slice(tensor, 0, without), tf.slice(tensor, offDiagonal)], 0));
  const others = field(outer(zT), outer(r), outer(y));
  const around = (middle: tf.Tensor4D, ends: tf.Tensor4D): tf.Tensor4D => (without === 0 ? tf.concat([middle, ends], 0) : tf.concat([tf.slice(ends, 0, without), middle, tf.slice(ends, without)], 0));
  return { F: around(value, others), dFdt: around(tangent, tf.zeros(others.shape)) };
}

/**
 * The residual of the target field (eq. 11'): R = (r / t^2) (F - x0) + (1 - r / t) sg(dF/dt).
 * Its mean over the data is zero exactly where r F + t (t - r) dF/dt = r E[x0 | z_t].
 * @param F predicted images [B, H, W, 3]
 * @param x0 target images [B, H, W, 3]
 * @param dFdt derivative along the trajectory [B, H, W, 3], not differentiated
 * @returns residual [B, H, W, 3]
 */
export function residualOf(F: tf.Tensor4D, x0: tf.Tensor4D, dFdt: tf.Tensor4D, r: tf.Tensor1D, t: tf.Tensor1D): tf.Tensor4D {
  const [rImage, tImage] = [perSample(r), perSample(t)];
  const reconstruction = tf.mul(tf.div(rImage, tf.square(tImage)), tf.sub(F, x0));
  return tf.add(reconstruction, tf.mul(tf.sub(1, tf.div(rImage, tImage)), dFdt));
}

/** The factor t (t - r) / r of the correction in x_hat, [B]: zero on the diagonal, without bound as r -> 0. */
export function correctionFactor(r: tf.Tensor1D, t: tf.Tensor1D): tf.Tensor1D {
  return tf.div(tf.mul(t, tf.sub(t, r)), r);
}

/**
 * The reconstruction-compatible prediction (eq. 13): x_hat = F + (t (t - r) / r) sg(dF/dt). At the solution E[x_hat | z_t] = E[x0 | z_t],
 * so that losses which compare pictures may take it on every pair (t, r).
 * @param limit largest factor that is applied; beyond it (at r = 0 always) x_hat is F alone, and no loss should compare it with x0
 * @returns xHat [B, H, W, 3]
 */
export function reconstructionPrediction(F: tf.Tensor4D, dFdt: tf.Tensor4D, r: tf.Tensor1D, t: tf.Tensor1D, limit = Infinity): tf.Tensor4D {
  const factor = correctionFactor(r, t);
  const usable = tf.logicalAnd(tf.greater(r, 0), tf.lessEqual(factor, limit));
  return tf.add(F, tf.mul(perSample(tf.where(usable, factor, tf.zerosLike(factor))), dFdt));
}

/** All that the objective computes of a batch, named as in the method; the losses are functions of it. */
export interface ObjectiveTerms extends Batch {
  /** Points of the trajectory [B, h, w, c]. */
  zT: tf.Tensor4D;
  /** Velocities [B, h, w, c]. */
  v: tf.Tensor4D;
  /** The network's images F(zT, r, y) [B, H, W, 3]; gradients flow through it. */
  F: tf.Tensor4D;
  /** dF/dt [B, H, W, 3]; a constant to the gradient. */
  dFdt: tf.Tensor4D;
  residual: tf.Tensor4D;
  xHat: tf.Tensor4D;
  /** What F shall be in the first samples, those with r = 0, [N, H, W, 3], where the configuration's endTarget is not "derivative". */
  endTarget?: tf.Tensor4D;
}

/** Along what, and for which samples, the objective differentiates the network. */
export interface ObjectiveOptions {
  /** Velocities [B, h, w, c] along which dF/dt is taken. Default: the conditional velocity, eps - z. */
  along?: tf.Tensor4D;
  /** How many samples, from the first, have r < t. Default: all. */
  offDiagonal?: number;
  /** Largest correction factor of x_hat. Default: none. */
  correctionLimit?: number;
  /** What F shall be in the first samples, those with r = 0, [N, H, W, 3]; see consistencyTarget(), distillationTarget() and distributionTarget(). Default: none, dF/dt leads them as all others. */
  endTarget?: tf.Tensor4D;
  /** What stands between F and all that is computed of it: it sees the gradient that reaches F. Default: nothing. */
  observe?: (F: tf.Tensor4D) => tf.Tensor4D;
}

/**
 * Computes the terms of the objective; call it inside the function that is differentiated.
 * @param field the network
 * @param batch data, noise and times
 */
export function objectiveTerms(field: ImageField, batch: Batch, options: ObjectiveOptions = {}): ObjectiveTerms {
  const { x0, z, eps, r, t, y } = batch;
  const zT = latentAt(z, eps, t);
  const v = velocity(z, eps);
  const { along = v, offDiagonal = zT.shape[0], correctionLimit = Infinity, endTarget, observe = (images) => images } = options;
  const alongTrajectory = fieldAlongTrajectory(field, zT, along, r, y, offDiagonal, endTarget?.shape[0]);
  const F = observe(alongTrajectory.F);
  const dFdt = endTarget ? withSecants(alongTrajectory.dFdt, F, endTarget, t) : alongTrajectory.dFdt;
  return { ...batch, zT, v, F, dFdt, residual: residualOf(F, x0, dFdt, r, t), xHat: reconstructionPrediction(F, dFdt, r, t, correctionLimit), endTarget };
}

/** Puts (sg(F) - target) / t in place of dF/dt in the first samples: t R is then what F misses of the target. */
function withSecants(dFdt: tf.Tensor4D, F: tf.Tensor4D, target: tf.Tensor4D, t: tf.Tensor1D): tf.Tensor4D {
  const count = target.shape[0];
  const secant = tf.div<tf.Tensor4D>(tf.sub(stopGradient(tf.slice(F, 0, count)), target), perSample(tf.slice(t, 0, count)));
  return count === dFdt.shape[0] ? secant : tf.concat([secant, tf.slice(dFdt, count)], 0);
}
