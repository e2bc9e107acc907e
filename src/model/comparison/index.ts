export { compare, COMPARE_DEFAULTS, comparisonFolder, finishComparison, type CompareOptions, type Comparison } from "./compare";
export { compareResults, summarizeVariants, type AnalysisOptions, type Difference, type VariantSummary, type Verdict } from "./analysis";
export { comparisonMarkdown, differenceRows, failureLines, independenceLines, summaryRows, type ComparisonRow } from "./report";
export { createDefaultMeasure, type Measure, type MeasureInput } from "./measure";
export { planJobs, type Budget, type Job, type PlanOptions, type Variant } from "./plan";
export { DEFAULT_METRICS, dependentMetrics, readResults, type CurvePoint, type DependentMetric, type Metric, type RunResult } from "./results";
export { holm, pairedTTest, signFlipTest, studentInterval, type PairedTest, type SignFlipOptions } from "./statistics";
export { expandSweep, type RandomChoice, type Sweep, type SweepFile } from "./sweep-plan";
export { runSweep, type SweepOptions, type SweepState } from "./sweep";
