import type { TrainConfig } from "./config";
import { critic, translate, type Scores } from "./critic";
import { featureCritic } from "./critic-features";
import { compile, type Compiled, type CompileOptions, type StaticArguments } from "./engine/compile";
import { tf } from "./engine/tf";
import { stopGradient } from "./layers";
import { lossNamed, type CriticScore, type FeatureLevels, type Terms } from "./losses";
import { marginalVelocity, type LatentReference } from "./marginal-velocity";
import { criticLoss, gradientPenalty } from "./losses/adversarial";
import { network } from "./network";
import { objectiveTerms, trajectoryDerivative, type Batch, type ImageField } from "./objective";
import { adamW, clipByGlobalNorm, muonTogether, updateEma, type MuonUpdate } from "./optimizer";
import { adversarialName, takesMuon, type TrainingState } from "./training-state";
import { latentAt, perSample, velocity } from "./trajectory";

/** What one step is given anew: the batch, its noise and times, rates and counts. */
export interface StepInputs extends Batch, Record<string, tf.Tensor> {
  /** Adam's and the averages' scalars. */
  learningRate: tf.Scalar;
  matrixLearningRate: tf.Scalar;
  stepCount: tf.Scalar;
  emaDecay: tf.Scalar;
}

/** What the critic needs besides, in steps in which it takes part. */
export interface CriticInputs extends Record<string, tf.Tensor> {
  /** Translations of the samples and their real images, int32 [2, B]: rows and columns; the critic sees both moved alike. */
  shifts: tf.Tensor2D;
  /** Directions of the gradient penalty [B, H, W, 3]. */
  penaltyNoise: tf.Tensor4D;
  /** Share of its weight at which the adversarial loss counts, 0 to 1. */
  adversarialShare: tf.Scalar;
  criticLearningRate: tf.Scalar;
  criticStepCount: tf.Scalar;
}

/** Largest translation of the critic's augmentation, as a share of the image's height. */
export const TRANSLATION_SHARE = 1 / 8;

/** What a step reads and never changes. */
export interface FrozenParts {
  /** Features for the perceptual loss. */
  features?: FeatureLevels;
  /** Features that the critic stands on, where it does not learn from pixels. */
  criticFeatures?: FeatureLevels;
  /** The training data's latents, where the configuration's velocity is the marginal one. */
  reference?: LatentReference;
}

export type TrainingStep = Compiled<StepInputs, Record<string, tf.Tensor>>;

/**
 * One optimiser step as a function of its inputs: objective, losses, gradients, clipping, update of the weights, of the critic and of the averages.
 * The variables of the state are updated in place. Statics: `atEnd` and `offDiagonal` (see Times; of each part of the batch), `active` (losses
 * that count, joined by commas) and `critic` (whether the critic learns).
 * @param state what the step updates
 * @param frozen what the step reads and never changes
 * @returns the compiled step; its outputs are scalars: one a loss, `total`, `gradientNorm`, `residual`, and `critic`
 */
export function trainingStep(config: TrainConfig, state: TrainingState, frozen: FrozenParts = {}, options: CompileOptions = {}): TrainingStep {
  const step = (inputs: StepInputs, statics: StaticArguments): Record<string, tf.Tensor> => stepOnce(config, state, frozen, inputs, statics);
  return compile(step, { enabled: config.compile, ...options, name: "the training step" });
}

function stepOnce(config: TrainConfig, state: TrainingState, frozen: FrozenParts, inputs: StepInputs, statics: StaticArguments): Record<string, tf.Tensor> {
  const { parameters } = state.variables;
  const active = String(statics.active).split(",");
  const parts = splitBatch(inputs, config.accumulation);
  const criticPart = criticOf(config, state, frozen, inputs as unknown as CriticInputs, statics.critic === true);
  const metrics: Record<string, tf.Tensor[]> = {};
  const samples: Terms["samples"][] = [];
  const sums: Record<string, tf.Tensor> = {};
  parts.forEach((part) => {
    const result = partGradients(config, state, part, { ...frozen, active, score: criticPart.score, adversarialShare: criticPart.share, atEnd: Number(statics.atEnd), offDiagonal: Number(statics.offDiagonal) });
    for (const [name, value] of Object.entries(result.metrics)) (metrics[name] ??= []).push(value);
    for (const [name, gradient] of Object.entries(result.gradients)) sums[name] = sums[name] ? tf.add(sums[name], gradient) : gradient;
    samples.push(result.samples);
  });
  const gradients = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, tf.div(sum, parts.length)]));
  const clipped = clipByGlobalNorm(gradients, config.clipNorm);
  updateNetwork(config, state, clipped.gradients, inputs);
  updateEma(state.variables.average, parameters, inputs.emaDecay);
  const outputs: Record<string, tf.Tensor> = Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, tf.div(tf.addN(values), values.length)]));
  outputs.gradientNorm = clipped.norm;
  if (statics.critic === true) outputs.critic = criticPart.update(samples);
  tf.dispose([metrics, samples]);
  return outputs;
}

interface PartOptions extends FrozenParts {
  active: string[];
  score: CriticScore;
  adversarialShare: tf.Tensor;
  atEnd: number;
  offDiagonal: number;
}

/** Gradients of the weighted losses on one part of the batch; metrics and samples are kept, and the caller's to dispose of. */
function partGradients(config: TrainConfig, state: TrainingState, part: Batch, options: PartOptions): { gradients: Record<string, tf.Tensor>; metrics: Record<string, tf.Tensor>; samples: Terms["samples"] } {
  const { parameters } = state.variables;
  const field: ImageField = (zT, r, y) => network(state.network, parameters, zT, r, y);
  const imageShape = part.x0.shape.slice(1) as [number, number, number];
  const zT = latentAt(part.z, part.eps, part.t);
  const tangent = options.reference ? marginalVelocity(zT, part.t, part.y, options.reference) : velocity(part.z, part.eps);
  const dFdt = trajectoryDerivative(field, zT, tangent, part.r, part.y, options.offDiagonal, imageShape);
  const atEnd = <T extends tf.Tensor>(tensor: T): T => tf.slice(tensor, 0, options.atEnd);
  const metrics: Record<string, tf.Tensor> = {};
  const note = (name: string, value: tf.Tensor): void => void (metrics[name] = tf.keep(stopGradient(value)));
  let samples: Terms["samples"] | undefined;
  const { grads } = tf.variableGrads(() => {
    const objective = objectiveTerms(field, part, dFdt, config.correctionLimit);
    const terms: Terms = {
      ...objective,
      correctionLimit: config.correctionLimit,
      samples: { images: atEnd(objective.F), real: atEnd(part.x0), y: atEnd(part.y) },
      features: options.features ?? missing("features", "set losses.perceptual above 0"),
      critic: options.score,
    };
    const weighted = options.active.map((name) => {
      const value = namedLoss(name, terms);
      note(name, value);
      const weight = tf.mul(value, config.losses[name]);
      return name.startsWith("adversarial") ? tf.mul(weight, options.adversarialShare) : weight;
    });
    const total = tf.addN(weighted) as tf.Scalar;
    note("total", total);
    note("residual", tf.mean(tf.abs(tf.mul(perSample(part.t), objective.residual))));
    samples = { images: tf.keep(stopGradient(terms.samples.images)), real: tf.keep(tf.clone(terms.samples.real)), y: tf.keep(tf.clone(terms.samples.y)) };
    return total;
  }, Object.values(parameters));
  const gradients = Object.fromEntries(Object.entries(parameters).map(([name, variable]) => [name, grads[variable.name] ?? tf.zerosLike(variable)]));
  return { gradients, metrics, samples: samples! };
}

function updateNetwork(config: TrainConfig, state: TrainingState, gradients: Record<string, tf.Tensor>, { learningRate, matrixLearningRate, stepCount }: StepInputs): void {
  const { parameters, first, second } = state.variables;
  const decayOf = (variable: tf.Variable): number => (variable.rank > 1 ? config.weightDecay : 0);
  const byShape = new Map<string, MuonUpdate[]>();
  for (const [name, variable] of Object.entries(parameters)) {
    if (config.optimizer === "muon" && takesMuon(name, variable.shape)) {
      const key = variable.shape.join();
      byShape.set(key, [...(byShape.get(key) ?? []), { variable, gradient: gradients[name], velocity: first[name] }]);
    } else adamW(variable, gradients[name], first[name], second[name], learningRate, stepCount, { weightDecay: decayOf(variable) });
  }
  for (const updates of byShape.values()) muonTogether(updates, matrixLearningRate, { weightDecay: decayOf(updates[0].variable) });
}

/** The critic as the losses see it (on translated images), and its own step on the samples of the same batch. */
function criticOf(config: TrainConfig, state: TrainingState, { criticFeatures }: FrozenParts, inputs: CriticInputs, present: boolean): { score: CriticScore; share: tf.Tensor; update(samples: Terms["samples"][]): tf.Scalar } {
  if (!present) return { score: missing("critic", "set losses.adversarial above 0"), share: tf.scalar(1), update: missing("critic", "set losses.adversarial above 0") };
  const { critic: weights, criticFirst, criticSecond } = state.variables;
  const [rows, columns] = tf.split(inputs.shifts, 2, 0).map((row) => row.reshape([-1]) as tf.Tensor1D);
  const judged = (images: tf.Tensor4D, y: tf.Tensor1D): Scores =>
    state.featureCritic ? featureCritic(state.featureCritic, weights, (criticFeatures ?? missing("network for its critic", "set criticNetwork to \"pixels\""))(images), y) : critic(state.critic!, weights, images, y);
  const score: CriticScore = (images, y) => {
    const shift = (offsets: tf.Tensor1D): tf.Tensor1D => tf.slice(offsets, 0, images.shape[0]);
    return judged(translate(images, shift(rows), shift(columns)), y);
  };
  const kind = adversarialName(config) === "adversarial-hinge" ? "hinge" : "relativistic";
  const update = (parts: Terms["samples"][]): tf.Scalar => {
    const join = <T extends tf.Tensor>(tensors: T[]): T => (tensors.length === 1 ? tensors[0] : tf.concat(tensors, 0));
    const [fake, real, y] = [join(parts.map(({ images }) => images)), join(parts.map((part) => part.real)), join(parts.map((part) => part.y))];
    const noise = tf.slice(inputs.penaltyNoise, 0, fake.shape[0]);
    const { value, grads } = tf.variableGrads(() => {
      const loss = criticLoss(kind, score, real, fake, y);
      if (config.criticPenalty === 0) return loss;
      const penalty = tf.add(gradientPenalty(score, real, noise, y, config.criticPenaltyStep), gradientPenalty(score, fake, noise, y, config.criticPenaltyStep));
      return tf.add(loss, tf.mul(config.criticPenalty, penalty)) as tf.Scalar;
    }, Object.values(weights));
    for (const [name, variable] of Object.entries(weights)) {
      adamW(variable, grads[variable.name], criticFirst[name], criticSecond[name], inputs.criticLearningRate, inputs.criticStepCount, { beta1: 0, beta2: 0.99 });
    }
    return value;
  };
  return { score, share: inputs.adversarialShare, update };
}

function namedLoss(name: string, terms: Terms): tf.Scalar {
  let value: tf.Tensor;
  try {
    value = lossNamed(name)(terms);
  } catch (error) {
    throw new Error(`loss "${name}" failed: ${(error as Error).message}`, { cause: error });
  }
  if (!(value instanceof tf.Tensor) || value.size !== 1) throw new Error(`loss "${name}" must return a scalar tensor, not ${value instanceof tf.Tensor ? `shape [${value.shape}]` : typeof value}: take the mean over batch and pixels`);
  return value.reshape([]);
}

function missing(what: string, cure: string): () => never {
  return () => {
    throw new Error(`this training has no ${what}: ${cure}`);
  };
}

/** Cuts a batch into equal parts of consecutive samples. */
function splitBatch({ x0, z, eps, r, t, y }: Batch, parts: number): Batch[] {
  if (parts === 1) return [{ x0, z, eps, r, t, y }];
  const cut = <T extends tf.Tensor>(tensor: T): T[] => tf.split(tensor, parts, 0) as T[];
  const [images, latents, noises, starts, ends, labels] = [cut(x0), cut(z), cut(eps), cut(r), cut(t), cut(y)];
  return images.map((image, index) => ({ x0: image, z: latents[index], eps: noises[index], r: starts[index], t: ends[index], y: labels[index] }));
}
