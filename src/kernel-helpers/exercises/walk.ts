import { pairedTTest } from "../../model/comparison/statistics";
import { defineExercise, type Exercise } from "./exercise";

const pairs = (...inputs: readonly (readonly unknown[])[]): readonly (readonly unknown[])[] => inputs;
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The exercises of the notebooks, in their order. Formulas in plain numbers, so that a mistake can be told by its result. */
export const WALK_EXERCISES: readonly Exercise[] = [
  {
    name: "compression",
    task: "How many times fewer numbers has a latent [8, 8, 4] than its image [32, 32, 3]?",
    inputs: [],
    solution: () => 12,
    mistakes: [
      { answer: () => 16, advice: "you compared the places (32 x 32 against 8 x 8); count the channels too." },
      { answer: () => 1 / 12, advice: "that is the latent's share of the image; the question is how many times fewer." },
      { answer: () => 4, advice: "that is the factor along one side; an image has two sides, and channels." },
    ],
    hints: ["Count the numbers in one image and in one latent.", "32 * 32 * 3 divided by 8 * 8 * 4."],
  },
  {
    name: "normalise",
    task: "Write the latent's number z from the encoder's e and its channel's mean and standard deviation.",
    inputs: pairs([3, 1, 2], [-1, 0.5, 0.25], [0, 2, 4]),
    solution: (e: number, average: number, deviation: number) => (e - average) / deviation,
    mistakes: [
      { answer: (e: number, average: number, deviation: number) => e * deviation + average, advice: "that is the way back, from z to e." },
      { answer: (e: number, average: number, deviation: number) => (e - average) / deviation ** 2, advice: "you divided by the variance; the deviation brings z to deviation 1." },
      { answer: (e: number, average: number, deviation: number) => e / deviation - average, advice: "subtract the mean before you divide." },
      { answer: (e: number, _: number, deviation: number) => e / deviation, advice: "the mean is missing: z would not be centred at 0." },
    ],
    hints: ["After it, the channel has mean 0 and deviation 1.", "First move, then scale: subtract the mean, divide by the deviation."],
  },
  {
    name: "psnr",
    task: "Write the peak signal-to-noise ratio in decibel from the mean squared error of images in [-1, 1].",
    inputs: pairs([0.01], [0.04], [0.5]),
    solution: (error: number) => 10 * Math.log10(4 / error),
    mistakes: [
      { answer: (error: number) => 10 * Math.log10(1 / error), advice: "6 dB short: the peak from -1 to 1 is 2, and 2 squared is 4. This is typical of code written for [0, 1]." },
      { answer: (error: number) => 10 * Math.log(4 / error), advice: "decibel take the decimal logarithm, Math.log10." },
      { answer: (error: number) => 20 * Math.log10(4 / error), advice: "20 log10 goes with amplitudes; the error is already squared, so it is 10." },
      { answer: (error: number) => 10 * Math.log10(error / 4), advice: "upside down: a smaller error is a higher PSNR." },
    ],
    hints: ["It compares the squared range of the values with the squared error.", "Values in [-1, 1] have the range 2: 10 log10(2^2 / error)."],
  },
  {
    name: "trajectory",
    task: "Write z_t from z, eps and t.",
    inputs: pairs([1, -2, 0.25], [0.5, 3, 0], [2, -1, 1], [0, 1, 0.6]),
    solution: (z: number, eps: number, t: number) => (1 - t) * z + t * eps,
    mistakes: [
      { answer: (z: number, eps: number, t: number) => t * z + (1 - t) * eps, advice: "noise and latent are exchanged: here t = 0 is the clean latent. Other papers have it the other way round." },
      { answer: (z: number, eps: number, t: number) => Math.cos((Math.PI / 2) * t) * z + Math.sin((Math.PI / 2) * t) * eps, advice: "that is the arc of other diffusion models; this path is a straight line." },
      { answer: (z: number, eps: number, t: number) => z + t * eps, advice: "the latent has to fade as the noise comes: its weight is 1 - t." },
    ],
    hints: ["At t = 0 it is z, at t = 1 it is eps.", "A straight line between the two: the weights add up to 1."],
  },
  {
    name: "velocity",
    task: "Write the derivative of z_t with respect to t, from z and eps.",
    inputs: pairs([1, -2], [0.5, 3], [2, 2.5]),
    solution: (z: number, eps: number) => eps - z,
    mistakes: [{ answer: (z: number, eps: number) => z - eps, advice: "the sign is wrong: with growing t the point moves towards the noise." }, { answer: (z: number, eps: number) => eps + z, advice: "d/dt of (1 - t) z is -z." }],
    hints: ["Differentiate (1 - t) z + t eps.", "It does not depend on t."],
  },
  {
    name: "time-shift",
    task: "Write the shifted time from u and the shift s.",
    inputs: pairs([0.5, 0.25], [0.2, 2], [0.9, 0.5], [1, 3]),
    solution: (u: number, s: number) => (s * u) / (1 + (s - 1) * u),
    mistakes: [
      { answer: (u: number, s: number) => s * u, advice: "with s above 1 that leaves [0, 1]; the denominator brings 1 back to 1." },
      { answer: (u: number, s: number) => (s * u) / (1 + s * u), advice: "at u = 1 it has to be 1: the denominator has s - 1, not s." },
      { answer: (u: number, s: number) => u / (s + (1 - s) * u), advice: "that is the inverse, a shift by 1 / s." },
    ],
    hints: ["It must map 0 to 0 and 1 to 1.", "s u / (1 + (s - 1) u)."],
  },
  {
    name: "derivative",
    task: "Write a central difference of f at x with step h.",
    inputs: pairs([(x: number) => x ** 2, 3, 0.5], [(x: number) => x ** 3, 1, 0.5], [(x: number) => Math.exp(x), 0, 0.5]),
    solution: (f: (x: number) => number, x: number, h: number) => (f(x + h) - f(x - h)) / (2 * h),
    mistakes: [
      { answer: (f: (x: number) => number, x: number, h: number) => (f(x + h) - f(x)) / h, advice: "that is the forward difference; its error is of order h, the central one's of order h^2." },
      { answer: (f: (x: number) => number, x: number, h: number) => (f(x + h) - f(x - h)) / h, advice: "the two points lie 2 h apart: everything is twice too large." },
      { answer: (f: (x: number) => number, x: number, h: number) => (f(x) - f(x - h)) / h, advice: "that is the backward difference; take a point on each side." },
    ],
    hints: ["One point on each side of x.", "Rise over run: the run is 2 h."],
  },
  {
    name: "residual",
    task: "Write the residual R (eq. 11') of one pixel from F, x0, dFdt, r and t.",
    inputs: pairs([0.8, 0.5, 2, 0.3, 0.7], [-0.2, 0.1, -1, 0.5, 0.5], [0.4, -0.6, 0.5, 0.1, 0.9]),
    solution: (F: number, x0: number, dFdt: number, r: number, t: number) => (r / t ** 2) * (F - x0) + (1 - r / t) * dFdt,
    mistakes: [
      { answer: (F: number, x0: number, dFdt: number, r: number, t: number) => (r / t) * (F - x0) + (1 - r / t) * dFdt, advice: "the first factor is r / t^2: the equation was divided by t once more than you did." },
      { answer: (F: number, x0: number, dFdt: number, r: number, t: number) => (r / t ** 2) * (F - x0) + dFdt, advice: "the derivative's factor 1 - r / t is missing. At r = t it must vanish." },
      { answer: (F: number, x0: number, dFdt: number, r: number, t: number) => (r / t ** 2) * (x0 - F) + (1 - r / t) * dFdt, advice: "F - x0, not x0 - F: the two terms would no longer balance." },
      { answer: (F: number, x0: number, dFdt: number, r: number, t: number) => (r / t ** 2) * (F - x0) - (1 - r / t) * dFdt, advice: "the derivative is added: F on the trajectory has to fall where it lies above its target." },
      { answer: (F: number, x0: number, dFdt: number, r: number, t: number) => (t / r ** 2) * (F - x0) + (1 - t / r) * dFdt, advice: "r and t are exchanged; r is the smaller one." },
    ],
    hints: ["Start from r X + t (t - r) dX/dt = r E[x0 | z_t] with F for X and x0 for its mean.", "Bring everything to one side and divide by t^2.", "(r / t^2) (F - x0) + (1 - r / t) dF/dt."],
  },
  {
    name: "x-hat",
    task: "Write the reconstruction-compatible prediction x_hat (eq. 13) of one pixel from F, dFdt, r and t.",
    inputs: pairs([0.8, 2, 0.3, 0.7], [-0.2, -1, 0.5, 0.5], [0.4, 0.5, 0.1, 0.9]),
    solution: (F: number, dFdt: number, r: number, t: number) => F + ((t * (t - r)) / r) * dFdt,
    mistakes: [
      { answer: (F: number, dFdt: number, r: number, t: number) => F + t * (t - r) * dFdt, advice: "the division by r is missing. With it the mean of x_hat is the mean of x0." },
      { answer: (F: number, dFdt: number, r: number, t: number) => F + ((t - r) / r) * dFdt, advice: "the factor t is missing." },
      { answer: (F: number, dFdt: number, r: number, t: number) => F - ((t * (t - r)) / r) * dFdt, advice: "the correction is added, not subtracted." },
    ],
    hints: ["Solve the field equation for E[x0 | z_t].", "Divide r X + t (t - r) dX/dt by r."],
  },
  {
    name: "average",
    task: "Write the next averaged weight from the average, the weight and the decay.",
    inputs: pairs([1, 3, 0.9], [0, 2, 0.5], [-1, 1, 0.99]),
    solution: (average: number, weight: number, decay: number) => decay * average + (1 - decay) * weight,
    mistakes: [
      { answer: (average: number, weight: number, decay: number) => (1 - decay) * average + decay * weight, advice: "the shares are exchanged: with a decay of 0.99 the average moves by a hundredth, not by 99." },
      { answer: (average: number, weight: number, decay: number) => decay * average + weight, advice: "the new weight needs the share 1 - decay, or the average grows without end." },
    ],
    hints: ["A decay of 1 keeps the average as it is.", "Both shares add up to 1."],
  },
  {
    name: "adaptive-weight",
    task: "Write MeanFlow's adaptive weight from a sample's loss, c and p.",
    inputs: pairs([0.5, 0.001, 0.5], [2, 0.01, 1], [0.1, 0.1, 0.75]),
    solution: (loss: number, c: number, p: number) => 1 / (loss + c) ** p,
    mistakes: [
      { answer: (loss: number, c: number, p: number) => (loss + c) ** p, advice: "upside down: a large loss is to weigh less." },
      { answer: (loss: number, c: number, p: number) => 1 / (loss ** p + c), advice: "c stands inside the power." },
      { answer: (loss: number, c: number) => 1 / (loss + c), advice: "the power p is missing." },
    ],
    hints: ["The larger a sample's loss, the smaller its weight.", "1 / (loss + c)^p."],
  },
  {
    name: "arc",
    task: "Write the share of the second noise at place a of the arc, so that the walk keeps the noise's length. The first one's is cos(a pi / 2).",
    inputs: pairs([0], [0.25], [0.5], [1]),
    solution: (a: number) => Math.sin((Math.PI / 2) * a),
    mistakes: [
      { answer: (a: number) => a, advice: "on a straight line the middle is too short: two independent noises at one half each have only 0.71 of the deviation." },
      { answer: (a: number) => 1 - Math.cos((Math.PI / 2) * a), advice: "the squares of the shares have to add up to 1, not the shares." },
    ],
    hints: ["The variances add: share1^2 + share2^2 = 1.", "What goes with a cosine so that the squares add up to 1?"],
  },
  {
    name: "accuracy",
    task: "Write the share of samples that are judged as asked, from the list of classes seen and the list of classes asked for.",
    inputs: pairs([[0, 1, 2, 2], [0, 1, 2, 3]], [[1, 1, 1], [0, 1, 1]], [[5], [4]]),
    solution: (seen: readonly number[], asked: readonly number[]) => mean(seen.map((value, index) => Number(value === asked[index]))),
    mistakes: [
      { answer: (seen: readonly number[], asked: readonly number[]) => seen.filter((value, index) => value === asked[index]).length, advice: "that is how many; the share is that divided by all." },
      { answer: (seen: readonly number[], asked: readonly number[]) => mean(seen.map((value, index) => Number(value !== asked[index]))), advice: "that is the share of errors." },
    ],
    hints: ["Compare the lists place by place.", "seen.filter((value, index) => value === asked[index]).length, divided by the length."],
  },
  {
    name: "posterior-mean",
    task: "For z ~ N(m, s^2) in one dimension, write E[z | z_t = x] from x, t, m and s.",
    inputs: pairs([0.5, 0.3, 1.5, 0.4], [-1, 0.9, 1.5, 0.4], [2, 0.5, 0, 1]),
    solution: (x: number, t: number, m: number, s: number) => m + (((1 - t) * s ** 2) / ((1 - t) ** 2 * s ** 2 + t ** 2)) * (x - (1 - t) * m),
    mistakes: [
      { answer: (x: number, t: number, m: number, s: number) => m + (((1 - t) * s ** 2) / ((1 - t) ** 2 * s ** 2 + t ** 2)) * (x - m), advice: "z_t has the mean (1 - t) m, not m." },
      { answer: (x: number, t: number) => x / (1 - t), advice: "that takes z_t as if it held no noise; the noise pulls the best guess towards m." },
      { answer: (x: number, t: number, m: number, s: number) => m + ((s ** 2) / ((1 - t) ** 2 * s ** 2 + t ** 2)) * (x - (1 - t) * m), advice: "the covariance of z and z_t is (1 - t) s^2." },
    ],
    hints: ["z and z_t are jointly normal: mean + covariance / variance * (x - mean of z_t).", "Covariance (1 - t) s^2, variance (1 - t)^2 s^2 + t^2, mean (1 - t) m."],
  },
  {
    name: "paired-t",
    task: "Write the statistic of the paired t test from the list of differences: their mean over its standard error.",
    inputs: pairs([[1, 2, 4]], [[-0.5, 0.1, 0.2, -0.3]], [[3, 1]]),
    solution: (differences: readonly number[]) => pairedTTest(differences).statistic,
    mistakes: [
      { answer: (differences: readonly number[]) => pairedTTest(differences).statistic / Math.sqrt(differences.length), advice: "that is the mean over the deviation; the mean's own error is smaller by the root of n." },
      { answer: (differences: readonly number[]) => pairedTTest(differences).statistic * Math.sqrt(differences.length / (differences.length - 1)), advice: "the variance divides by n - 1: the mean was taken from the same numbers." },
      { answer: (differences: readonly number[]) => mean(differences), advice: "that is the mean; it says nothing before it is set against its error." },
    ],
    hints: ["The variance of the differences is the sum of (d - mean)^2, divided by n - 1.", "The standard error of their mean is the root of variance / n."],
  },
  {
    name: "gradient-scale",
    task: "Write the size of the factor with which the gradient of the raw |R| reaches one pixel of F, from r and t.",
    inputs: pairs([0.5, 0.5], [0.05, 0.95], [0.3, 0.6]),
    solution: (r: number, t: number) => r / t ** 2,
    mistakes: [
      { answer: (r: number, t: number) => r / t, advice: "R was divided by t once more: the factor of F - x0 is r / t^2." },
      { answer: (r: number, t: number) => t ** 2 / r, advice: "upside down: that is the weight which undoes the factor." },
      { answer: (r: number, t: number) => 1 - r / t, advice: "that is the factor of dF/dt, through which no gradient flows." },
      { answer: (_: number, t: number) => 1 / t, advice: "that holds on the diagonal alone, where r = t." },
    ],
    hints: ["dF/dt is a constant to the gradient (sg).", "What does F - x0 stand beside in R?"],
  },
  {
    name: "balanced-weight",
    task: "Write the weight of the residual, from r and t, with which the gradient reaches F with factor 1.",
    inputs: pairs([0.5, 0.5], [0.05, 0.95], [0.3, 0.6]),
    solution: (r: number, t: number) => t ** 2 / r,
    mistakes: [
      { answer: (r: number, t: number) => r / t ** 2, advice: "that is the factor itself; the weight has to undo it." },
      { answer: (_: number, t: number) => t, advice: "that balances the diagonal, where the factor is 1 / t, and leaves r / t elsewhere." },
      { answer: (_: number, t: number) => t ** 2, advice: "r is left: at r near 0 still nothing would arrive." },
    ],
    hints: ["Weight times factor is to be 1.", "The factor is r / t^2."],
  },
];

WALK_EXERCISES.forEach(defineExercise);
