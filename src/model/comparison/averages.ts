import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { latestCheckpoint, readCheckpointRecord } from "../checkpoint";
import { generateImages } from "../baselines";
import { resolveConfig, type TrainConfig } from "../config";
import { tf } from "../engine/tf";
import { interruptSignal } from "../interrupt";
import { lossNetworksOf } from "../metrics";
import { disposeModel, loadModel, saveModel } from "../model";
import { nearestNames } from "../nearest-name";
import { emaDecayAt, updateEma, type AverageOptions } from "../optimizer";
import { createProgress } from "../progress";
import type { Resources } from "../resources";
import { runPaths } from "../run";
import { float32Values, readSafetensors, writeSafetensors, type SafetensorsTensor } from "../safetensors";
import { postHocModel } from "../snapshots";
import { train } from "../trainer";
import { COMPARE_DEFAULTS, comparisonFolder, finishComparison, type CompareOptions, type Comparison } from "./compare";
import { hashOf } from "./fingerprint";
import { createDefaultMeasure } from "./measure";
import { planJobs, type Job } from "./plan";
import { createResourcePool } from "./resource-pool";
import { appendResult, cachedResult, readResults, type RunResult } from "./results";
import { learningCurve } from "./run-job";

/** An average that is kept while training, as the configuration's options say, or one that is made afterwards of the snapshots. */
export type AverageVariant = Partial<AverageOptions> | { postHocSpread: number };

export interface CompareAveragesOptions extends CompareOptions {
  /** Only so many trainings that are not done yet; all by default. */
  limit?: number;
}

/** Work of measuring one average, in training steps, as far as the time left is concerned. */
const MEASURING_STEPS = 30;
/** Snapshots of a training whose configuration does not say how many. */
const SNAPSHOTS = 30;
const AVERAGE_OPTIONS: readonly string[] = ["emaKind", "emaDecay", "emaHalfLife", "emaRampShare", "emaRelativeSpread", "postHocSpread"] satisfies (keyof AverageOptions | "postHocSpread")[];

/**
 * Compares averages of the weights. An average does not change the training that it is of, so that all of them are taken of one training a seed, measured and analysed as
 * compare() does: differences are those of the averages alone.
 *
 *     await compareAverages({ usual: {}, none: { emaDecay: 0 }, wide: { postHocSpread: 0.2 } }, { seeds: 5, budget: { steps: 300, batchSize: 32 } });
 *
 * Trainings that are finished, and averages that are measured, are kept, and a training that was interrupted goes on with its averages. One that was killed begins anew.
 * @param averages options of an average by name, beside those of `base`
 * @throws Error before anything runs when an average is faulty (it is one for an option that would change the training); the signal's reason when aborted
 */
export async function compareAverages(averages: Readonly<Record<string, AverageVariant>>, options: CompareAveragesOptions): Promise<Comparison> {
  const { name, samples } = { ...COMPARE_DEFAULTS, name: "averages", ...options };
  const { limit = Infinity, base = {}, budget } = options;
  const signal = options.signal ?? interruptSignal();
  const kept = checkedAverages(averages, base);
  const snapshotEvery = base.snapshotEvery ?? Math.max(1, Math.floor(budget.steps / SNAPSHOTS));
  const trainings = planJobs({ training: {} }, { ...options, base: { ...base, snapshotEvery } });
  const folder = comparisonFolder(name, options.comparisonsFolder);
  const resultsFile = join(folder, "results.jsonl");
  const jobsOf = (training: Job): Job[] => Object.entries(averages).map(([variant, average]) => ({ ...training, key: hashOf([training.key, average]), variant }));
  const missing = (training: Job): Job[] => jobsOf(training).filter(({ key }) => !cachedResult(readResults(resultsFile), key, samples));
  const unfinished = trainings.filter((training) => missing(training).length > 0);
  const finished = trainings.length - unfinished.length;
  const waiting = unfinished.slice(0, limit);
  const measured = options.measure ? { measure: options.measure, dispose: () => undefined } : createDefaultMeasure();
  const pool = createResourcePool({ signal, onProgress: options.onProgress });
  const perTraining = budget.steps + MEASURING_STEPS * Object.keys(averages).length;
  const progress = createProgress({ label: "comparing averages", total: (finished + waiting.length) * perTraining, done: finished * perTraining, onUpdate: options.onProgress });
  try {
    for (const training of waiting) {
      const resources = options.resources ?? (await pool.get(training.config));
      const runsFolder = join(folder, "runs");
      const paths = runPaths(training.key, runsFolder);
      const fileOf = ({ key }: Job): string => join(paths.folder, "averages", `${key}.safetensors`);
      if (!jobsOf(training).every((job) => existsSync(fileOf(job)))) {
        await trainWithAverages(training, {
          averages, kept, resources, runsFolder, signal,
          onProgress: options.onProgress,
          onStep: () => void progress.advance(),
          fileOf: (variant) => fileOf(jobsOf(training).find((job) => job.variant === variant)!),
        });
      }
      for (const job of missing(training)) {
        signal.throwIfAborted();
        const model = await loadModel(fileOf(job));
        try {
          const metrics = await measured.measure({ generate: (labels, seed) => generateImages(model, labels, { seed, encoder: resources.encoder }), resources, config: job.config, samples, signal, onProgress: options.onProgress });
          const result: RunResult = { key: job.key, variant: job.variant, seed: job.seed, samples, model: fileOf(job), status: "done", metrics, lossNetworks: lossNetworksOf(model), ...learningCurve(paths.metricsFile) };
          await appendResult(resultsFile, result);
          options.onResult?.(result);
        } finally {
          disposeModel(model);
        }
        progress.advance(MEASURING_STEPS);
      }
    }
  } finally {
    measured.dispose();
    pool.dispose();
  }
  return finishComparison(trainings.flatMap(jobsOf), readResults(resultsFile), { ...options, name, samples, folder });
}

/** What the averages are in a training under way: variables by average and parameter. */
type States = Record<string, Record<string, tf.Variable>>;

interface TrainWithAveragesOptions {
  averages: Readonly<Record<string, AverageVariant>>;
  /** Those of them that are kept while training. */
  kept: Readonly<Record<string, AverageOptions>>;
  resources: Resources;
  runsFolder: string;
  signal: AbortSignal;
  onProgress: CompareOptions["onProgress"];
  onStep: () => void;
  /** Where the model of an average goes. */
  fileOf: (variant: string) => string;
}

/** Runs a training, or goes on with an interrupted one, and writes a model of each average. What only the training needed goes. */
async function trainWithAverages(training: Job, { averages, kept, resources, runsFolder, signal, onProgress, onStep, fileOf }: TrainWithAveragesOptions): Promise<void> {
  const paths = runPaths(training.key, runsFolder);
  const partial = join(paths.folder, "averages", "unfinished.safetensors");
  const held = await readUnfinished(partial, kept, latestCheckpoint(paths.checkpoints));
  const states: States = {};
  let reached = 0;
  const onWeights = (step: number, parameters: Readonly<Record<string, tf.Tensor>>): void => {
    reached = step;
    for (const [variant, average] of Object.entries(kept)) {
      if (held && !states[variant]) states[variant] = variablesOf(parameters, (key, { shape }) => tf.tensor(held[`${variant}/${key}`], shape));
      else if (step === 0) states[variant] = variablesOf(parameters, (_, tensor) => tf.add(tensor, 0));
      else tf.tidy(() => updateEma(states[variant], { ...parameters }, tf.scalar(emaDecayAt(step - 1, average))));
    }
  };
  try {
    for await (const event of train({ ...training.config, sampleEvery: 0 }, { resources, runsFolder, existing: held ? "resume" : "replace", signal, onProgress, onWeights })) {
      void event;
      onStep();
    }
    await saveAverages(averages, states, paths.modelFile, paths.snapshots, fileOf);
    // What the averages were made of takes many times their room.
    await Promise.all([partial, paths.checkpoints, paths.snapshots, `${paths.folder}.previous`].map((spare) => rm(spare, { recursive: true, force: true })));
  } catch (error) {
    if (signal.aborted && reached > 0) await saveUnfinished(partial, states, reached);
    throw error;
  } finally {
    tf.dispose(states);
  }
}

function variablesOf(parameters: Readonly<Record<string, tf.Tensor>>, valueOf: (key: string, parameter: tf.Tensor) => tf.Tensor): Record<string, tf.Variable> {
  return Object.fromEntries(Object.entries(parameters).map(([key, parameter]) => [key, tf.tidy(() => tf.variable(valueOf(key, parameter), false))]));
}

/** Keeps the averages of an interrupted training beside its checkpoint of the same step. */
async function saveUnfinished(file: string, states: States, step: number): Promise<void> {
  const tensors = Object.entries(states).flatMap(([variant, state]) => Object.entries(state).map(([key, variable]): [string, SafetensorsTensor] => [`${variant}/${key}`, { dtype: "F32", shape: variable.shape, data: variable.dataSync() as Float32Array }]));
  await writeSafetensors(file, Object.fromEntries(tensors), { step: String(step) });
}

/** The averages that go with a checkpoint, where those asked for are all there. */
async function readUnfinished(file: string, kept: Readonly<Record<string, AverageOptions>>, checkpoint: string | undefined): Promise<Record<string, Float32Array> | undefined> {
  if (checkpoint === undefined || !existsSync(file)) return undefined;
  const { tensors, metadata } = await readSafetensors(file);
  const complete = Object.keys(kept).every((variant) => Object.keys(tensors).some((name) => name.startsWith(`${variant}/`)));
  if (!complete || Number(metadata.step) !== readCheckpointRecord(checkpoint).step) return undefined;
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, float32Values(tensor, name)]));
}

/** Writes each average of a finished training as a model. */
async function saveAverages(averages: Readonly<Record<string, AverageVariant>>, states: Record<string, Record<string, tf.Tensor>>, modelFile: string, snapshots: string, fileOf: (variant: string) => string): Promise<void> {
  const trained = await loadModel(modelFile);
  try {
    for (const [variant, average] of Object.entries(averages)) {
      if ("postHocSpread" in average) {
        const { model } = await postHocModel(snapshots, { relativeSpread: average.postHocSpread });
        await saveModel(fileOf(variant), model).finally(() => disposeModel(model));
      } else await saveModel(fileOf(variant), { ...trained, parameters: states[variant], provenance: { ...trained.provenance, average } });
    }
  } finally {
    disposeModel(trained);
  }
}

/**
 * The options of the averages that are kept while training, by name.
 * @throws Error listing every option that is none of an average, with near names, and every value out of range
 */
function checkedAverages(averages: Readonly<Record<string, AverageVariant>>, base: Partial<TrainConfig>): Record<string, AverageOptions> {
  const faults: string[] = [];
  const checked = Object.entries(averages).flatMap(([variant, average]): [string, AverageOptions][] => {
    const unknown = Object.keys(average).filter((key) => !AVERAGE_OPTIONS.includes(key));
    for (const key of unknown) {
      const near = nearestNames(key, AVERAGE_OPTIONS);
      faults.push(`${variant}: "${key}" is no option of an average${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : `: ${AVERAGE_OPTIONS.join(", ")}`}`);
    }
    if (unknown.length > 0) return [];
    const { postHocSpread, ...direct } = average as Partial<AverageOptions> & { postHocSpread?: number };
    try {
      const config = resolveConfig({ ...base, ...direct, ...(postHocSpread === undefined ? {} : { emaRelativeSpread: postHocSpread }) });
      return postHocSpread === undefined ? [[variant, config]] : [];
    } catch (error) {
      faults.push(`${variant}: ${(error as Error).message}`);
      return [];
    }
  });
  if (Object.keys(averages).length === 0) faults.push("there is no average");
  if (faults.length > 0) throw new Error(`the comparison can not begin: ${faults.join("; ")}`);
  return Object.fromEntries(checked);
}
