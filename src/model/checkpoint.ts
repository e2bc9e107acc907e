import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TrainConfig } from "./config";
import { differences } from "./differences";
import { tf } from "./engine/tf";
import { describeFileError, writeFileAtomic } from "./files";
import { finerTokens, tokensPerSide } from "./finer-tokens";
import { lossNetworksOf } from "./metrics/independence";
import { assertSameParameters, disposeModel, loadModel, trainedStepsOf } from "./model";
import { isOfHead, NETWORK_DEFAULTS, type NetworkConfig } from "./network";
import { randomStream } from "./random";
import { float32Values, readSafetensors, writeSafetensors, type SafetensorsTensor } from "./safetensors";
import { splitConfig, splitTokens, tokensPerToken } from "./split-tokens";
import { STREAM_NAMES, type StreamName, type TrainingState } from "./training-state";

/** What stands beside the tensors, as text. */
export interface CheckpointRecord {
  format: 1;
  step: number;
  criticSteps: number;
  config: TrainConfig;
  /** Fingerprints of what the training saw: another encoder or other data can not go on from here. */
  encoder: string;
  dataset: string;
  streams: Record<StreamName, string>;
  /** Position in the shuffled data. */
  order: string;
  /** Seconds of training so far. */
  seconds: number;
  /** Networks that losses used in the trainings that this one went on from; not in records of runs older than this entry. */
  earlierLossNetworks?: string[];
  /** Steps of the trainings that this one went on from; not in records of runs older than this entry. */
  earlierSteps?: number;
}

/** What a training has to know of those that it goes on from. */
export interface EarlierTrainings {
  /** Networks that their losses used. */
  lossNetworks: string[];
  /** Their steps, together. */
  steps: number;
}

/** What of a network decides its head alone. */
const HEAD_SETTINGS: readonly (keyof NetworkConfig)[] = ["imageSize", "head", "headChannels", "headBlocks", "outputChannels"];

const RECORD_FILE = "checkpoint.json";
const TENSOR_FILE = "tensors.safetensors";
const KEPT = 3;

const folderOf = (step: number): string => `step-${String(step).padStart(8, "0")}`;

/**
 * Writes a checkpoint into a folder of its own. The folder gets its final name last, so that a crash or a full disk leaves the older ones whole;
 * all but the newest three are then removed.
 * @param directory the run's checkpoints folder
 * @returns the checkpoint's folder
 * @throws Error naming the folder and the cause; nothing saved before is lost
 */
export async function saveCheckpoint(directory: string, state: TrainingState, record: Omit<CheckpointRecord, "format" | "step" | "criticSteps" | "streams">): Promise<string> {
  const folder = join(directory, folderOf(state.step));
  const partial = `${folder}.partial`;
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const [group, variables] of Object.entries(state.variables)) for (const [name, variable] of Object.entries(variables)) tensors[`${group}/${name}`] = { dtype: "F32", shape: variable.shape, data: variable.dataSync() as Float32Array };
  const streams = Object.fromEntries(STREAM_NAMES.map((name) => [name, state.streams[name].state()])) as Record<StreamName, string>;
  const complete: CheckpointRecord = { format: 1, step: state.step, criticSteps: state.criticSteps, streams, ...record };
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await writeSafetensors(join(partial, TENSOR_FILE), tensors);
    await writeFileAtomic(join(partial, RECORD_FILE), `${JSON.stringify(complete, null, 2)}\n`);
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined);
    throw new Error(`the checkpoint of step ${state.step} could not be written to ${directory}: ${describeFileError((error as Error).cause ?? error)} Earlier checkpoints are untouched`, { cause: error });
  }
  for (const old of checkpointFolders(directory).slice(0, -KEPT)) await rm(join(directory, old), { recursive: true, force: true });
  return folder;
}

function checkpointFolders(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory).filter((name) => /^step-\d{8}$/.test(name)).sort() : [];
}

/** The newest checkpoint's folder, or undefined where there is none. */
export function latestCheckpoint(directory: string): string | undefined {
  const newest = checkpointFolders(directory).pop();
  return newest === undefined ? undefined : join(directory, newest);
}

/**
 * Reads the text part of a checkpoint.
 * @throws Error naming the file when it is missing or damaged
 */
export function readCheckpointRecord(folder: string): CheckpointRecord {
  const file = join(folder, RECORD_FILE);
  try {
    const record = JSON.parse(readFileSync(file, "utf8")) as CheckpointRecord;
    if (record.format !== 1 || !Number.isInteger(record.step) || !record.config || !record.streams) throw new Error("it is no checkpoint record of format 1");
    return record;
  } catch (error) {
    throw new Error(`the checkpoint record ${file} can not be read: ${(error as Error).message}. Remove this folder to go on from the checkpoint before it`, { cause: error });
  }
}

/**
 * Puts a training back to a checkpoint: all variables, streams and counts.
 * @param folder the checkpoint's folder
 * @param state made by createTrainingState() of the checkpoint's own configuration
 * @throws Error when the file is damaged or its weights belong to another network; the state is then unchanged
 */
export async function restoreCheckpoint(folder: string, state: TrainingState): Promise<CheckpointRecord> {
  const record = readCheckpointRecord(folder);
  const file = join(folder, TENSOR_FILE);
  const { tensors } = await readSafetensors(file);
  const targets = Object.entries(state.variables).flatMap(([group, variables]) => Object.entries(variables).map(([name, variable]): [string, tf.Variable] => [`${group}/${name}`, variable]));
  assertSameParameters(file, Object.fromEntries(targets.map(([name, { shape }]) => [name, shape])), Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])));
  for (const [name, variable] of targets) tf.tidy(() => variable.assign(tf.tensor(float32Values(tensors[name], name), variable.shape)));
  for (const name of STREAM_NAMES) state.streams[name].restore(record.streams[name]);
  state.step = record.step;
  state.criticSteps = record.criticSteps;
  return record;
}

/**
 * Starts a training from a trained model: its weights become the weights and the averages. The optimiser's moments and the critic start anew.
 * The model may have been trained on other data with another encoder, as long as all sizes agree: the training then adapts it. Where one ends in images and the
 * other in latents (a latent flow that starts from a CrossFlow network), the head alone starts anew. Where its patches are larger, each of its patches becomes several (finerTokens()); where
 * it has fewer tokens a patch, each of its tokens does (splitTokens()); blocks that its head lacks start as the identity.
 * @param file a model.safetensors that saveModel() wrote
 * @param state made by createTrainingState(), not yet trained
 * @param seed of what has to be drawn for a larger network
 * @returns what is known of the trainings that made the model
 * @throws Error when the file is missing, damaged or no model, or listing every size in which the model's network differs from the state's
 */
export async function startFromModel(file: string, state: TrainingState, seed: number): Promise<EarlierTrainings> {
  const model = await loadModel(file);
  try {
    const here = { ...NETWORK_DEFAULTS, ...state.network };
    const there = { ...NETWORK_DEFAULTS, ...model.network };
    const keys = Object.keys(here) as (keyof NetworkConfig)[];
    const newHead = model.network.outputChannels !== state.network.outputChannels;
    const takesFinerTokens = tokensPerSide(model.network, state.network) !== undefined;
    const parts = tokensPerToken(model.network, state.network) ?? 1;
    const { patchSize } = state.network;
    const grown = { ...there, ...splitConfig(model.network, parts), ...(takesFinerTokens && { patchSize }), headBlocks: Math.max(there.headBlocks, here.headBlocks) };
    const differing = differences(grown, here, keys.filter((key) => !(newHead && HEAD_SETTINGS.includes(key))));
    if (differing !== "") throw new Error(`the model ${file} does not fit this training: ${differing}. Choose the preset and data it was trained with, or train without it`);
    const finer: NetworkConfig = { ...model.network, patchSize };
    const weights = tf.tidy(() => splitTokens(finerTokens(model.parameters, model.network, finer), finer, parts, randomStream(seed, "copies of tokens")));
    for (const group of [state.variables.parameters, state.variables.average]) {
      for (const [name, variable] of Object.entries(group)) {
        if (name in weights && !(newHead && isOfHead(name))) tf.tidy(() => variable.assign(tf.add(weights[name], 0)));
      }
    }
    tf.dispose(weights);
    return { lossNetworks: lossNetworksOf(model), steps: trainedStepsOf(model) ?? 0 };
  } finally {
    disposeModel(model);
  }
}
