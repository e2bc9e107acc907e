import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { describeFileError } from "../files";

/** A measure of trained networks. */
export interface Metric {
  name: string;
  better: "higher" | "lower";
  unit: string;
}

/** The measures that compare() takes by default; the distances in EfficientNet-Lite2 features, which no loss uses by default. */
export const DEFAULT_METRICS: readonly Metric[] = [
  { name: "classAccuracy", better: "higher", unit: "share" },
  { name: "frechetDistance", better: "lower", unit: "" },
  { name: "kernelDistance", better: "lower", unit: "" },
];

/** One point of a run's learning curve: the mean of |t R| over a few steps, which is comparable across losses. */
export interface CurvePoint {
  step: number;
  residual: number;
}

/** What became of one training of a comparison: a line of results.jsonl. */
export interface RunResult {
  key: string;
  variant: string;
  seed: number;
  status: "done" | "failed";
  /** Why it failed. */
  error?: string;
  /** Generated images that were measured. */
  samples: number;
  metrics: Record<string, number>;
  curve: CurvePoint[];
  /** Of the training's steps. */
  seconds: number;
  /** File of the trained model. */
  model: string;
}

/**
 * Adds a result to a file of them, one JSON value a line.
 * @throws Error naming the file when the disk refuses
 */
export async function appendResult(file: string, result: RunResult): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await appendFile(file, `${JSON.stringify(result)}\n`);
  } catch (error) {
    throw new Error(`The results could not be written to ${file}: ${describeFileError(error)}`, { cause: error });
  }
}

/** All results of a file, oldest first; a line that was cut off is left out. */
export function readResults(file: string): RunResult[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8")
    .split("\n")
    .flatMap((line) => {
      try {
        return line === "" ? [] : [JSON.parse(line) as RunResult];
      } catch {
        return [];
      }
    });
}

/** The newest finished result of a training, measured with so many samples, if there is one. A failure is tried again. */
export function cachedResult(results: readonly RunResult[], key: string, samples: number): RunResult | undefined {
  return results.filter((result) => result.key === key && result.samples === samples && result.status === "done").at(-1);
}
