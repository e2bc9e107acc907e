import { compile } from "../engine/compile";
import { tf } from "../engine/tf";
import { lossNamed, type Loss } from "../losses";
import { objectiveTerms, type ImageField } from "../objective";
import { adamW, learningRateAt } from "../optimizer";
import { randomStream } from "../random";
import { sampleTimes, velocity as conditionalVelocity } from "../trajectory";
import { oracleTerms } from "./bias";
import { oneStepImage, type Oracle } from "./oracle";

/** An objective to be scored: a registered loss by name, or a loss itself, and what else the objective may vary. */
export interface ObjectiveVariant {
  loss: string | Loss;
  /** Along what F is differentiated. Default "conditional". */
  velocity?: "conditional" | "marginal";
  /** Whether F is told t as well. Without it J_z F . v leaves out the target's own derivative in t. Default true: only the loss is on trial. */
  tellTime?: boolean;
}

export interface ScoreOptions {
  steps: number;
  batchSize: number;
  learningRate: number;
  /** Numbers in each of the two hidden layers. */
  width: number;
  /** Noises on which F is compared with the exact map. */
  samples: number;
  seed: number;
}

export const SCORE_DEFAULTS: ScoreOptions = { steps: 1500, batchSize: 256, learningRate: 4e-3, width: 48, samples: 1000, seed: 0 };

/** How near a trained F came to the truth; each a root mean square error over the exact images' standard deviation. */
export interface ObjectiveScore {
  /** Of one-step images F(eps, 0) at t = 1. */
  oneStep: number;
  /** Of F(z_t, t) on the diagonal, against E[x0 | z_t]. */
  diagonal: number;
  /** Of F(z_t, r) for r < t, against the target field. */
  field: number;
  /** Mean over pixels of F(eps, 0) less that of the exact map, over the standard deviation: a shift that no spread explains. */
  shift: number;
  seconds: number;
}

const TIMES = { minimumTime: 0.02, diagonalShare: 0.4, endShare: 0.3, noiseShare: 0.3, boundaryShare: 0.15, timeShift: 1 };

/**
 * Trains a small F (two hidden layers) on an oracle's data under any objective variant, and scores its distance to the exact one-step map and to the exact field. Seconds on a CPU.
 *
 * Where F is told t, it gets it as one more coordinate of the latent, with "data" 0 and "noise" 1: that coordinate of z_t is t, its velocity is 1, and J_z F . v holds the derivative in t without any other change to the objective.
 * @throws Error when the loss is not defined or needs features or a critic
 */
export function scoreObjective({ loss, velocity = "conditional", tellTime = true }: ObjectiveVariant, oracle: Oracle, options: Partial<ScoreOptions> = {}): ObjectiveScore {
  const { steps, batchSize, learningRate, width, samples, seed } = { ...SCORE_DEFAULTS, ...options };
  const lossOf = typeof loss === "string" ? lossNamed(loss) : loss;
  const started = performance.now();
  const { latentDimension: d, imageDimension: D } = oracle;
  const inputs = d + Number(tellTime) + 1;
  const streams = { data: randomStream(seed, "oracle data"), noise: randomStream(seed, "noise"), times: randomStream(seed, "times"), weights: randomStream(seed, "weights") };
  const weight = (rows: number, columns: number, scale = 1): tf.Variable => tf.tidy(() => tf.variable(tf.tensor2d(streams.weights.normal(rows * columns).map((value) => value * scale * rows ** -0.5), [rows, columns])));
  const bias = (columns: number): tf.Variable => tf.tidy(() => tf.variable(tf.zeros([columns])));
  // The skip lets F be linear in z_t at once.
  const parameters: Record<string, tf.Variable> = { first: weight(inputs, width), firstBias: bias(width), second: weight(width, width), secondBias: bias(width), last: weight(width, D, 0.1), skip: weight(inputs, D, 0.1), lastBias: bias(D) };
  const zeros = (): Record<string, tf.Variable> => Object.fromEntries(Object.entries(parameters).map(([name, variable]) => [name, tf.tidy(() => tf.variable(tf.zerosLike(variable), false))]));
  const [firstMoment, secondMoment] = [zeros(), zeros()];
  const field: ImageField = (zT, r) => {
    const x = tf.concat([zT.reshape([zT.shape[0], -1]), r.reshape([-1, 1])], 1); // [B, d (+ t) + r]
    const hidden = tf.tanh(tf.add(tf.matMul(x, parameters.first), parameters.firstBias));
    const deeper = tf.tanh(tf.add(tf.matMul(hidden, parameters.second), parameters.secondBias));
    return tf.add(tf.add(tf.matMul(deeper, parameters.last), tf.matMul(x, parameters.skip)), parameters.lastBias).reshape([zT.shape[0], 1, 1, D]);
  };
  const { offDiagonal } = sampleTimes(randomStream(0, "counts"), batchSize, TIMES);
  interface Inputs extends Record<string, tf.Tensor> { x0: tf.Tensor4D; z: tf.Tensor4D; eps: tf.Tensor4D; v: tf.Tensor4D; r: tf.Tensor1D; t: tf.Tensor1D; y: tf.Tensor1D; rate: tf.Scalar; count: tf.Scalar }
  const step = compile(({ x0, z, eps, v, r, t, y, rate, count }: Inputs) => {
    const { value, grads } = tf.variableGrads(() => {
      const { F, dFdt, zT } = objectiveTerms(field, { x0, z, eps, r, t, y }, { along: v, offDiagonal });
      return lossOf(oracleTerms({ x0, z, eps, r, t, y, zT, v, dFdt }, F));
    }, Object.values(parameters));
    for (const [name, variable] of Object.entries(parameters)) adamW(variable, grads[variable.name] ?? tf.zerosLike(variable), firstMoment[name], secondMoment[name], rate, count);
    return { value };
  }, { name: "the oracle's training step" });

  const batchInputs = (index: number): Inputs => {
    const { r, t } = sampleTimes(streams.times, batchSize, TIMES);
    const latents = Array.from({ length: batchSize }, () => oracle.drawLatent(streams.data));
    const noises = Array.from({ length: batchSize }, () => Array.from(streams.noise.normal(d)));
    const told = <T>(list: T[][], value: T): T[] => list.flatMap((row) => (tellTime ? [...row, value] : row));
    const shape: [number, number, number, number] = [batchSize, 1, 1, d + Number(tellTime)];
    const [z, eps] = [tf.tensor4d(told(latents, 0), shape), tf.tensor4d(told(noises, 1), shape)];
    const marginal = (): number[][] => latents.map((latent, row) => {
      const zT = latent.map((value, axis) => (1 - t[row]) * value + t[row] * noises[row][axis]);
      const mean = oracle.posteriorMean(zT, t[row]);
      return zT.map((value, axis) => (value - mean[axis]) / t[row]);
    });
    return {
      z, eps,
      x0: tf.tensor4d(latents.flatMap((latent) => oracle.image(latent)), [batchSize, 1, 1, D]),
      v: velocity === "marginal" ? tf.tensor4d(told(marginal(), 1), shape) : conditionalVelocity(z, eps),
      r: tf.tensor1d(r),
      t: tf.tensor1d(t),
      y: tf.zeros([batchSize], "int32"),
      rate: tf.scalar(learningRate * learningRateAt(index, { warmupSteps: Math.min(20, steps), steps, finalShare: 0.01 })),
      count: tf.scalar(index + 1),
    };
  };
  try {
    for (let index = 0; index < steps; index++) {
      const given = batchInputs(index);
      const outputs = step(given, {});
      tf.dispose([given, outputs]);
    }
    const evaluate = (points: readonly (readonly number[])[], r: number, t: number): number[][] =>
      tf.tidy(() => {
        const rows = points.flatMap((point) => (tellTime ? [...point, t] : [...point]));
        const y = tf.zeros([points.length], "int32") as tf.Tensor1D;
        return field(tf.tensor4d(rows, [points.length, 1, 1, d + Number(tellTime)]), tf.fill([points.length], r) as tf.Tensor1D, y).reshape([points.length, D]).arraySync() as number[][];
      });
    return { ...distances(oracle, evaluate, samples, seed), seconds: (performance.now() - started) / 1000 };
  } finally {
    step.dispose();
    tf.dispose([parameters, firstMoment, secondMoment]);
  }
}

const DIAGONAL = [0.2, 0.5, 0.8];
const PAIRS: readonly [number, number][] = [[0.2, 0.5], [0.2, 0.9], [0.5, 0.8]];

/** Distances of a field to the exact ones, on noises and points that are the same for every variant of a seed. */
function distances(oracle: Oracle, evaluate: (points: readonly (readonly number[])[], r: number, t: number) => number[][], samples: number, seed: number): Omit<ObjectiveScore, "seconds"> {
  const stream = randomStream(seed, "oracle test");
  const noises = Array.from({ length: samples }, () => Array.from(stream.normal(oracle.latentDimension)));
  const exact = noises.map((eps) => oneStepImage(oracle, eps));
  const center = exact[0].map((_, pixel) => mean(exact.map((image) => image[pixel])));
  const deviation = Math.sqrt(mean(exact.flatMap((image) => image.map((value, pixel) => (value - center[pixel]) ** 2))));
  const error = (found: number[][], truth: number[][]): number => Math.sqrt(mean(found.flatMap((image, row) => image.map((value, pixel) => (value - truth[row][pixel]) ** 2)))) / deviation;
  const at = (t: number): number[][] => noises.map((eps) => oracle.drawLatent(stream).map((value, axis) => (1 - t) * value + t * eps[axis]));
  const errorAt = (r: number, t: number): number => {
    const points = at(t);
    return error(evaluate(points, r, t), points.map((point) => oracle.averageImage(point, r, t)));
  };
  const found = evaluate(noises, 0, 1);
  const shifts = center.map((value, pixel) => mean(found.map((image) => image[pixel])) - value);
  return {
    oneStep: error(found, exact),
    diagonal: mean(DIAGONAL.map((t) => errorAt(t, t))),
    field: mean(PAIRS.map(([r, t]) => errorAt(r, t))),
    shift: Math.sqrt(mean(shifts.map((value) => value ** 2))) / deviation,
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
