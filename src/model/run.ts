import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TrainConfig } from "./config";
import { latestCheckpoint, readCheckpointRecord } from "./checkpoint";
import { projectRoot, writeFileAtomic } from "./files";

/** The folder of a training: config.json, metrics.jsonl, checkpoints/, samples/ and, once it is finished, model.safetensors. */
export interface Run {
  folder: string;
  checkpoints: string;
  samples: string;
  configFile: string;
  metricsFile: string;
  modelFile: string;
}

/** What to do when a run of that name exists: go on from its checkpoint, move it aside, or refuse. */
export type ExistingRun = "resume" | "replace" | "fail";

/** The paths of a run, whether it exists or not. @param runsFolder `runs` in the project's folder by default */
export function runPaths(name: string, runsFolder: string = join(projectRoot(), "runs")): Run {
  const folder = join(runsFolder, name);
  return { folder, checkpoints: join(folder, "checkpoints"), samples: join(folder, "samples"), configFile: join(folder, "config.json"), metricsFile: join(folder, "metrics.jsonl"), modelFile: join(folder, "model.safetensors") };
}

// What may differ between a run and the training that goes on with it.
const MAY_CHANGE: (keyof TrainConfig)[] = ["checkpointEvery", "sampleEvery", "compile"];

/**
 * Opens a run's folder for a training.
 * @returns the folder's paths, and the checkpoint to go on from where there is one
 * @throws Error when the run exists and `existing` is "fail", or its configuration differs from the one to go on with
 */
export async function openRun(config: TrainConfig, existing: ExistingRun, runsFolder?: string): Promise<{ run: Run; checkpoint?: string }> {
  const run = runPaths(config.name, runsFolder);
  let checkpoint: string | undefined;
  if (existsSync(run.configFile)) {
    if (existing === "fail") throw new Error(`there is a run "${config.name}" in ${run.folder}: go on with it (resume), move it aside (replace), or choose another name`);
    if (existing === "replace") {
      await rm(`${run.folder}.previous`, { recursive: true, force: true });
      await rename(run.folder, `${run.folder}.previous`);
    } else checkpoint = latestCheckpoint(run.checkpoints);
  }
  if (checkpoint) {
    const { config: saved, step } = readCheckpointRecord(checkpoint);
    const changed = (Object.keys(config) as (keyof TrainConfig)[]).filter((key) => !MAY_CHANGE.includes(key) && JSON.stringify(config[key]) !== JSON.stringify(saved[key]));
    if (changed.length > 0) {
      const list = changed.map((key) => `${key} (${JSON.stringify(saved[key])} there, ${JSON.stringify(config[key])} here)`).join(", ");
      throw new Error(`run "${config.name}" can not go on from step ${step} with another configuration: ${list}. Use the run's own, or choose another name`);
    }
    await keepMetricsBefore(run.metricsFile, step);
  } else if (existing === "resume") await rm(run.metricsFile, { force: true });
  await mkdir(run.samples, { recursive: true });
  await writeFileAtomic(run.configFile, `${JSON.stringify(config, null, 2)}\n`);
  return { run, checkpoint };
}

/** Drops the lines of steps that will be trained again. */
async function keepMetricsBefore(file: string, step: number): Promise<void> {
  const kept = readMetrics(file).filter((row) => row.step <= step);
  await writeFileAtomic(file, kept.map((row) => `${JSON.stringify(row)}\n`).join(""));
}

/** Adds one step's numbers to a run's metrics.jsonl. */
export async function appendMetrics(file: string, row: Record<string, unknown>): Promise<void> {
  await appendFile(file, `${JSON.stringify(row)}\n`);
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
