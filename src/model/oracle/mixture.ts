import { componentPosterior, linearImage, type Component, type LinearImage, type Oracle } from "./oracle";

export interface MixtureOracleOptions extends LinearImage {
  components: readonly Component[];
  /** Runge-Kutta steps over the whole trajectory. */
  odeSteps: number;
}

/** Two unequal clusters: given z_t, the latent's distribution is skewed, so that its mean and its median differ. */
export const MIXTURE_ORACLE_DEFAULTS: MixtureOracleOptions = {
  components: [{ share: 0.25, mean: [-1, 0.8], deviation: [0.3, 0.3] }, { share: 0.75, mean: [0.7, -0.4], deviation: [0.4, 0.5] }],
  matrix: [[0.8, 0], [0.3, 0.5], [0, -0.6]],
  offset: [0, 0.05, 0.1],
  odeSteps: 64,
};

/**
 * A data set of normal clusters. E[z | z_t] is in closed form; the trajectory follows from it by the classical Runge-Kutta method (fourth order). In the target field the integral
 * X = r t / (t - r) * integral over [r, t] of E[x0 | z_tau] / tau^2 needs no quadrature: along the trajectory d(z_tau / tau)/dtau = -E[z | z_tau] / tau^2, so that
 * X = A (t z_r - r z_t) / (t - r) + b for any data whose images are linear in the latent.
 */
export function mixtureOracle(options: Partial<MixtureOracleOptions> = {}): Oracle {
  const { components, matrix, offset, odeSteps } = { ...MIXTURE_ORACLE_DEFAULTS, ...options };
  const latentDimension = components[0].mean.length;
  const image = (z: readonly number[]): number[] => linearImage({ matrix, offset }, z);

  const weighted = (zT: readonly number[], t: number): { weight: number; mean: number[]; variance: number[] }[] => {
    const parts = components.map((component) => componentPosterior(component, zT, t));
    const largest = Math.max(...parts.map(({ logWeight }) => logWeight));
    const weights = parts.map(({ logWeight }) => Math.exp(logWeight - largest));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return parts.map(({ mean, variance }, index) => ({ weight: weights[index] / total, mean, variance }));
  };
  const posteriorMean = (zT: readonly number[], t: number): number[] => {
    const parts = weighted(zT, t);
    return zT.map((_, axis) => parts.reduce((sum, { weight, mean }) => sum + weight * mean[axis], 0));
  };
  // eps - z = (z_t - z) / t; at t = 0 the noise is independent of z_t = z, and its mean is 0.
  const velocity = (z: readonly number[], t: number): number[] => {
    const mean = posteriorMean(z, t);
    return z.map((value, axis) => (t < 1e-9 ? -mean[axis] : (value - mean[axis]) / t));
  };
  const alongTrajectory = (z: readonly number[], from: number, to: number): number[] => {
    const steps = Math.max(1, Math.ceil(odeSteps * Math.abs(to - from)));
    const h = (to - from) / steps;
    const moved = (point: readonly number[], slope: readonly number[], by: number): number[] => point.map((value, axis) => value + by * slope[axis]);
    let point = [...z];
    for (let step = 0; step < steps; step++) {
      const t = from + step * h;
      const k1 = velocity(point, t);
      const k2 = velocity(moved(point, k1, h / 2), t + h / 2);
      const k3 = velocity(moved(point, k2, h / 2), t + h / 2);
      const k4 = velocity(moved(point, k3, h), Math.max(0, t + h));
      point = point.map((value, axis) => value + (h / 6) * (k1[axis] + 2 * k2[axis] + 2 * k3[axis] + k4[axis]));
    }
    return point;
  };
  const pick = (weights: readonly number[], uniform: number): number => {
    let rest = uniform * weights.reduce((sum, weight) => sum + weight, 0);
    const index = weights.findIndex((weight) => (rest -= weight) < 0);
    return index < 0 ? weights.length - 1 : index;
  };
  return {
    name: "mixture",
    latentDimension,
    imageDimension: offset.length,
    drawLatent(stream) {
      const { mean, deviation } = components[pick(components.map(({ share }) => share), stream.uniform(1)[0])];
      return Array.from(stream.normal(latentDimension), (value, axis) => mean[axis] + deviation[axis] * value);
    },
    image,
    posteriorMean,
    drawPosterior(zT, t, stream) {
      const parts = weighted(zT, t);
      const { mean, variance } = parts[pick(parts.map(({ weight }) => weight), stream.uniform(1)[0])];
      return Array.from(stream.normal(latentDimension), (value, axis) => mean[axis] + Math.sqrt(variance[axis]) * value);
    },
    alongTrajectory,
    averageImage(zT, r, t) {
      if (t - r < 1e-9) return image(posteriorMean(zT, t));
      const zR = alongTrajectory(zT, t, r);
      return image(zT.map((value, axis) => (t * zR[axis] - r * value) / (t - r)));
    },
  };
}
