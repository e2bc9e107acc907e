import { bootstrapMean } from "../metrics/bootstrap";
import { NOT_INDEPENDENT } from "../metrics/independence";
import { dependentMetrics, type Metric, type RunResult } from "./results";
import { holm, pairedTTest, signFlipTest, studentInterval } from "./statistics";

export interface AnalysisOptions {
  /** The variant that others are compared with; the first by default. */
  baseline?: string;
  /** "baseline": each variant with that one. "all": every pair. Default "baseline". */
  pairs?: "baseline" | "all";
  /** Of the intervals. Default 0.95. */
  confidence?: number;
  /** Chance of any false "better" or "worse" in the whole comparison. Default 0.05. */
  level?: number;
  /** Bootstrap resamples. Default 10,000. */
  resamples?: number;
}

/**
 * "not distinguishable": the corrected test leaves it open; that is no evidence of equality. "untested": fewer than two common seeds. "not independent":
 * a loss of one of the two used the network that the metric is measured in, so that the difference proves nothing, whatever its size.
 */
export type Verdict = "better" | "worse" | "not distinguishable" | "untested" | "not independent";

/** How much a variant differs from another in one metric, over the seeds that both finished. */
export interface Difference {
  metric: string;
  variant: string;
  baseline: string;
  /** Common seeds. */
  seeds: number;
  /** Mean of variant less baseline, with its percentile bootstrap interval over seeds. */
  mean: number;
  low: number;
  high: number;
  /** Student's interval, which is honest about few seeds where the bootstrap's is too narrow. */
  studentLow: number;
  studentHigh: number;
  /** Of the paired t test. */
  pValue: number;
  /** The same after Holm's correction over all differences of the comparison. */
  correctedPValue: number;
  /** Of the exact sign-flip test, uncorrected; it can not go below 2 / 2^seeds. */
  signFlipPValue: number;
  verdict: Verdict;
}

/** One variant's own values of a metric. */
export interface VariantSummary {
  variant: string;
  metric: string;
  /** Finished seeds. */
  seeds: number;
  mean: number;
  low: number;
  high: number;
}

/** Mean of each metric of each variant over its finished seeds, with a bootstrap interval. */
export function summarizeVariants(results: readonly RunResult[], variants: readonly string[], metrics: readonly Metric[], options: AnalysisOptions = {}): VariantSummary[] {
  const { confidence = 0.95, resamples = 10_000 } = options;
  return metrics.flatMap(({ name }) =>
    variants.flatMap((variant): VariantSummary[] => {
      const values = [...valuesBySeed(results, variant, name).values()];
      if (values.length === 0) return [];
      const { value, low, high } = bootstrapMean(values, { confidence, resamples });
      return [{ variant, metric: name, seeds: values.length, mean: value, low, high }];
    }),
  );
}

function pValues(differences: readonly number[]): { pValue: number; signFlipPValue: number } {
  const { statistic, pValue } = pairedTTest(differences);
  const signFlipPValue = signFlipTest(differences);
  return { pValue: Math.abs(statistic) === Infinity ? signFlipPValue : pValue, signFlipPValue };
}

/**
 * Compares variants by the differences at equal seeds, which cancel what a seed makes easy or hard for all. A verdict other than "not distinguishable" needs
 * a paired t test below the level after Holm's correction over all metrics and pairs at once; where all differences are the same (shares of few samples come to
 * that), which leaves that test no variance, a sign-flip test takes its place. Metrics that are not independent of a variant's losses are not tested.
 * @param results of which the finished ones count
 * @param variants in the order of the report; the first is the baseline unless another is named
 * @throws RangeError when the baseline is no variant
 */
export function compareResults(results: readonly RunResult[], variants: readonly string[], metrics: readonly Metric[], options: AnalysisOptions = {}): Difference[] {
  const { baseline = variants[0], pairs = "baseline", confidence = 0.95, level = 0.05, resamples = 10_000 } = options;
  if (!variants.includes(baseline)) throw new RangeError(`the baseline "${baseline}" is none of the variants ${variants.join(", ")}`);
  const chosen = pairs === "baseline" ? variants.filter((variant) => variant !== baseline).map((variant) => [variant, baseline]) : variants.flatMap((first, index) => variants.slice(index + 1).map((second) => [second, first]));
  const dependent = dependentMetrics(results, metrics);
  const isTested = (name: string, ...pair: string[]): boolean => !dependent.some(({ metric, variant }) => metric === name && pair.includes(variant));
  const raw = metrics.flatMap(({ name }) =>
    chosen.map(([variant, against]) => {
      const [own, other] = [valuesBySeed(results, variant, name), valuesBySeed(results, against, name)];
      const differences = [...own.keys()].filter((seed) => other.has(seed)).sort((a, b) => a - b).map((seed) => own.get(seed)! - other.get(seed)!);
      const [studentLow, studentHigh] = studentInterval(differences, confidence);
      const interval = differences.length > 0 ? bootstrapMean(differences, { confidence, resamples }) : { value: NaN, low: NaN, high: NaN };
      return { metric: name, variant, baseline: against, seeds: differences.length, mean: interval.value, low: interval.low, high: interval.high, studentLow, studentHigh, ...(isTested(name, variant, against)
          ? pValues(differences)
          : { pValue: NaN, signFlipPValue: NaN }) };
    }),
  );
  const corrected = holm(raw.map(({ pValue }) => pValue));
  const directions = new Map(metrics.map(({ name, better }) => [name, better === "higher" ? 1 : -1]));
  return raw.map((difference, index) => {
    const correctedPValue = corrected[index];
    const gain = difference.mean * directions.get(difference.metric)!;
    const verdict: Verdict = !isTested(difference.metric, difference.variant, difference.baseline) ? NOT_INDEPENDENT : Number.isNaN(correctedPValue) ? "untested" : correctedPValue >= level ? "not distinguishable" : gain > 0 ? "better" : "worse";
    return { ...difference, correctedPValue, verdict };
  });
}

function valuesBySeed(results: readonly RunResult[], variant: string, metric: string): Map<number, number> {
  const finished = results.filter((result) => result.status === "done" && result.variant === variant && Number.isFinite(result.metrics[metric]));
  return new Map(finished.map(({ seed, metrics }) => [seed, metrics[metric]]));
}
