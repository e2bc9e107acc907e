import type { TrainConfig } from "../config";
import type { Diagnostics } from "./index";
import { DIAGONAL_ROW, END_ROW, REGION_COLUMNS, regionMean } from "./regions";

/** A sign that a training collapses, with what most likely causes it and what cures it. */
export interface Alarm {
  name: "small times lead" | "one-step region starves" | "critic too strong" | "learning rate too high" | "images drift at r = 0";
  /** What was measured. */
  sign: string;
  cause: string;
  cure: string;
}

/** The limits at which alarms are raised. */
export const ALARM_LIMITS = {
  /** Share of the gradient that samples with t < 0.1 may bring, unless they are as large a share of the batch. */
  smallTimesShare: 0.7,
  /** Least gradient of a sample with r < 0.2 and t > 0.8, as a share of an average sample's. */
  oneStepShare: 0.1,
  /** The same for each unit by which F misses its target. */
  oneStepGain: 0.6,
  /** From this batch on the raw weight averages out. */
  largeBatch: 512,
  /** Share of pairs in which the critic may tell real from made, and the gap of its scores. */
  criticAccuracy: 0.95,
  criticGap: 4,
  /** Largest movement of a part of the weights in one step, as a share of them. */
  updateToWeight: 0.02,
  /** Growth of the residual over its lowest level. */
  residualGrowth: 1.5,
  /** Samples that a region must have before its mean is trusted. */
  leastSamples: 8,
};

const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

type Rule = (latest: Diagnostics, earlier: readonly Diagnostics[], config: TrainConfig) => Alarm | undefined;

/** L2 of the raw residual: its gradient grows like 1 / t^3 towards t = 0, so the clipped gradient is that of a few samples. */
const smallTimesLead: Rule = ({ regions }) => {
  const [all, small] = [regionMean(regions, "gradient", () => true), regionMean(regions, "gradient", (_, column) => column === 0)];
  if (small.count < ALARM_LIMITS.leastSamples || all.mean === 0) return undefined;
  const [samples, gradient] = [small.count / all.count, (small.count * small.mean) / (all.count * all.mean)];
  if (gradient < ALARM_LIMITS.smallTimesShare || samples > gradient / 2) return undefined;
  return {
    name: "small times lead",
    sign: `${percent(gradient)} of the gradient comes from the ${percent(samples)} of the samples with t < 0.1`,
    cause: "the loss weighs R with r / t^2 and squares it, so that the clipped gradient is that of a few nearly clean samples: the network becomes a denoiser that ignores r and y",
    cure: "take the gradient through the prediction (losses: { pixel: 1 }), L1 (pixel-paper) or the adaptive weight (pixel-paper-adaptive), or a minimumTime of 0.02 or more",
  };
};

/** The raw weight r / t^2 in a small batch: the pairs that one-step sampling uses get next to nothing. */
const oneStepRegionStarves: Rule = ({ regions, sensitivity }, _, config) => {
  if (config.batchSize >= ALARM_LIMITS.largeBatch) return undefined;
  const isOneStep = (row: number, column: number): boolean => row >= END_ROW - 2 && column === REGION_COLUMNS.length - 1; // r = 0, and the two bins up to 0.2
  const share = (key: "gradient" | "residual"): number => regionMean(regions, key, isOneStep).mean / Math.max(regionMean(regions, key, () => true).mean, 1e-12);
  const [gradient, residual] = [share("gradient"), share("residual")];
  // Where F is already right, a small gradient is no fault.
  if (regionMean(regions, "gradient", isOneStep).count < ALARM_LIMITS.leastSamples || gradient >= ALARM_LIMITS.oneStepShare || gradient >= ALARM_LIMITS.oneStepGain * residual) return undefined;
  return {
    name: "one-step region starves",
    sign: `a sample with r < 0.2 and t > 0.8 gets ${percent(gradient)} of an average sample's gradient; class sensitivity ${sensitivity.class}`,
    cause: `the pixel loss weighs R with r / t^2, which is nearly 0 where one-step sampling lives; a batch of ${config.batchSize} does not average it out, and clipping keeps the others' noise`,
    cure: "give every sample the same pull (losses: { pixel: 1 }, or pixel-l1 with endShare: 0), or train with batches of 512 and more",
  };
};

const criticTooStrong: Rule = ({ critic }) => {
  if (!critic || critic.accuracy < ALARM_LIMITS.criticAccuracy || critic.gap < ALARM_LIMITS.criticGap) return undefined;
  return {
    name: "critic too strong",
    sign: `the critic tells real from made in ${percent(critic.accuracy)} of the pairs, by a gap of ${critic.gap} on average`,
    cause: "it learns faster than the network, or nothing keeps its slope small: its gradient then points away from what it knows, not towards better pictures",
    cure: "lower criticLearningRate, raise criticPenalty (on both real images and samples), shorten criticLead, or take fewer criticChannels",
  };
};

const grown = ({ residual }: Diagnostics, earlier: readonly Diagnostics[]): number => residual.mean / Math.min(residual.start, ...earlier.map((each) => each.residual.mean));
/** Over the whole training, since the rate falls towards its end. */
const largestUpdate = (history: readonly Diagnostics[]): number => Math.max(...history.flatMap(({ updateToWeight }) => Object.values(updateToWeight)));

const learningRateTooHigh: Rule = (latest, earlier, config) => {
  const [growth, update] = [grown(latest, earlier), largestUpdate([...earlier, latest])];
  if (growth < ALARM_LIMITS.residualGrowth || update < ALARM_LIMITS.updateToWeight) return undefined;
  return {
    name: "learning rate too high",
    sign: `F misses its target by ${growth.toFixed(1)} times as much as at its best, and one step moved a part of the weights by ${percent(update)}`,
    cause: "each step jumps over what the one before has learned",
    cure: `divide learningRate (${config.learningRate})${config.optimizer === "muon" ? ` and matrixLearningRate (${config.matrixLearningRate})` : ""} by 3 to 10, or warm up longer (warmupSteps ${config.warmupSteps})`,
  };
};

const imagesDrift: Rule = (latest, earlier) => {
  const growth = grown(latest, earlier);
  if (growth < ALARM_LIMITS.residualGrowth || largestUpdate([...earlier, latest]) >= ALARM_LIMITS.updateToWeight) return undefined;
  const [end, diagonal] = [regionMean(latest.regions, "residual", (row) => row === END_ROW), regionMean(latest.regions, "residual", (row) => row === DIAGONAL_ROW)];
  // Where no sample has r = t, there is nothing to compare with.
  if (Math.min(end.count, diagonal.count) < ALARM_LIMITS.leastSamples || end.mean < 2 * diagonal.mean) return undefined;
  return {
    name: "images drift at r = 0",
    sign: `at r = 0 F misses its target by ${(end.mean / diagonal.mean).toFixed(1)} times as much as at r = t, and the residual is ${growth.toFixed(1)} times its lowest`,
    cause: "the target at r = 0 is made of F's own derivative, and no sample ties it to an image: errors feed on themselves",
    cure: "give the boundary samples (boundaryShare 0.2: r = t near 0), fewer with r = 0 (endShare), or a lower learning rate",
  };
};

const RULES: readonly Rule[] = [smallTimesLead, oneStepRegionStarves, criticTooStrong, learningRateTooHigh, imagesDrift];

/**
 * The alarms that a training's newest diagnostics raise.
 * @param history diagnostics of the training, oldest first, the newest last
 * @returns the likeliest cause first; none for a healthy training
 */
export function collapseAlarms(history: readonly Omit<Diagnostics, "alarms">[], config: TrainConfig): Alarm[] {
  const all = history as readonly Diagnostics[];
  const latest = all[all.length - 1];
  const raised = RULES.flatMap((rule) => rule(latest, all.slice(0, -1), config) ?? []);
  // Where small times lead, all other regions starve: that is the same fault.
  return raised.some(({ name }) => name === "small times lead") ? raised.filter(({ name }) => name !== "one-step region starves") : raised;
}

/** An alarm in one line. */
export function describeAlarm({ name, sign, cause, cure }: Alarm): string {
  return `${name}: ${sign}. Likely cause: ${cause}. Cure: ${cure}.`;
}
