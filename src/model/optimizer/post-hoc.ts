import { Matrix, solve } from "ml-matrix";
import { powerOfSpread } from "./ema";

/**
 * The relative spreads of the two averages that snapshots keep. Their profiles differ enough to span what lies between and around them, over the steps of several snapshots
 * (Karras et al., 2024, Sec. 3.2).
 */
export const SNAPSHOT_SPREADS = [0.05, 0.1] as const;

/** An average of the weights by a power profile: weights of step tau count by tau^gamma, up to a step. */
export interface PowerProfile {
  /** The step of the last weights in it, at least 1. */
  step: number;
  /** Its relative spread, above 0 and at most LARGEST_SPREAD, which gives gamma. @see powerOfSpread */
  spread: number;
}

/** tau^gamma up to a step, which is what a relative spread means. */
interface Powered {
  step: number;
  gamma: number;
}

const powered = ({ step, spread }: PowerProfile): Powered => ({ step, gamma: powerOfSpread(spread) });

/**
 * The inner product of two profiles p(tau) = (gamma + 1) tau^gamma / step^(gamma + 1) on [0, step], zero after it: the integral over tau of their product,
 * (gamma_a + 1)(gamma_b + 1) / (gamma_a + gamma_b + 1) * step_a^gamma_b / step_b^(gamma_b + 1) for step_a <= step_b (Karras et al., 2024, App. C).
 */
function profileProduct(one: Powered, other: Powered): number {
  const [{ step: first, gamma: a }, { step: second, gamma: b }] = one.step <= other.step ? [one, other] : [other, one];
  return (((a + 1) * (b + 1)) / (a + b + 1)) * ((first / second) ** b / second);
}

/** An average as a sum of stored ones. */
export interface PostHocAverage {
  /** The factor of each stored average, in their order; they sum to 1. */
  coefficients: number[];
  /** How far the profile of the sum is from the wanted one: the norm of their difference, as a share of the wanted profile's norm. */
  profileError: number;
}

/**
 * The factors with which stored averages sum to one of another spread or step: those whose profile is nearest to the wanted one by least squares (Karras et al., 2024,
 * Sec. 3.2 and App. C), among those that sum to 1 (ours: weights that never changed are then kept as they are, however few averages are stored).
 * The averages of a training, which move once a step, are the same sums of the weights as the profiles integrated over each step, so the nearest profile serves them too.
 * @param stored at least one; those of later steps than the wanted one may not be among them
 * @param wanted step and spread of the average asked for
 * @throws RangeError when nothing is stored, a spread is out of range, or a stored average ends after the wanted step
 */
export function postHocCoefficients(stored: readonly PowerProfile[], wanted: PowerProfile): PostHocAverage {
  if (stored.length === 0) throw new RangeError("an average needs at least one stored average to be made of");
  const after = stored.find(({ step }) => step > wanted.step);
  if (after) throw new RangeError(`the average up to step ${wanted.step} can not be made of one that ends in step ${after.step}`);
  const count = stored.length;
  const [profiles, target] = [stored.map(powered), powered(wanted)];
  // Profiles of norm 1: those of early steps are higher and narrower, and would otherwise lead the sums.
  const norms = profiles.map((profile) => Math.sqrt(profileProduct(profile, profile)));
  const product = (row: number, column: number): number => profileProduct(profiles[row], profiles[column]) / (norms[row] * norms[column]);
  const shares = norms.map((norm) => 1 / norm);
  const scale = Math.max(...shares);
  const toWanted = profiles.map((profile, row) => profileProduct(profile, target) / norms[row]);
  const wantedNorm = Math.sqrt(profileProduct(target, target));
  // Least squares under one linear condition: the products, bordered by the condition and its multiplier.
  const system = Array.from({ length: count + 1 }, (_, row) => Array.from({ length: count + 1 }, (_, column) => (row < count && column < count ? product(row, column) : row === column ? 0 : shares[Math.min(row, column)] / scale)));
  const solution = solve(new Matrix(system), Matrix.columnVector([...toWanted, 1 / scale])).to1DArray().slice(0, count);
  const squared = solution.reduce((sum, value, row) => sum + value * (solution.reduce((inner, other, column) => inner + product(row, column) * other, 0) - 2 * toWanted[row]), wantedNorm ** 2);
  return { coefficients: solution.map((value, index) => value / norms[index]), profileError: Math.sqrt(Math.max(0, squared)) / wantedNorm };
}
