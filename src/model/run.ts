import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { TRAIN_OPTIONS, type TrainConfig } from "./config";
import { latestCheckpoint, readCheckpointRecord } from "./checkpoint";
import { differences } from "./differences";
import type { Diagnostics } from "./diagnostics";
import { describeFileError, projectRoot, writeFileAtomic } from "./files";
import { removeSnapshotsAfter } from "./snapshots";

/** The folder of a training: config.json, metrics.jsonl, diagnostics.jsonl, checkpoints/, samples/, snapshots/ where the configuration wants some, and, once it is finished, model.safetensors. */
export interface Run {
  folder: string;
  checkpoints: string;
  samples: string;
  snapshots: string;
  configFile: string;
  metricsFile: string;
  diagnosticsFile: string;
  modelFile: string;
}

/** What to do when a run of that name exists: go on from its checkpoint, move it aside, or refuse. */
export type ExistingRun = "resume" | "replace" | "fail";

/** The paths of a run, whether it exists or not. @param runsFolder `runs` in the project's folder by default */
export function runPaths(name: string, runsFolder: string = join(projectRoot(), "runs")): Run {
  const folder = join(runsFolder, name);
  return { folder, checkpoints: join(folder, "checkpoints"), samples: join(folder, "samples"), snapshots: join(folder, "snapshots"), configFile: join(folder, "config.json"), metricsFile: join(folder, "metrics.jsonl"), diagnosticsFile: join(folder, "diagnostics.jsonl"), modelFile: join(folder, "model.safetensors") };
}

// State of the process, by its nature: two loops of one process must not write the same files. An interrupted notebook cell is let go of while its last step and
// checkpoint are still under way, and the next cell may ask for the same run at once.
const underWay = new Map<string, { signal: AbortSignal; ended: Promise<void> }>();

/** Waits until a training in this folder that has been asked to stop has written its checkpoint. One that nobody asked to stop is not waited for: its loop may have been left for good. */
export async function interruptedTrainingEnds({ folder }: Run): Promise<void> {
  const found = underWay.get(folder);
  if (found?.signal.aborted) await found.ended;
}

/** Notes that a training writes in this folder, until the function that is returned is called. */
export function noteTraining({ folder }: Run, signal: AbortSignal): () => void {
  let end: () => void;
  const training = { signal, ended: new Promise<void>((resolve) => (end = resolve)) };
  underWay.set(folder, training);
  return () => {
    if (underWay.get(folder) === training) underWay.delete(folder);
    end();
  };
}

// What may differ between a run and the training that goes on with it.
const MAY_CHANGE: (keyof TrainConfig)[] = ["checkpointEvery", "sampleEvery", "diagnosticsEvery", "compile"];

/** What there is of a run before a training begins. */
export interface FoundRun {
  run: Run;
  /** Folder of the checkpoint to go on from, where there is one. */
  checkpoint?: string;
}

/**
 * Looks whether a training may use a run's name; changes nothing. A run without checkpoint, metrics and model, left by a training that
 * failed before its first step, counts as none.
 * @throws Error when the run exists and `existing` is "fail", or its configuration differs from the one to go on with
 */
export function findRun(config: TrainConfig, existing: ExistingRun, runsFolder?: string): FoundRun {
  const run = runPaths(config.name, runsFolder);
  if (existing === "fail" && holdsResults(run)) throw new Error(`there is a run "${config.name}" in ${run.folder}: go on with it (resume), move it aside (replace), or choose another name`);
  const checkpoint = existing === "resume" ? latestCheckpoint(run.checkpoints) : undefined;
  if (!checkpoint) return { run };
  const { config: given, step } = readCheckpointRecord(checkpoint);
  // A run that is older than an option was trained with its default.
  const saved = { ...Object.fromEntries(Object.entries(TRAIN_OPTIONS).map(([key, option]) => [key, option.default])), ...given } as TrainConfig;
  const changed = differences(saved, config, (Object.keys(config) as (keyof TrainConfig)[]).filter((key) => !MAY_CHANGE.includes(key)));
  if (changed !== "") throw new Error(`run "${config.name}" can not go on from step ${step} with another configuration: ${changed}. Use the run's own, or choose another name`);
  return { run, checkpoint };
}

/**
 * Makes a run's folder ready for a training: what is not gone on with is moved aside, and metrics of steps to be trained again are dropped.
 * Called when all that the training stands on is there, so that a training that can not begin leaves no folder.
 */
export async function openRun(config: TrainConfig, { run, checkpoint }: FoundRun): Promise<void> {
  if (checkpoint) {
    const { step } = readCheckpointRecord(checkpoint);
    await keepMetricsBefore(run.metricsFile, step);
    if (existsSync(run.diagnosticsFile)) await keepMetricsBefore(run.diagnosticsFile, step);
    await removeSnapshotsAfter(run.snapshots, step);
  }
  else if (holdsResults(run)) {
    await rm(`${run.folder}.previous`, { recursive: true, force: true });
    await rename(run.folder, `${run.folder}.previous`);
  }
  await mkdir(run.samples, { recursive: true });
  await writeFileAtomic(run.configFile, `${JSON.stringify(config, null, 2)}\n`);
}

function holdsResults(run: Run): boolean {
  return latestCheckpoint(run.checkpoints) !== undefined || existsSync(run.modelFile) || readMetrics(run.metricsFile).length > 0;
}

/** Drops the lines of steps that will be trained again. */
async function keepMetricsBefore(file: string, step: number): Promise<void> {
  const kept = readMetrics(file).filter((row) => row.step <= step);
  await writeFileAtomic(file, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** Adds one step's numbers to a run's metrics.jsonl, or its diagnostics to diagnostics.jsonl. @throws Error naming the file when the disk refuses */
export async function appendMetrics(file: string, row: Record<string, unknown>): Promise<void> {
  await appendFile(file, `${JSON.stringify(row)}\n`).catch((error: unknown) => {
    throw new Error(`the metrics could not be written to ${file}: ${describeFileError(error)}`, { cause: error });
  });
}

/** The numbers of all steps of a run, oldest first; a last line that was cut off is left out. */
export function readMetrics(file: string): ({ step: number } & Record<string, unknown>)[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return line ? [JSON.parse(line) as { step: number }] : [];
      } catch {
        return [];
      }
    });
}

/** The diagnostics of a run, oldest first; none where it was trained without. @param file its diagnosticsFile */
export function readDiagnostics(file: string): Diagnostics[] {
  return readMetrics(file) as unknown as Diagnostics[];
}
