import { tf } from "../engine/tf";

/** How the average of the weights forgets. */
export interface AverageOptions {
  /** One of {@link AVERAGE_KINDS}. */
  emaKind: string;
  /** "constant": share of the average that stays at each step, in the end. */
  emaDecay: number;
  /** "half-life": steps after which a weight counts half, in the end. */
  emaHalfLife: number;
  /** "half-life": the half-life is at most this share of the steps so far. */
  emaRampShare: number;
  /** "power": width of the profile of the average beside the length of the training. */
  emaRelativeSpread: number;
}

type Decay = (step: number, options: AverageOptions) => number;

/** (1 + step) / (10 + step) until that exceeds the final decay, so that early weights are forgotten. */
const constant: Decay = (step, { emaDecay }) => Math.min(emaDecay, (1 + step) / (10 + step));

/** 2^(-1 / h), h = min(half-life, ramp share (1 + step)): the average spans the same share of a young training (StyleGAN2-ADA, Karras et al., 2020). */
const halfLife: Decay = (step, { emaHalfLife, emaRampShare }) => 0.5 ** (1 / Math.min(emaHalfLife, emaRampShare * (1 + step)));

/** (1 - 1 / (1 + step))^(gamma + 1): weights count by the power gamma of their step, whatever the training's length (Karras et al., 2024, arXiv 2312.02696). */
const power: Decay = (step, { emaRelativeSpread }) => powerDecayAt(step, emaRelativeSpread);

/** The averages by name. */
export const AVERAGE_KINDS = { constant, "half-life": halfLife, power } as const satisfies Record<string, Decay>;

/** Largest relative spread that a power profile can have: that of gamma = 0, the plain mean of all weights. */
export const LARGEST_SPREAD = 1 / Math.sqrt(12);

/** The relative spread of a profile tau^gamma on [0, 1]: its standard deviation, sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2) (Karras et al., 2024). */
export function spreadOfPower(gamma: number): number {
  return Math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2);
}

/**
 * The power gamma of the profile of a given relative spread.
 * @throws RangeError when the spread is not above 0 and at most 0.288...
 */
export function powerOfSpread(spread: number): number {
  if (!(spread > 0 && spread <= LARGEST_SPREAD)) throw new RangeError(`a relative spread lies above 0 and is at most ${LARGEST_SPREAD.toFixed(4)}, not ${spread}`);
  let [low, high] = [0, 1 / spread];
  // The spread falls with gamma, and is below 1 / gamma: bisection to the last digit.
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2;
    if (spreadOfPower(middle) > spread) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/**
 * The share of an average by a power profile that stays at a step, (1 - 1 / (1 + step))^(gamma + 1). After n steps the weights of step i, from 1, count
 * (i^(gamma + 1) - (i - 1)^(gamma + 1)) / n^(gamma + 1): the profile's integral over that step.
 * @param step 0 at the first update, of which the average keeps nothing older
 * @param spread of the profile, above 0 and at most LARGEST_SPREAD
 */
export function powerDecayAt(step: number, spread: number): number {
  return (1 - 1 / (1 + step)) ** (powerOfSpread(spread) + 1);
}

/**
 * The share of the average that stays at a step.
 * @param step 0 at the first update
 * @returns a number in [0, 1)
 */
export function emaDecayAt(step: number, options: AverageOptions): number {
  return AVERAGE_KINDS[options.emaKind as keyof typeof AVERAGE_KINDS](step, options);
}

/**
 * Moves averaged parameters towards the current ones, in place: average = decay average + (1 - decay) parameter.
 * @param averages of these parameters at least; others stay
 * @param decay scalar in [0, 1)
 */
export function updateEma(averages: Record<string, tf.Variable>, parameters: Record<string, tf.Tensor>, decay: tf.Scalar): void {
  for (const [name, parameter] of Object.entries(parameters)) tf.tidy(() => averages[name].assign(tf.add(tf.mul(averages[name], decay), tf.mul(parameter, tf.sub(1, decay)))));
}
