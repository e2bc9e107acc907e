import { methodNamed } from "./baselines";
import type { TrainConfig } from "./config";
import { consistencyTarget } from "./consistency";
import { distillationTarget, oneStepOf, reconstructionTarget, refinementTarget, type LatentsOf, type RefinementNoise, type RefinementOptions, type Teacher } from "./distillation";
import { distributionTarget, MATCHING_DRAWS, sampleFlowLoss, type Noising } from "./distribution-matching";
import { augment, augmentationsOf, type AugmentationDraws } from "./augmentation";
import { critic, type Scores } from "./critic";
import { featureCritic } from "./critic-features";
import { compile, type Compiled, type CompileOptions, type StaticArguments } from "./engine/compile";
import { withPrecision, type Precision } from "./engine/precision";
import { sideBySide } from "./engine/side-by-side";
import { tf } from "./engine/tf";
import { stopGradient } from "./layers";
import { evaluateLoss, ofClasses, type CriticScore, type FeatureLevels, type Terms } from "./losses";
import { marginalVelocity, type LatentReference } from "./marginal-velocity";
import { adversarialVariant, criticLossOfScores, criticPictures, gradientPenalty, type CriticPictures } from "./losses/adversarial";
import { isOfHead, network, type NetworkOptions } from "./network";
import { objectiveTerms, type Batch, type ImageField } from "./objective";
import { adamW, clipByGlobalNorm, muonTogether, SNAPSHOT_SPREADS, updateEma, type MuonUpdate } from "./optimizer";
import { adversarialName, snapshotGroup, takesMuon, type TrainingState } from "./training-state";
import { latentAt, perSample } from "./trajectory";

/** What one step is given anew: the batch, its noise and times, rates and counts. */
export interface StepInputs extends Batch, Record<string, tf.Tensor> {
  /** Adam's and the averages' scalars. */
  learningRate: tf.Scalar;
  matrixLearningRate: tf.Scalar;
  stepCount: tf.Scalar;
  emaDecay: tf.Scalar;
  /** Share of its weight at which each active loss counts, in their order: an input, so that a ramp needs no new program. */
  lossShares: tf.Tensor1D;
  /** Times [B] at which the consistency target is taken, above 0 and at most t; unused where the configuration's endTarget is another. */
  earlier: tf.Tensor1D;
}

/** What the critic needs besides, in steps in which it takes part. The augmentation's numbers hold for a sample and its real image: the critic sees both changed alike. */
export interface CriticInputs extends AugmentationDraws {
  /** Directions of the gradient penalty [B, H, W, 3]. */
  penaltyNoise: tf.Tensor4D;
  criticLearningRate: tf.Scalar;
  criticStepCount: tf.Scalar;
}

/** What the matching of distributions needs besides, where the configuration's endTarget is "distribution": how samples are noised, MATCHING_DRAWS times each. */
export interface MatchingInputs {
  /** Times [B, MATCHING_DRAWS]. */
  matchingTimes: tf.Tensor2D;
  /** Noise [B, h, w, c MATCHING_DRAWS]. */
  matchingNoise: tf.Tensor4D;
  /** Learning rates of the flow of the samples. */
  sampleFlowLearningRate: tf.Scalar;
  sampleFlowMatrixLearningRate: tf.Scalar;
}

/** What F shall be where the configuration's endTarget is "pairs". */
export interface PairInputs {
  /** Images [B, H, W, 3] of the noise of the samples with r = 0, which come first; the rest is not looked at. */
  pairImages: tf.Tensor4D;
}

/** What the averages of the snapshots need besides, where the configuration wants snapshots. */
export interface SnapshotInputs {
  /** Share of each average that stays, in the order of SNAPSHOT_SPREADS. */
  snapshotDecays: tf.Tensor1D;
}

/** What a step reads and never changes. */
export interface FrozenParts {
  /** Features for the perceptual loss. */
  features?: FeatureLevels;
  /** Features that the critic stands on, where it does not learn from pixels. */
  criticFeatures?: FeatureLevels;
  /** Labels of the classes for which a loss counts, by its name; all where none are given. */
  lossClasses?: Record<string, number[]>;
  /** The training data's latents, where the configuration's velocity is the marginal one. */
  reference?: LatentReference;
  /** Whom F(z_t, 0, y) learns from, where the configuration's endTarget is "distillation", "distribution", "reconstruction" or "refinement". */
  teacher?: Teacher;
  /** The frozen network whose one-step images a teacher refines. */
  oneStep?: Teacher["imageOf"];
  /** Latents of samples, where their distribution is matched or they are refined. */
  latentsOf?: LatentsOf;
  /** Images as the autoencoder makes them again, where F learns those. */
  throughAutoencoder?: (images: tf.Tensor4D) => tf.Tensor4D;
}

/** Outputs with a number for each sample: norm of the gradient that reaches F (1: the default pixel loss's pull), root mean squares of t R and of dF/dt. */
export const SAMPLE_OUTPUTS = { gradient: "sample-gradient", residual: "sample-residual", derivative: "sample-derivative" } as const;

export type TrainingStep = Compiled<StepInputs, Record<string, tf.Tensor>>;

/**
 * One optimiser step as a function of its inputs: objective, losses, gradients, clipping, update of the weights, of the critic and of the averages.
 * The variables of the state are updated in place. Statics: `atEnd` and `offDiagonal` (see Times; of each part of the batch), `active` (losses
 * that count, joined by commas) and `critic` (whether the critic learns).
 * @param state what the step updates
 * @param frozen what the step reads and never changes
 * @returns the compiled step; its outputs are scalars: one a loss, `total`, `gradientNorm`, `residual`, and `critic` where the critic learns;
 *   where the configuration asks for diagnostics, `criticAccuracy` and `criticGap` besides, and what each sample showed, [B]: those of SAMPLE_OUTPUTS
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
  const pictures: CriticPictures[] = [];
  const noisings = config.endTarget === "distribution" ? splitNoisings(inputs as unknown as MatchingInputs, config.accumulation) : [];
  const pairImages = config.endTarget === "pairs" ? (tf.split((inputs as unknown as PairInputs).pairImages, config.accumulation, 0) as tf.Tensor4D[]) : [];
  const sampled: SampledLatents[] = [];
  const sums: Record<string, tf.Tensor> = {};
  parts.forEach((part, index) => {
    const result = withPrecision(config.precision as Precision, () => partGradients(config, state, part, { ...frozen, noisings: noisings[index]?.slice(0, config.matchingDraws), pairImages: pairImages[index], active, score: criticPart.score, lossShares: inputs.lossShares, atEnd: Number(statics.atEnd), offDiagonal: Number(statics.offDiagonal) }));
    for (const [name, value] of Object.entries(result.metrics)) (metrics[name] ??= []).push(value);
    for (const [name, gradient] of Object.entries(result.gradients)) sums[name] = sums[name] ? tf.add(sums[name], gradient) : gradient;
    pictures.push(result.pictures);
    if (result.sampled) sampled.push(result.sampled);
  });
  const gradients = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, tf.div(sum, parts.length)]));
  const clipped = clipByGlobalNorm(gradients, config.clipNorm);
  const { first, second } = state.variables;
  updateNetwork(config, { parameters, first, second }, clipped.gradients, inputs);
  const learned = Object.fromEntries(Object.entries(parameters).filter(([name]) => name in gradients));
  updateEma(state.variables.average, learned, inputs.emaDecay);
  if (config.snapshotEvery > 0) SNAPSHOT_SPREADS.forEach((spread, index) => updateEma(state.variables[snapshotGroup(spread)], learned, tf.slice((inputs as unknown as SnapshotInputs).snapshotDecays, index, 1).reshape([])));
  const outputs: Record<string, tf.Tensor> = Object.fromEntries(Object.entries(metrics).map(([name, values]) => [name, values[0].rank > 0 ? tf.concat(values, 0) : tf.div(tf.addN(values), values.length)]));
  outputs.gradientNorm = clipped.norm;
  if (statics.critic === true) Object.assign(outputs, withPrecision(config.precision as Precision, () => criticPart.update(pictures)));
  if (sampled.length > 0) outputs.sampleFlow = withPrecision(config.precision as Precision, () => updateSampleFlow(config, state, sampled, noisings, inputs));
  tf.dispose([metrics, [...pictures, ...sampled].map((each) => ({ ...each }))]);
  return outputs;
}

interface PartOptions extends FrozenParts {
  active: string[];
  score: CriticScore;
  lossShares: tf.Tensor1D;
  atEnd: number;
  offDiagonal: number;
  /** How samples are noised to match their distribution. */
  noisings?: Noising[];
  /** Images of pairs, those of the samples with r = 0 first. */
  pairImages?: tf.Tensor4D;
}

const refinementOf = ({ refinementStart, refinementNoise, refinementEvaluations }: TrainConfig): RefinementOptions => ({ start: refinementStart, noise: refinementNoise as RefinementNoise, steps: refinementEvaluations });

/** Latents of samples [N, h, w, c] with their classes [N], kept. */
interface SampledLatents {
  z: tf.Tensor4D;
  y: tf.Tensor1D;
}

/** Gradients of the weighted losses on one part of the batch; metrics and what the critic and the flow of the samples are to see are kept, and the caller's to dispose of. */
function partGradients(config: TrainConfig, state: TrainingState, part: BatchPart, options: PartOptions): { gradients: Record<string, tf.Tensor>; metrics: Record<string, tf.Tensor>; pictures: CriticPictures; sampled?: SampledLatents } {
  const { parameters } = state.variables;
  const fieldOf = (weights: Record<string, tf.Tensor>, options: NetworkOptions = {}): ImageField => {
    const whole: ImageField = (zT, r, y) => network(state.network, weights, zT, r, y, options);
    return (zT, r, y) => sideBySide(whole, zT, r, y);
  };
  const field = fieldOf(parameters, { recompute: config.recompute });
  const method = methodNamed(config.method);
  const zT = latentAt(part.z, part.eps, part.t);
  const along = options.reference && marginalVelocity(zT, part.t, part.y, options.reference);
  const derivative = method.derivative?.(field, part, options.offDiagonal);
  const atEnd = <T extends tf.Tensor>(tensor: T): T => tf.slice(tensor, 0, options.atEnd);
  const average = fieldOf(state.variables.average);
  let sampled: SampledLatents | undefined;
  const endTargets: Record<string, () => tf.Tensor4D | undefined> = {
    derivative: () => undefined,
    consistency: () => consistencyTarget(average, atEnd(zT), atEnd(part.t), atEnd(part.earlier), atEnd(part.y), options.reference!),
    distillation: () => distillationTarget(options.teacher!, atEnd(zT), atEnd(part.t), atEnd(part.y)),
    pairs: () => atEnd(options.pairImages!),
    reconstruction: () => reconstructionTarget(options.teacher!, options.throughAutoencoder!, atEnd(zT), atEnd(part.y)),
    refinement: () => refinementTarget(options.teacher!, options.oneStep!, options.latentsOf!, atEnd(zT), atEnd(part.t), atEnd(part.y), refinementOf(config)),
    distribution: () => {
      const [refined, distilled] = [config.refinedShare, config.distilledShare].map((share) => Math.round(options.atEnd * share));
      const matched = Math.max(options.atEnd - refined - distilled, 0);
      // Matched, refined, distilled, in this order: the rows with t below 1 come last, and the matching needs them least, since their images are nearly settled.
      const rows = <T extends tf.Tensor>(tensor: T, from: number, to: number): T => tf.slice(tensor, from, to - from);
      const targets: tf.Tensor4D[] = [];
      if (matched > 0) {
        const first = <T extends tf.Tensor>(tensor: T): T => rows(tensor, 0, matched);
        const y = first(part.y);
        const samples = oneStepOf(fieldOf(parameters))(first(zT), y);
        const { target, latents } = distributionTarget(options.teacher!, sampleFlow(state), options.latentsOf!, samples, y, options.noisings!.map(({ time, noise }) => ({ time: first(time), noise: first(noise) })), config.matchingStep);
        sampled = { z: tf.keep(latents), y: tf.keep(tf.clone(y)) };
        targets.push(target);
      }
      const unmatched = (from: number, to: number, targetOf: (z: tf.Tensor4D, t: tf.Tensor1D, y: tf.Tensor1D) => tf.Tensor4D): void => {
        if (to > from) targets.push(targetOf(rows(zT, from, to), rows(part.t, from, to), rows(part.y, from, to)));
      };
      const untilDistilled = Math.min(matched + refined, options.atEnd);
      unmatched(matched, untilDistilled, (z, t, y) => refinementTarget(options.teacher!, options.oneStep!, options.latentsOf!, z, t, y, refinementOf(config)));
      unmatched(untilDistilled, options.atEnd, (z, t, y) => distillationTarget(options.teacher!, z, t, y));
      return tf.concat(targets, 0);
    },
  };
  const endTarget = options.atEnd > 0 ? endTargets[config.endTarget]() : undefined;
  const learning = Object.entries(parameters).filter(([name]) => learns(config, name));
  const metrics: Record<string, tf.Tensor> = {};
  const note = (name: string, value: tf.Tensor): void => void (metrics[name] = tf.keep(stopGradient(value)));
  const { on } = adversarialVariant(adversarialName(config) ?? "adversarial");
  let pictures: CriticPictures | undefined;
  const observe = config.diagnosticsEvery === 0 ? undefined : (F: tf.Tensor4D): tf.Tensor4D => withObservedGradient(F, (gradient) => note(SAMPLE_OUTPUTS.gradient, pulls(gradient)));
  const { grads } = tf.variableGrads(() => {
    const offDiagonal = derivative ? 0 : options.offDiagonal;
    const objective = method.terms && derivative ? method.terms(field, part, derivative, along) : objectiveTerms(field, part, { along, offDiagonal, correctionLimit: config.correctionLimit, endTarget, observe });
    const terms: Terms = {
      ...objective,
      correctionLimit: config.correctionLimit,
      samples: { images: atEnd(objective.F), real: config.criticReal === "targets" && endTarget ? stopGradient(endTarget) : atEnd(part.x0), y: atEnd(part.y) },
      features: options.features ?? missing("features", "only a loss whose name begins with \"perceptual\" is given them"),
      critic: options.score,
    };
    const weighted = options.active.map((name, index) => {
      const labels = options.lossClasses?.[name];
      const value = evaluateLoss(name, labels ? ofClasses(terms, labels) : terms);
      note(name, value);
      return tf.mul(tf.mul(value, config.losses[name]), tf.slice(options.lossShares, index, 1).reshape([]));
    });
    const total = tf.addN(weighted) as tf.Scalar;
    note("total", total);
    const missed: tf.Tensor4D = tf.mul(perSample(part.t), objective.residual);
    note("residual", tf.mean(tf.abs(missed)));
    if (config.diagnosticsEvery > 0) {
      note(SAMPLE_OUTPUTS.residual, rootMeanSquares(missed));
      note(SAMPLE_OUTPUTS.derivative, rootMeanSquares(objective.dFdt));
    }
    const { images, real, y, counts } = criticPictures(on, terms);
    pictures = { images: tf.keep(stopGradient(images)), real: tf.keep(tf.clone(real)), y: tf.keep(tf.clone(y)), ...(counts && { counts: tf.keep(tf.clone(counts)) }) };
    return total;
  }, learning.map(([, variable]) => variable));
  const gradients = Object.fromEntries(learning.map(([name, variable]) => [name, grads[variable.name] ?? tf.zerosLike(variable)]));
  return { gradients, metrics, pictures: pictures!, sampled };
}

/** Puts the mean gap of the critic's scores, and the share of pairs in which the real image's is higher, in `balance`; kept. */
function noteBalance(balance: Record<string, tf.Tensor>, onReal: Scores, onFake: Scores, counts?: tf.Tensor1D): void {
  const gap = stopGradient(tf.sub(onReal.whole, onFake.whole)).reshape([-1]); // [N]
  const average = (values: tf.Tensor): tf.Tensor => (counts ? tf.div(tf.sum(tf.mul(values, counts)), tf.maximum(tf.sum(counts), 1)) : tf.mean(values));
  balance.criticGap = tf.keep(average(gap));
  balance.criticAccuracy = tf.keep(average(tf.greater(gap, 0).toFloat()));
}

/** The images themselves; `observe` hears of the gradient that reaches them. */
function withObservedGradient(images: tf.Tensor4D, observe: (gradient: tf.Tensor4D) => void): tf.Tensor4D {
  const operation = tf.customGrad((x) => ({
    value: tf.clone(x as tf.Tensor),
    gradFunc: (gradient: tf.Tensor): tf.Tensor => {
      observe(gradient as tf.Tensor4D);
      return tf.clone(gradient);
    },
  }));
  return operation(images) as tf.Tensor4D;
}

/** Norm of each image's gradient, in units of what the default pixel loss gives it, 2 / (sqrt(H W C) B). @returns [B] */
function pulls(gradient: tf.Tensor4D): tf.Tensor1D {
  const [batch, height, width, channels] = gradient.shape;
  return tf.mul(tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])), (Math.sqrt(height * width * channels) * batch) / 2) as tf.Tensor1D;
}

const rootMeanSquares = (images: tf.Tensor4D): tf.Tensor1D => tf.sqrt(tf.mean(tf.square(images), [1, 2, 3])) as tf.Tensor1D;

/** Whether a parameter is part of what learns. */
const learns = ({ trainedPart }: TrainConfig, name: string): boolean => trainedPart === "all" || isOfHead(name);

/** Weights with their optimiser's moments. */
type Learning = Record<"parameters" | "first" | "second", Record<string, tf.Variable>>;

function updateNetwork(config: TrainConfig, { parameters, first, second }: Learning, gradients: Record<string, tf.Tensor>, { learningRate, matrixLearningRate, stepCount }: Pick<StepInputs, "learningRate" | "matrixLearningRate" | "stepCount">): void {
  const decayOf = (variable: tf.Variable): number => (variable.rank > 1 ? config.weightDecay : 0);
  const byShape = new Map<string, MuonUpdate[]>();
  for (const [name, variable] of Object.entries(parameters)) {
    if (!(name in gradients)) continue;
    if (config.optimizer === "muon" && takesMuon(name, variable.shape)) {
      const key = variable.shape.join();
      byShape.set(key, [...(byShape.get(key) ?? []), { variable, gradient: gradients[name], velocity: first[name] }]);
    } else adamW(variable, gradients[name], first[name], second[name], learningRate, stepCount, { weightDecay: decayOf(variable) });
  }
  for (const updates of byShape.values()) muonTogether(updates, matrixLearningRate, { weightDecay: decayOf(updates[0].variable) });
}

/** The flow of the network's samples. */
function sampleFlow({ sampleFlow: config, variables }: TrainingState): Teacher["velocityAt"] {
  const whole: ImageField = (z, time, y) => network(config!, variables.sampleFlow, z, time, y);
  return (z, time, y) => sideBySide(whole, z, time, y);
}

/** One optimiser step of the flow of the samples, on those of this batch. @returns its loss */
function updateSampleFlow(config: TrainConfig, state: TrainingState, sampled: SampledLatents[], noisings: Noising[][], inputs: StepInputs): tf.Scalar {
  const { sampleFlow: parameters, sampleFlowFirst: first, sampleFlowSecond: second } = state.variables;
  const rows = sampled.flatMap(({ z, y }, part) => noisings[part].slice(1).map(({ time, noise }) => ({ z, y, time: tf.slice(time, 0, z.shape[0]), noise: tf.slice(noise, 0, z.shape[0]) })));
  const joined = <Key extends keyof (typeof rows)[number]>(key: Key): (typeof rows)[number][Key] => tf.concat(rows.map((row) => row[key]) as tf.Tensor[], 0) as (typeof rows)[number][Key];
  const { value, grads } = tf.variableGrads(() => sampleFlowLoss(sampleFlow(state), joined("z"), joined("y"), { time: joined("time"), noise: joined("noise") }), Object.values(parameters));
  const gradients = Object.fromEntries(Object.entries(parameters).map(([name, variable]) => [name, grads[variable.name]]));
  const { sampleFlowLearningRate, sampleFlowMatrixLearningRate } = inputs as unknown as MatchingInputs;
  const rates = { stepCount: inputs.stepCount, learningRate: sampleFlowLearningRate, matrixLearningRate: sampleFlowMatrixLearningRate };
  updateNetwork(config, { parameters, first, second }, clipByGlobalNorm(gradients, config.clipNorm).gradients, rates);
  return value;
}

/** The critic as the losses see it (on augmented images), and its own step on the samples of the same batch. */
function criticOf(config: TrainConfig, state: TrainingState, { criticFeatures }: FrozenParts, inputs: CriticInputs, present: boolean): { score: CriticScore; update(pictures: CriticPictures[]): Record<string, tf.Tensor> } {
  if (!present) return { score: missing("critic", "only a training with a loss whose name begins with \"adversarial\" has one"), update: missing("critic", "only a training with a loss whose name begins with \"adversarial\" has one") };
  const { critic: weights, criticFirst, criticSecond } = state.variables;
  const augmentations = augmentationsOf(config.criticAugmentation)!;
  const judged = (images: tf.Tensor4D, y: tf.Tensor1D): Scores =>
    state.featureCritic ? featureCritic(state.featureCritic, weights, (criticFeatures ?? missing("network for its critic", "set criticNetwork to \"pixels\""))(images), y) : critic(state.critic!, weights, images, y);
  const score: CriticScore = (images, y) => judged(augment(augmentations, images, inputs), y);
  const { kind } = adversarialVariant(adversarialName(config)!);
  const update = (parts: CriticPictures[]): Record<string, tf.Tensor> => {
    const join = <T extends tf.Tensor>(tensors: T[]): T => (tensors.length === 1 ? tensors[0] : tf.concat(tensors, 0));
    const [fake, real, y] = [join(parts.map(({ images }) => images)), join(parts.map((part) => part.real)), join(parts.map((part) => part.y))];
    const counts = parts[0].counts && join(parts.map((part) => part.counts!));
    const noise = tf.slice(inputs.penaltyNoise, 0, fake.shape[0]);
    const balance: Record<string, tf.Tensor> = {};
    const { value, grads } = tf.variableGrads(() => {
      const [onReal, onFake] = [score(real, y), score(fake, y)];
      const loss = criticLossOfScores(kind, onReal, onFake, counts);
      if (config.diagnosticsEvery > 0) noteBalance(balance, onReal, onFake, counts);
      if (config.criticPenalty === 0) return loss;
      const penalised = config.criticPenaltyOn === "both" ? [real, fake] : config.criticPenaltyOn === "real" ? [real] : [fake];
      const penalty = tf.addN(penalised.map((images) => gradientPenalty(score, images, noise, y, config.criticPenaltyStep)));
      return tf.add(loss, tf.mul(config.criticPenalty, penalty)) as tf.Scalar;
    }, Object.values(weights));
    for (const [name, variable] of Object.entries(weights)) {
      adamW(variable, grads[variable.name], criticFirst[name], criticSecond[name], inputs.criticLearningRate, inputs.criticStepCount, { beta1: 0, beta2: 0.99 });
    }
    return { critic: value, ...balance };
  };
  return { score, update };
}

function missing(what: string, cure: string): () => never {
  return () => {
    throw new Error(`this training has no ${what}: ${cure}`);
  };
}

type BatchPart = Batch & Pick<StepInputs, "earlier">;

/** For each part of the batch the MATCHING_DRAWS ways in which its samples are noised. */
function splitNoisings({ matchingTimes, matchingNoise }: MatchingInputs, parts: number): Noising[][] {
  const [times, noises] = [tf.split(matchingTimes, parts, 0), tf.split(matchingNoise, parts, 0)];
  return times.map((time, part) => {
    const [timeOf, noiseOf] = [tf.split(time, MATCHING_DRAWS, 1), tf.split(noises[part], MATCHING_DRAWS, 3)];
    return timeOf.map((each, draw) => ({ time: each.reshape([-1]) as tf.Tensor1D, noise: noiseOf[draw] as tf.Tensor4D }));
  });
}

/** Cuts a batch into equal parts of consecutive samples. */
function splitBatch({ x0, z, eps, r, t, y, earlier }: BatchPart, parts: number): BatchPart[] {
  if (parts === 1) return [{ x0, z, eps, r, t, y, earlier }];
  const cut = <T extends tf.Tensor>(tensor: T): T[] => tf.split(tensor, parts, 0) as T[];
  const [images, latents, noises, starts, ends, labels, earlierTimes] = [cut(x0), cut(z), cut(eps), cut(r), cut(t), cut(y), cut(earlier)];
  return images.map((image, index) => ({ x0: image, z: latents[index], eps: noises[index], r: starts[index], t: ends[index], y: labels[index], earlier: earlierTimes[index] }));
}
