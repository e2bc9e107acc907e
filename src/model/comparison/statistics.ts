import { randomStream } from "../random";

/** A two-sided test of paired differences against a mean of zero. */
export interface PairedTest {
  /** Mean difference over its standard error; infinite where all differences are equal and not zero. */
  statistic: number;
  degreesOfFreedom: number;
  /** Probability of a statistic at least as far from zero if there were no difference; NaN with fewer than two differences. */
  pValue: number;
}

/** Differences of equal numbers differ by so much of themselves at most. */
const ROUNDING = 1e-9;

/**
 * Student's paired t test (1908): the differences of two variants at equal seeds against a mean of zero, two-sided.
 * Assumes differences that are about normal, which few seeds can not show; signFlipTest() assumes symmetry alone.
 * @param differences one a seed
 */
export function pairedTTest(differences: ArrayLike<number>): PairedTest {
  const { count, mean, standardError } = momentsOf(differences);
  const degreesOfFreedom = count - 1;
  if (count < 2) return { statistic: NaN, degreesOfFreedom, pValue: NaN };
  if (standardError <= ROUNDING * Math.abs(mean)) return mean === 0 ? { statistic: 0, degreesOfFreedom, pValue: 1 } : { statistic: Math.sign(mean) * Infinity, degreesOfFreedom, pValue: 0 };
  const statistic = mean / standardError;
  return { statistic, degreesOfFreedom, pValue: studentTwoSided(statistic, degreesOfFreedom) };
}

/**
 * Student's interval of the mean of differences: mean -+ t standard errors.
 * @param confidence share of such intervals that hold the true mean, if the differences are normal
 * @returns low and high; unbounded with fewer than two differences
 */
export function studentInterval(differences: ArrayLike<number>, confidence = 0.95): [low: number, high: number] {
  const { count, mean, standardError } = momentsOf(differences);
  if (count < 2) return [-Infinity, Infinity];
  const reach = studentQuantile(1 - confidence, count - 1) * standardError;
  return [mean - reach, mean + reach];
}

export interface SignFlipOptions {
  /** Up to so many differences all 2^n sign patterns are counted; beyond, a sample of them. Default 16. */
  exactUpTo?: number;
  /** Patterns in the sample. Default 20,000. */
  draws?: number;
  /** Of the sample. Default 0. */
  seed?: number;
}

/**
 * Fisher's sign-flip permutation test (1935): if the two variants were alike, each difference could as well have had the other sign. The p value is the share
 * of sign patterns whose mean lies at least as far from zero as the one seen, so it is at least 2 / 2^n: five seeds can not go below 0.0625.
 * @returns the two-sided p value; NaN without differences
 */
export function signFlipTest(differences: ArrayLike<number>, options: SignFlipOptions = {}): number {
  const { exactUpTo = 16, draws = 20_000, seed = 0 } = options;
  const count = differences.length;
  if (count === 0) return NaN;
  const values = Array.from(differences);
  const seen = Math.abs(values.reduce((sum, value) => sum + value, 0));
  // Sums of the same numbers in another order differ by rounding, and count as equal.
  const threshold = seen - 1e-12 * values.reduce((sum, value) => sum + Math.abs(value), 0);
  if (count <= exactUpTo) {
    let extreme = 0;
    for (let pattern = 0; pattern < 2 ** count; pattern++) {
      const sum = values.reduce((total, value, index) => total + ((pattern >> index) & 1 ? value : -value), 0);
      if (Math.abs(sum) >= threshold) extreme++;
    }
    return extreme / 2 ** count;
  }
  const stream = randomStream(seed, "sign flips");
  let extreme = 1; // the pattern that was seen is one of them (Phipson and Smyth, 2010)
  for (let draw = 0; draw < draws; draw++) {
    const signs = stream.integers(count, 2);
    if (Math.abs(values.reduce((total, value, index) => total + (signs[index] ? value : -value), 0)) >= threshold) extreme++;
  }
  return extreme / (draws + 1);
}

/**
 * Holm's correction (1979): p values such that rejecting all below a level keeps the chance of any false rejection among them below that level, whatever their dependence.
 * The k-th smallest of m is multiplied by m - k + 1; then none may be smaller than one before it, nor above 1.
 * @param pValues of the whole family of comparisons; NaN (no test) stays NaN and does not count
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, index) => index).filter((index) => !Number.isNaN(pValues[index])).sort((a, b) => pValues[a] - pValues[b]);
  const adjusted = pValues.map(() => NaN);
  let largest = 0;
  order.forEach((index, rank) => {
    largest = Math.max(largest, Math.min(1, (order.length - rank) * pValues[index]));
    adjusted[index] = largest;
  });
  return adjusted;
}

function momentsOf(values: ArrayLike<number>): { count: number; mean: number; standardError: number } {
  const list = Array.from(values);
  const count = list.length;
  const mean = list.reduce((sum, value) => sum + value, 0) / count;
  const squares = list.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { count, mean, standardError: Math.sqrt(squares / (count - 1) / count) };
}

/** P(|T| >= |t|) of Student's distribution: the regularised incomplete beta function I_x(n / 2, 1 / 2) at x = n / (n + t^2). */
export function studentTwoSided(t: number, degreesOfFreedom: number): number {
  return incompleteBeta(degreesOfFreedom / (degreesOfFreedom + t * t), degreesOfFreedom / 2, 0.5);
}

/** The t beyond which, on both sides, lies the given share; by bisection. */
function studentQuantile(share: number, degreesOfFreedom: number): number {
  let [low, high] = [0, 1];
  while (studentTwoSided(high, degreesOfFreedom) > share) high *= 2;
  for (let step = 0; step < 100; step++) {
    const middle = (low + high) / 2;
    if (studentTwoSided(middle, degreesOfFreedom) > share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const CONTINUED_FRACTION_TERMS = 400;

/** The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun, 26.5.8) with Lentz's method. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast on one side of the mean only; the other follows by symmetry.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
  const tiny = 1e-300;
  const nonzero = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / nonzero(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= CONTINUED_FRACTION_TERMS; m++) {
    for (const term of [(m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)), (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1))]) {
      d = 1 / nonzero(1 + term * d);
      c = nonzero(1 + term / c);
      fraction *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * fraction;
}

/** ln Gamma(x) for x > 0: Stirling's series (Abramowitz and Stegun, 6.1.41) after raising x above 10. */
function logGamma(x: number): number {
  let shift = 0;
  for (; x < 10; x++) shift -= Math.log(x);
  const inverse = 1 / x;
  const square = inverse * inverse;
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))));
  return shift + (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series;
}
