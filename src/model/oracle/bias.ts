import { tf } from "../engine/tf";
import type { Loss, Terms } from "../losses";
import { reconstructionPrediction, residualOf } from "../objective";
import { randomStream } from "../random";
import type { Oracle } from "./oracle";

export interface BiasOptions {
  /** Points z_t at each pair of times. */
  points: number;
  /** Draws of the data given each z_t. */
  draws: number;
  /** Pairs (r, t), 0 <= r <= t < 1. */
  times: readonly (readonly [r: number, t: number])[];
  seed: number;
  /** Along what F is differentiated: one draw of the velocity (the paper's), or its mean. */
  velocity: "conditional" | "marginal";
}

export const BIAS_DEFAULTS: BiasOptions = { points: 12, draws: 2000, times: [[0.5, 0.5], [0.3, 0.6], [0.2, 0.8], [0.6, 0.9]], seed: 0, velocity: "conditional" };

/** How far a loss is from resting at the exact field. */
export interface ObjectiveBias {
  /** Root mean square, over points and times, of |E[g | z_t]| / sqrt(E[|g|^2 | z_t]), g the gradient that reaches F: 0 for an unbiased loss, 1 where every draw pulls the same way. */
  bias: number;
  /** The value that an unbiased loss would show with so many draws. */
  noise: number;
  /** Whether the bias is more than twice the noise. */
  biased: boolean;
}

/**
 * Whether the exact field is a solution of a loss, without any training: F is set to the exact X(z_t, r, t) with its full derivative along the trajectory, and the gradient that
 * reaches F is averaged over the data given z_t. An unbiased loss pulls nowhere on average; where it does pull, training leaves the exact field.
 * @throws Error when the loss needs features or a critic, which an oracle has not
 */
export function objectiveBias(loss: Loss, oracle: Oracle, options: Partial<BiasOptions> = {}): ObjectiveBias {
  const { points, draws, times, seed, velocity } = { ...BIAS_DEFAULTS, ...options };
  const stream = randomStream(seed, "bias");
  const shares: number[] = [];
  for (const [r, t] of times) {
    for (let point = 0; point < points; point++) {
      const z = oracle.drawLatent(stream);
      const noise = stream.normal(oracle.latentDimension);
      const zT = z.map((value, axis) => (1 - t) * value + t * noise[axis]);
      const latents = Array.from({ length: draws }, () => oracle.drawPosterior(zT, t, stream));
      const mean = oracle.posteriorMean(zT, t);
      const rows = latents.map((latent) => {
        const eps = zT.map((value, axis) => (value - (1 - t) * latent[axis]) / t);
        const v = velocity === "marginal" ? zT.map((value, axis) => (value - mean[axis]) / t) : eps.map((value, axis) => value - latent[axis]);
        return { latent, eps, v };
      });
      shares.push(...pullShares(loss, oracle, zT, r, t, rows));
    }
  }
  const bias = Math.sqrt(shares.reduce((sum, share) => sum + share ** 2, 0) / shares.length);
  const noise = 1 / Math.sqrt(draws);
  return { bias, noise, biased: bias > 2 * noise };
}

interface Draw {
  latent: number[];
  eps: number[];
  v: number[];
}

/** The share of the gradient that does not average out at one z_t. */
function pullShares(loss: Loss, oracle: Oracle, zT: readonly number[], r: number, t: number, rows: readonly Draw[]): number[] {
  const h = 1e-4;
  const X = oracle.averageImage(zT, r, t);
  const shifted = (axis: number, by: number): number[] => zT.map((value, index) => value + (index === axis ? by : 0));
  const difference = (plus: number[], minus: number[], width: number): number[] => plus.map((value, index) => (value - minus[index]) / width);
  const onDiagonal = t - r < 1e-9;
  // Columns of J_z X, and the field's own derivative in t: together dX/dt along any velocity.
  const columns = zT.map((_, axis) => difference(oracle.averageImage(shifted(axis, h), r, t), oracle.averageImage(shifted(axis, -h), r, t), 2 * h));
  const own = onDiagonal ? X.map(() => 0) : difference(oracle.averageImage(zT, r, t + h), oracle.averageImage(zT, r, t - h), 2 * h);
  const derivative = ({ v }: Draw): number[] => (onDiagonal ? own : own.map((value, pixel) => value + columns.reduce((sum, column, axis) => sum + column[pixel] * v[axis], 0)));
  return tf.tidy(() => {
    const [count, d, D] = [rows.length, zT.length, X.length];
    const latentTensor = (pick: (row: Draw) => readonly number[]): tf.Tensor4D => tf.tensor4d(rows.flatMap((row) => [...pick(row)]), [count, 1, 1, d]);
    const imageTensor = (pick: (row: Draw) => readonly number[]): tf.Tensor4D => tf.tensor4d(rows.flatMap((row) => [...pick(row)]), [count, 1, 1, D]);
    const batch = {
      x0: imageTensor(({ latent }) => oracle.image(latent)),
      z: latentTensor(({ latent }) => latent),
      eps: latentTensor(({ eps }) => eps),
      v: latentTensor(({ v }) => v),
      zT: latentTensor(() => zT),
      dFdt: imageTensor(derivative),
      r: tf.fill([count], r) as tf.Tensor1D,
      t: tf.fill([count], t) as tf.Tensor1D,
      y: tf.zeros([count], "int32") as tf.Tensor1D,
    };
    const gradient = tf.grad((F) => loss(oracleTerms(batch, F as tf.Tensor4D)))(imageTensor(() => X)).reshape([count, D]);
    const pull = tf.norm(tf.mean(gradient, 0));
    const size = tf.sqrt(tf.mean(tf.sum(tf.square(gradient), 1)));
    const [share] = tf.div(pull, tf.add(size, 1e-12)).dataSync();
    return [share];
  });
}

/** The terms of an oracle's batch as a loss sees them. */
export function oracleTerms(batch: Omit<Terms, "F" | "residual" | "xHat" | "samples" | "features" | "critic" | "correctionLimit">, F: tf.Tensor4D, correctionLimit = 1): Terms {
  const { x0, dFdt, r, t, y } = batch;
  const missing = (what: string) => (): never => {
    throw new Error(`an oracle has no ${what}: score losses of the residual and of pictures`);
  };
  return { ...batch, F, residual: residualOf(F, x0, dFdt, r, t), xHat: reconstructionPrediction(F, dFdt, r, t, correctionLimit), samples: { images: F, real: x0, y }, features: missing("feature network"), critic: missing("critic"), correctionLimit };
}
