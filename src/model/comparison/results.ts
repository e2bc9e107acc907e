import { existsSync, readFileSync } from "node:fs";
import { appendFile, mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { describeFileError } from "../files";
import { isIndependent, METRIC_NETWORK } from "../metrics";

/** A measure of trained networks. */
export interface Metric {
  name: string;
  better: "higher" | "lower";
  unit: string;
  /** The pretrained network that it is measured in: not independent for a variant whose losses used the same. */
  network?: string;
}

/** The measures that compare() takes by default; the distances in EfficientNet-Lite2 features, which no loss uses by default. */
export const DEFAULT_METRICS: readonly Metric[] = [
  { name: "classAccuracy", better: "higher", unit: "share" },
  { name: "frechetDistance", better: "lower", unit: "", network: METRIC_NETWORK },
  { name: "kernelDistance", better: "lower", unit: "", network: METRIC_NETWORK },
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
  /** Pretrained networks that losses of this training, and of those it went on from, used; not in results older than this entry. */
  lossNetworks?: string[];
  /** The data were those that the configuration names, and the measures the default ones: the result holds in any comparison. Otherwise the caller gave some of them. */
  shareable?: boolean;
  /** The comparison that a result was taken over from. */
  takenFrom?: string;
  /** Of the training's steps. */
  seconds: number;
  /** File of the trained model. */
  model: string;
}

/** A metric of a variant that is no evidence, since a loss used the network that it is measured in. */
export interface DependentMetric {
  variant: string;
  metric: string;
  network: string;
}

/** The metrics of each variant that are not independent of its losses. @param results of any status; those without networks count as independent */
export function dependentMetrics(results: readonly Pick<RunResult, "variant" | "lossNetworks">[], metrics: readonly Metric[]): DependentMetric[] {
  const found = metrics.flatMap(({ name, network }) => results.flatMap(({ variant, lossNetworks = [] }) => (network === undefined || isIndependent(network, lossNetworks) ? [] : [{ variant, metric: name, network }])));
  return found.filter((one, index) => found.findIndex(({ variant, metric }) => variant === one.variant && metric === one.metric) === index);
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
