import { AUGMENTATIONS, augmentationsOf } from "./augmentation";
import { METHOD_NAMES, METHOD_SETTINGS, type MethodName } from "./baselines/settings";
import { DATASET_NAMES, type DatasetConfig } from "./data/load";
import { MATCHING_DRAWS } from "./distribution-matching";
import { VAE_DEFAULTS } from "./encoder/vae";
import { timeShiftFor, type TimeOptions } from "./trajectory";
import { nearestNames } from "./nearest-name";
import { PIXEL_CRITICS } from "./metrics/independence";
import type { NetworkConfig } from "./network";
import { AVERAGE_KINDS, LARGEST_SPREAD, type AverageOptions } from "./optimizer/ema";
import { rampNames } from "./schedules/ramps";
import { timeSamplerNames, type TimeSamplerOptions } from "./schedules/time-samplers";

/**
 * The one size dial: each preset is a network, from what trains on a laptop in minutes to the paper's sizes. B, L and XL are those
 * of Table 3 (for latents of 32 x 32); the others end in convolutions, since with few tokens linear patches leave seams. crisp is
 * small with more of them, dense is crisp with four tokens a patch, fine is small with a token for each latent.
 */
export const PRESETS = {
  tiny: { width: 128, depth: 4, heads: 4, patchSize: 2, bottleneck: 0, classTokens: 4, timeTokens: 2, head: "convolution", headChannels: 32 },
  small: { width: 192, depth: 6, heads: 6, patchSize: 2, bottleneck: 0, classTokens: 4, timeTokens: 2, head: "convolution", headChannels: 64 },
  crisp: { width: 192, depth: 6, heads: 6, patchSize: 2, bottleneck: 0, classTokens: 4, timeTokens: 2, head: "convolution", headChannels: 64, headBlocks: 4 },
  fine: { width: 192, depth: 6, heads: 6, patchSize: 1, bottleneck: 0, classTokens: 4, timeTokens: 2, head: "convolution", headChannels: 64 },
  dense: { width: 192, depth: 6, heads: 6, patchSize: 2, bottleneck: 0, classTokens: 16, timeTokens: 8, tokensPerPatch: 4, head: "convolution", headChannels: 64, headBlocks: 4 },
  B: { width: 768, depth: 12, heads: 12, patchSize: 2, bottleneck: 128, classTokens: 8, timeTokens: 4, head: "linear", headChannels: 0 },
  L: { width: 1024, depth: 24, heads: 16, patchSize: 2, bottleneck: 128, classTokens: 8, timeTokens: 4, head: "linear", headChannels: 0 },
  XL: { width: 1152, depth: 28, heads: 16, patchSize: 2, bottleneck: 128, classTokens: 8, timeTokens: 4, head: "linear", headChannels: 0 },
} as const satisfies Record<string, Omit<NetworkConfig, "imageSize" | "latentSize" | "latentChannels" | "classes">>;

export type PresetName = keyof typeof PRESETS;

/**
 * The network of a preset between given shapes.
 * @throws Error naming the presets there are
 */
export function networkConfig(preset: string, shapes: Pick<NetworkConfig, "imageSize" | "latentSize" | "latentChannels" | "classes">): NetworkConfig {
  if (!(preset in PRESETS)) throw new Error(`there is no preset "${preset}": choose one of ${Object.keys(PRESETS).join(", ")}`);
  return { ...PRESETS[preset as PresetName], ...shapes };
}

/** The data set that is no data set in memory: images with their latents in files. */
export const LATENT_SHARDS = "latent-shards";

/** What a training can learn from. */
export type TrainingDataset = DatasetConfig["name"] | typeof LATENT_SHARDS;

/** Everything that decides a training; saved with the run and in each checkpoint. */
export interface TrainConfig extends TimeOptions, TimeSamplerOptions, AverageOptions {
  /** Name of the run; its files lie in runs/NAME. */
  name: string;
  /** Seed of every random stream: order of the data, noise, times, weights, critic. */
  seed: number;
  /** "avatars", "folder", "cifar10" or "mnist"; or "latent-shards", a folder that `crossflow encode --images --keep-images` wrote, read batch by batch. */
  dataset: TrainingDataset;
  /** Folder of the data set's files, for all but the avatars. */
  dataPath: string;
  /** Mirror each image left to right with probability 1/2, anew in each epoch; only latent-shards hold the latents for it. */
  horizontalFlip: boolean;
  /** Height and width of the images, pixels. */
  imageSize: number;
  /** Training images; 0 for all there are (24,000 avatars). */
  trainCount: number;
  /** How often an epoch holds each image of a class, by class name; once where none is given. For classes that are hard to learn, or rare. */
  classRepeats: Record<string, number>;
  /** What is trained: "crossflow", or one of its baselines: "latent-flow", "latent-meanflow", "pixel-meanflow", "gan", "decoder". */
  method: string;
  /** The network's size: tiny, small, crisp, fine, dense, B, L or XL. */
  preset: string;
  /** What of the network learns: "all", or "head", what follows the transformer. A head that learns alone draws better what the transformer shows, and leaves that as it is. */
  trainedPart: string;
  /** File of a trained model (model.safetensors) whose weights a training starts from, and its averages; none where empty. Between networks of images and of latents all but the head is taken over. */
  initialModel: string;
  /** "small" (trained on the data set), or a pretrained one: "sd-vae", "sd-vae-ema" or "va-vae", whose weights are downloaded by hand. */
  encoder: string;
  /** Training steps of the small autoencoder, when none is cached. */
  encoderSteps: number;
  /** Optimiser steps. */
  steps: number;
  /** Images a step. */
  batchSize: number;
  /** Equal parts into which a batch is cut, one after the other, to save memory. */
  accumulation: number;
  /** Weight of each loss, by name. */
  losses: Record<string, number>;
  /** Step from which a loss counts, by name; 0 where none is given. */
  lossStart: Record<string, number>;
  /** Names of the classes whose images a loss pulls at, by name of the loss; all where none are given. */
  lossClasses: Record<string, string[]>;
  /** Steps over which a loss reaches its weight, by name; where none is given adversarialRamp for an adversarial loss, else 0. */
  lossRampSteps: Record<string, number>;
  /** How it gets there, by name: "linear" where none is given, "cosine", "warm-up", "fade" (from the weight to 0), or one of your own (defineRamp). */
  lossRamp: Record<string, string>;
  /** From what the times are drawn before their shift: "uniform" (the paper's), "logit-normal", or one of your own (defineTimeSampler). */
  timeSampler: string;
  /** Shift s of the times; 0 for the paper's sqrt(latent size / 4096). */
  timeShift: number;
  /** Along what F is differentiated: "conditional", eps - z (the paper's), or "marginal", its mean over the training latents of the class given z_t (ours). Of a latent flow: what its network learns. */
  velocity: string;
  /** What F(z_t, 0, y) learns from: "derivative", dF/dt as everywhere (the paper's), "consistency", F at an earlier point of the trajectory, "distillation", a trained network after many steps of its flow (both ours), "distribution", F's own image as it has to change for the samples' distribution to match a trained flow's, "reconstruction", a trained network's one-step image once through the autoencoder, which cleans flat areas, "refinement", the initial model's one-step image as a trained flow ends it, or "pairs", images that were made of the noise before, so that no step waits for a teacher. */
  endTarget: string;
  /** File of the noise and images that endTarget "pairs" learns from, which `crossflow pairs` writes. Samples with r = 0 then all start from noise. Pairs that are seen more than a few times are learned by heart. */
  pairsFile: string;
  /** File of the model that distillation, refinement and the matching of distributions learn from: of the method "latent-flow", or, for distillation, "crossflow". Empty: the initial model. */
  teacherModel: string;
  /** A CrossFlow network, or one of the method "decoder", that makes the images of the teacher's latents. Empty: the autoencoder's decoder. */
  decoderModel: string;
  /** A worse model of the teacher's flow, trained for a shorter time or with a smaller network, from which the teacher is led away. Empty: none. */
  guideModel: string;
  /** How far: v_guide + guidance (v_teacher - v_guide); 1 is the teacher's own flow. */
  guidance: number;
  /** Of endTarget "distribution": learning rates of the flow of the samples, in units of the network's. */
  sampleFlowRate: number;
  /** Of endTarget "distribution": first steps, in which the flow of the samples alone learns, at its peak rates; network and critic wait. Steps of lossStart and criticLead are counted from the first, too. It starts as the teacher's, and until it knows the samples the difference says little. */
  sampleFlowLead: number;
  /** Of endTarget "distribution": noisy versions of a sample that tell together where it moves; the more, the less chance there is in it. */
  matchingDraws: number;
  /** Of endTarget "distribution": how far a sample moves, in units of what the teacher misses of it when it is noised; 0 for the whole difference between teacher and samples. Goes with the loss "pixel-square", whose pull is as strong as the move is long. */
  matchingStep: number;
  /** Of endTarget "distribution": share of the samples with r = 0, those with t below 1 first, that learn by distillation, so that samples stay as different as the teacher's. */
  distilledShare: number;
  /** Of endTarget "distribution": share of the samples with r = 0 that learn by refinement of the initial model's images, so that what those leave undecided is decided, and samples are held near them. */
  refinedShare: number;
  /** Of refinement: from which share of t on the teacher's flow is followed; one step goes the way to there. */
  refinementStart: number;
  /** Of refinement: the noise with which an image is taken back to there: "own", that it was made of, or "exchanged", the same with its channels exchanged. */
  refinementNoise: string;
  /** Of refinement: in how many evaluations the teacher's flow is followed from there. */
  refinementEvaluations: number;
  /** Largest factor t (t - r) / r at which losses on pictures use x_hat. */
  correctionLimit: number;
  /** "muon" (on the matrices of the blocks, AdamW elsewhere) or "adamw". */
  optimizer: string;
  /** Peak learning rate of AdamW. */
  learningRate: number;
  /** Peak learning rate of Muon. */
  matrixLearningRate: number;
  /** Decoupled decay of the matrices, times the rate of their optimiser a step. */
  weightDecay: number;
  /** Steps over which the learning rates rise. */
  warmupSteps: number;
  /** Share of the peak rate that is left at the last step. */
  finalRateShare: number;
  /** Largest joint norm of the gradients; 0 for no limit. */
  clipNorm: number;
  /** Peak learning rate of the critic. */
  criticLearningRate: number;
  /** What the critic sees: "pixels" (it learns from them), "local" (it learns from them, and judges each place by its surroundings alone), or the frozen features of a pretrained network, by name. */
  criticNetwork: string;
  /** What samples are held against: "data", the row's image, or "targets", what the sample itself is taught to be (endTarget; not "derivative"). The critic then judges how it is drawn, since both show the same. */
  criticReal: string;
  /** Height and width to which images are resized for that network, pixels. */
  criticSize: number;
  /** Channels of the critic's first layer, or of each head on frozen features. */
  criticChannels: number;
  /** How what the critic sees is changed, real images and samples alike: names of AUGMENTATIONS and "colour" (the first three), joined by commas, or "none". */
  criticAugmentation: string;
  /** Weight of the critic's gradient penalty, and the length of its finite difference. */
  criticPenalty: number;
  criticPenaltyStep: number;
  /** Where the penalty holds: on "real" images (R1), on the network's "samples" (R2), or on "both". */
  criticPenaltyOn: string;
  /** Steps of the critic alone before its loss counts for the network. */
  criticLead: number;
  /** Steps over which the adversarial loss rises to its weight. */
  adversarialRamp: number;
  /** The frozen network of the perceptual loss. */
  perceptualNetwork: string;
  /** Height and width to which images are resized for it, pixels. */
  perceptualSize: number;
  /** Steps between checkpoints; the last step always has one. */
  checkpointEvery: number;
  /** Steps between snapshots of two averages, from which an average of any relative spread can be made afterwards (postHocModel()); 0 for none. The last step has one too. */
  snapshotEvery: number;
  /** Of the snapshots: "float16", 4 bytes a parameter and snapshot (3.7 MB at the preset tiny), or "float32", twice that. */
  snapshotPrecision: string;
  /** Steps between grids of samples; 0 for none. */
  sampleEvery: number;
  /** "float32", or "bf16": factors of matrix products and convolutions in bfloat16, weights and sums in float32. */
  precision: string;
  /** Keep of each transformer block its input alone, and compute it again in the backward pass: less memory for one more evaluation. */
  recompute: boolean;
  /** Steps between diagnostics, which also look for signs of a collapse; 0 for none. */
  diagnosticsEvery: number;
  /** Run each step as one compiled graph where the engine can. */
  compile: boolean;
}

interface Option<Value> {
  default: Value;
  unit: string;
  /** What a valid value is, in words, and the test. */
  expected: string;
  valid: (value: Value) => boolean;
  /** The names that a value may have, where it is a name. */
  names?: () => readonly string[];
}

const text = (value: string, expected = "a text"): Option<string> => ({ default: value, unit: "", expected, valid: (given) => typeof given === "string" });
const oneOf = <Choice extends string>(value: Choice, choices: readonly Choice[]): Option<Choice> => ({ default: value, unit: "", expected: `one of ${choices.join(", ")}`, valid: (given) => choices.includes(given), names: () => choices });
/** A name that a registry knows, now or when it is used. */
const registered = (value: string, names: () => string[]): Option<string> => ({
  default: value,
  unit: "",
  get expected() {
    return `one of ${names().join(", ")}`;
  },
  valid: (given) => names().includes(given),
  names,
});
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const count = (value: number, unit: string, least = 1): Option<number> => ({ default: value, unit, expected: `a whole number of at least ${least}`, valid: (given) => Number.isInteger(given) && given >= least });
const rate = (value: number, unit = ""): Option<number> => ({ default: value, unit, expected: "a number of at least 0", valid: (given) => isNumber(given) && given >= 0 });
const share = (value: number, unit = "share"): Option<number> => ({ default: value, unit, expected: "a number from 0 to 1", valid: (given) => isNumber(given) && given >= 0 && given <= 1 });
const byName = (value: Record<string, number>, unit: string): Option<Record<string, number>> => ({ default: value, unit, expected: "numbers by loss name", valid: (given) => typeof given === "object" && given !== null && Object.values(given).every(isNumber) });
const rampByName: Option<Record<string, string>> = {
  default: {},
  unit: "",
  get expected() {
    return `a ramp (${rampNames().join(", ")}) by loss name`;
  },
  valid: (given) => typeof given === "object" && given !== null && Object.values(given).every((name) => rampNames().includes(name)),
  names: rampNames,
};

/** Pretrained networks that losses may stand on; `FEATURE_NETWORKS` names the same, and their loader is too much to load for a check of a configuration. */
const FROZEN_NETWORKS = ["efficientnet-lite0", "efficientnet-lite2", "inception-fid", "lpips-vgg16", "dinov2-s", "dinov2-b", "dinov3-s", "dinov3-b"];

/** Every option of a training with its default, unit and valid values. */
export const TRAIN_OPTIONS: { [Key in keyof TrainConfig]: Option<TrainConfig[Key]> } = {
  name: { default: "avatars", unit: "", expected: "letters, digits, '.', '-' and '_', with a letter or digit first", valid: (name) => typeof name === "string" && /^[A-Za-z0-9][\w.-]*$/.test(name) },
  seed: { default: 0, unit: "", expected: "a whole number from 0 to 4294967295", valid: (seed) => Number.isInteger(seed) && seed >= 0 && seed <= 0xffffffff },
  dataset: oneOf<TrainingDataset>("avatars", [...DATASET_NAMES, LATENT_SHARDS]),
  dataPath: text("", "a folder"),
  horizontalFlip: { default: false, unit: "", expected: "true or false", valid: (given) => typeof given === "boolean" },
  imageSize: { default: 32, unit: "pixels", expected: "a power of two from 16", valid: (size) => Number.isInteger(Math.log2(size)) && size >= 16 },
  trainCount: count(0, "images", 0),
  classRepeats: { default: {}, unit: "times", expected: "whole numbers of at least 1 by class name", valid: (given) => typeof given === "object" && given !== null && Object.values(given).every((times) => Number.isInteger(times) && times >= 1) },
  method: oneOf<string>("crossflow", METHOD_NAMES),
  preset: oneOf<string>("tiny", Object.keys(PRESETS)),
  trainedPart: oneOf<string>("all", ["all", "head"]),
  initialModel: text("", "a file"),
  encoder: oneOf<string>("small", ["small", "sd-vae", "sd-vae-ema", "va-vae"]),
  encoderSteps: count(VAE_DEFAULTS.steps, "steps"),
  steps: count(1200, "steps"),
  batchSize: count(64, "images"),
  accumulation: count(1, "parts"),
  losses: byName({ pixel: 1 }, "weight"),
  lossStart: byName({}, "step"),
  lossClasses: { default: {}, unit: "", expected: "lists of class names, none of them empty, by loss name", valid: (given) => typeof given === "object" && given !== null && Object.values(given).every((names) => Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === "string")) },
  lossRampSteps: byName({}, "steps"),
  lossRamp: rampByName,
  timeSampler: registered("uniform", timeSamplerNames),
  timeMean: { default: -0.4, unit: "of the logit", expected: "a number", valid: isNumber },
  timeSpread: { default: 1, unit: "of the logit", expected: "a number above 0", valid: (given) => isNumber(given) && given > 0 },
  minimumTime: { default: 0.02, unit: "of the trajectory", expected: "a number above 0 and below 0.5", valid: (time) => isNumber(time) && time > 0 && time < 0.5 },
  diagonalShare: share(0.5, "share of the batch"),
  endShare: share(0.35, "share of the batch"),
  boundaryShare: share(0.2, "share of the samples with r = t"),
  noiseShare: share(0.4, "share of the samples with r = 0"),
  timeShift: rate(1),
  velocity: oneOf<string>("marginal", ["conditional", "marginal"]),
  endTarget: oneOf<string>("derivative", ["derivative", "consistency", "distillation", "distribution", "reconstruction", "refinement", "pairs"]),
  pairsFile: text("", "a file"),
  teacherModel: text("", "a file"),
  decoderModel: text("", "a file"),
  guideModel: text("", "a file"),
  guidance: { default: 2, unit: "", expected: "a number of at least 1", valid: (given) => isNumber(given) && given >= 1 },
  sampleFlowRate: rate(4, "of the network's"),
  sampleFlowLead: count(0, "steps", 0),
  matchingDraws: { default: 1, unit: "a sample and step", expected: `a whole number from 1 to ${MATCHING_DRAWS}`, valid: (given) => Number.isInteger(given) && given >= 1 && given <= MATCHING_DRAWS },
  matchingStep: rate(0),
  distilledShare: share(0.3, "share of the samples with r = 0"),
  refinedShare: share(0, "share of the samples with r = 0"),
  refinementStart: share(0.3, "share of t"),
  refinementNoise: oneOf<string>("own", ["own", "exchanged"]),
  refinementEvaluations: count(4, "evaluations"),
  correctionLimit: rate(1),
  optimizer: oneOf<string>("muon", ["muon", "adamw"]),
  learningRate: rate(2e-3, "a step"),
  matrixLearningRate: rate(0.01, "a step"),
  weightDecay: rate(0.1),
  warmupSteps: count(60, "steps", 0),
  finalRateShare: share(0.02),
  clipNorm: rate(1),
  emaKind: oneOf<string>("constant", Object.keys(AVERAGE_KINDS)),
  emaDecay: { default: 0.995, unit: "a step", expected: "a number from 0 to below 1", valid: (decay) => isNumber(decay) && decay >= 0 && decay < 1 },
  emaHalfLife: { default: 140, unit: "steps", expected: "a number above 0", valid: (given) => isNumber(given) && given > 0 },
  emaRampShare: { default: 0.05, unit: "of the steps so far", expected: "a number above 0", valid: (given) => isNumber(given) && given > 0 },
  emaRelativeSpread: { default: 0.1, unit: "of the training's length", expected: `a number above 0 and at most ${LARGEST_SPREAD.toFixed(4)}`, valid: (given) => isNumber(given) && given > 0 && given <= LARGEST_SPREAD },
  criticLearningRate: rate(4e-4, "a step"),
  criticNetwork: oneOf<string>("pixels", [...PIXEL_CRITICS, ...FROZEN_NETWORKS]),
  criticReal: oneOf<string>("data", ["data", "targets"]),
  criticSize: count(48, "pixels", 16),
  criticChannels: count(24, "channels"),
  criticAugmentation: { default: "translation", unit: "", expected: `"none", or of ${[...AUGMENTATIONS, "colour"].join(", ")} some joined by commas`, valid: (given) => typeof given === "string" && augmentationsOf(given) !== undefined, names: () => [...AUGMENTATIONS, "colour", "none"] },
  criticPenalty: rate(0.05),
  criticPenaltyStep: rate(0.05, "of the images' range"),
  criticPenaltyOn: oneOf<string>("both", ["both", "real", "samples"]),
  criticLead: count(60, "steps", 0),
  adversarialRamp: count(200, "steps", 0),
  perceptualNetwork: oneOf<string>("efficientnet-lite0", FROZEN_NETWORKS),
  perceptualSize: count(48, "pixels", 16),
  checkpointEvery: count(500, "steps"),
  snapshotEvery: count(0, "steps", 0),
  snapshotPrecision: oneOf<string>("float16", ["float16", "float32"]),
  sampleEvery: count(200, "steps", 0),
  precision: oneOf<string>("float32", ["float32", "bf16"]),
  recompute: { default: false, unit: "", expected: "true or false", valid: (given) => typeof given === "boolean" },
  diagnosticsEvery: count(50, "steps", 0),
  compile: { default: true, unit: "", expected: "true or false", valid: (given) => typeof given === "boolean" },
};

/**
 * Settings of the paper (Sec. 3.3 and Table 3) over which small runs differ: the unweighted L1 residual, its optimiser, schedule and average.
 * The batch of 2048 and the 160 epochs are the reader's to afford.
 */
export const PAPER_SETTINGS: Partial<TrainConfig> = { losses: { "pixel-paper": 1 }, velocity: "conditional", timeShift: 0, minimumTime: 0.01, diagonalShare: 0.5, endShare: 0, boundaryShare: 0, matrixLearningRate: 8e-4, learningRate: 8e-4, emaDecay: 0.9999 };

/** Presets that are trained with batches for which the paper's settings were made; the smaller ones learn nothing with its raw weight (docs/variants.md). */
const PAPER_PRESETS: readonly string[] = ["B", "L", "XL"] satisfies PresetName[];

/**
 * Completes and checks a configuration: the presets B, L and XL start from the paper's settings, the others from what trained best at the size of tiny and small.
 * @param given any of the options
 * @returns all options
 * @throws Error listing every unknown key (with the nearest known ones) and every value out of range
 */
export function resolveConfig(given: Partial<TrainConfig> = {}): TrainConfig {
  const defaults = Object.fromEntries(Object.entries(TRAIN_OPTIONS).map(([key, option]) => [key, option.default]));
  const config = { ...defaults, ...(PAPER_PRESETS.includes(given.preset ?? "") && PAPER_SETTINGS), ...METHOD_SETTINGS[given.method as MethodName], ...given } as TrainConfig;
  const faults: string[] = [];
  for (const [key, value] of Object.entries(config)) {
    const option = TRAIN_OPTIONS[key as keyof TrainConfig] as Option<unknown> | undefined;
    if (!option) {
      const near = nearestNames(key, Object.keys(TRAIN_OPTIONS));
      faults.push(`there is no option "${key}"${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`);
    } else if (!option.valid(value)) {
      const near = option.names ? [value].flatMap((given) => (typeof given === "object" && given !== null ? Object.values(given) : [given])).flatMap((given) => (typeof given === "string" ? nearestNames(given, option.names!()) : [])) : [];
      faults.push(`${key} must be ${option.expected}${option.unit ? ` (${option.unit})` : ""}, not ${JSON.stringify(value)}${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`);
    }
  }
  if (faults.length === 0 && config.batchSize % config.accumulation !== 0) faults.push(`accumulation ${config.accumulation} does not divide batchSize ${config.batchSize}`);
  if (faults.length === 0 && config.endTarget !== "derivative" && config.method !== "crossflow") faults.push(`endTarget "${config.endTarget}" is for the method "crossflow", not "${config.method}": set endTarget to "derivative"`);
  if (faults.length === 0 && config.endTarget !== "derivative" && (config.endShare === 0 || config.diagonalShare === 1)) faults.push(`endTarget "${config.endTarget}" is what samples with r = 0 learn from, and there are none with endShare ${config.endShare} and diagonalShare ${config.diagonalShare}: set endShare above 0 and diagonalShare below 1, or endTarget to "derivative"`);
  if (faults.length === 0 && (config.endTarget === "distillation" || config.endTarget === "reconstruction") && config.teacherModel === "" && config.initialModel === "") faults.push(`endTarget "${config.endTarget}" learns from a trained network: set teacherModel to its file (train --teacher FILE), or initialModel (train --from FILE)`);
  if (faults.length === 0 && config.endTarget === "distribution" && config.teacherModel === "") faults.push(`endTarget "distribution" learns from a trained latent flow: set teacherModel to its file (train --teacher FILE)`);
  if (faults.length === 0 && config.endTarget === "refinement" && (config.teacherModel === "" || config.initialModel === "")) faults.push(`endTarget "refinement" learns from a network's one-step images as a trained latent flow ends them: set initialModel to the network's file (train --from FILE) and teacherModel to the flow's (train --teacher FILE)`);
  if (faults.length === 0 && config.endTarget === "distribution" && isRefined(config) && config.initialModel === "") faults.push(`refinedShare is the share of the samples that learn from the initial model's images as the teacher ends them: set initialModel to its file (train --from FILE), or refinedShare to 0`);
  if (faults.length === 0 && config.endTarget === "distribution" && config.distilledShare + config.refinedShare > 1) faults.push(`distilledShare and refinedShare are parts of the same samples, and ${config.distilledShare} and ${config.refinedShare} are more than all: lower one of them`);
  if (faults.length === 0 && config.endTarget === "distribution" && config.sampleFlowLead >= config.steps) faults.push(`sampleFlowLead ${config.sampleFlowLead} leaves the network nothing of ${config.steps} steps: set it to fewer, or steps to more`);
  if (faults.length === 0 && config.criticReal === "targets" && config.endTarget === "derivative") faults.push(`criticReal "targets" holds samples against what they are taught to be, and with endTarget "derivative" they are taught no image: set endTarget to another, or criticReal to "data"`);
  if (faults.length === 0 && config.endTarget === "pairs" && config.pairsFile === "") faults.push(`endTarget "pairs" learns from noise and images that a teacher made before: set pairsFile to their file (npx crossflow pairs makes it; train --pairs FILE)`);
  if (faults.length === 0 && config.endTarget !== "pairs" && config.pairsFile !== "") faults.push(`pairsFile serves endTarget "pairs", and endTarget is "${config.endTarget}": set it to "pairs", or leave out pairsFile`);
  for (const key of ["teacherModel", "guideModel", "decoderModel"] as const) {
    const serves = key === "teacherModel" ? TAUGHT : TAUGHT.filter((target) => target !== "reconstruction");
    if (faults.length === 0 && config[key] !== "" && !serves.includes(config.endTarget)) faults.push(`${key} serves endTarget ${new Intl.ListFormat("en").format(serves.map((target) => `"${target}"`))}, and endTarget is "${config.endTarget}": set it to one of them, or leave out ${key}`);
  }
  if (faults.length === 0 && config.velocity === "marginal" && !TAKES_MARGINAL.includes(config.method)) faults.push(`velocity "marginal" serves the methods ${TAKES_MARGINAL.join(" and ")}, not "${config.method}": set velocity to "conditional"`);
  if (faults.length === 0 && config.endTarget === "consistency" && config.velocity !== "marginal") faults.push(`endTarget "consistency" follows the marginal velocity: set velocity to "marginal", not "${config.velocity}"`);
  if (faults.length > 0) throw new Error(`the configuration can not be used: ${faults.join("; ")}`);
  return config;
}

/** Methods that can learn along the mean of the training latents. */
const TAKES_MARGINAL: readonly string[] = ["crossflow", "latent-flow"] satisfies MethodName[];

/** Values of endTarget with which F learns from a trained network. */
const TAUGHT: readonly string[] = ["distillation", "distribution", "reconstruction", "refinement"];

/** Whether a training has a teacher. */
export const isTaught = ({ endTarget }: Pick<TrainConfig, "endTarget">): boolean => TAUGHT.includes(endTarget);

/** Whether a training learns from the initial model's one-step images as a teacher ends them, of all samples with r = 0 or of a share. */
export const isRefined = ({ endTarget, refinedShare }: Pick<TrainConfig, "endTarget" | "refinedShare">): boolean => endTarget === "refinement" || (endTarget === "distribution" && refinedShare > 0);

/** The shift of the times that a configuration means for a latent of the given size. */
export function resolvedTimeShift(config: TrainConfig, latentSize: number): number {
  return config.timeShift > 0 ? config.timeShift : timeShiftFor(latentSize);
}
