import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { trainingResources, type Resources } from "../resources";
import { runPaths, type Run } from "../run";
import { readSafetensorsHeader } from "../safetensors";
import type { Job } from "./plan";
import { appendResult, cachedResult, readResults, type RunResult } from "./results";

/** The folders of the other comparisons beside one. */
function otherComparisons(folder: string): string[] {
  const all = dirname(folder);
  if (!existsSync(all)) return [];
  return readdirSync(all, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name !== basename(folder)).map(({ name }) => join(all, name)).sort();
}

/**
 * Adds to a comparison's results those that other comparisons beside it have of the same trainings. Taken are results that hold anywhere (`shareable`), of as many samples, whose model is still there.
 * @param folder the comparison's
 * @returns what was taken over
 */
export async function takeOverResults(jobs: readonly Job[], { folder, samples }: { folder: string; samples: number }): Promise<RunResult[]> {
  const file = join(folder, "results.jsonl");
  const own = readResults(file);
  const missing = jobs.filter(({ key }, index) => !cachedResult(own, key, samples) && jobs.findIndex((job) => job.key === key) === index);
  if (missing.length === 0) return [];
  const others = otherComparisons(folder).map((other) => ({ name: basename(other), results: readResults(join(other, "results.jsonl")).filter(({ shareable, model }) => shareable === true && existsSync(model)) }));
  const taken: RunResult[] = [];
  for (const { key, variant, seed } of missing) {
    const from = others.find(({ results }) => cachedResult(results, key, samples));
    if (!from) continue;
    const result = { ...cachedResult(from.results, key, samples)!, variant, seed, takenFrom: from.name };
    await appendResult(file, result);
    taken.push(result);
  }
  return taken;
}

/**
 * The finished run of a training in another comparison, on the same data with the same encoder: its model needs no training here, whatever it was measured by there.
 * @param folder the comparison's
 */
export async function finishedElsewhere({ key }: Pick<Job, "key">, folder: string, resources: Resources): Promise<Run | undefined> {
  const { rows, encoderFingerprint } = trainingResources(resources);
  for (const other of otherComparisons(folder)) {
    const run = runPaths(key, join(other, "runs"));
    if (!existsSync(run.modelFile)) continue;
    try {
      const { metadata } = await readSafetensorsHeader(run.modelFile);
      const { dataset } = JSON.parse(metadata.provenance) as { dataset?: string };
      if (dataset === rows.fingerprint && JSON.parse(metadata.encoderFingerprint) === encoderFingerprint) return run;
    } catch {
      // A file that can not be read is no finished training.
    }
  }
  return undefined;
}
