import type { Comparison } from "./compare";
import { markedValue, NOT_INDEPENDENT } from "../metrics/independence";
import { budgetText } from "./plan";

/** A row of a comparison's table: the variant, its metrics and the verdicts against the baseline. */
export type ComparisonRow = Record<string, string | number>;

/** Digits behind the point that a metric's numbers deserve, by their size. */
const short = (value: number): string => (!Number.isFinite(value) ? "-" : Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toPrecision(3));

const pText = (value: number): string => (Number.isNaN(value) ? "-" : value < 0.001 ? "< 0.001" : value.toFixed(3));

/** Each variant's metrics over its seeds: mean and bootstrap interval, marked where its losses used the metric's network. */
export function summaryRows({ variants, seeds, metrics, summaries, results, notIndependent }: Comparison): ComparisonRow[] {
  return variants.map((variant) => {
    const finished = results.filter((result) => result.variant === variant && result.status === "done");
    const seconds = finished.reduce((sum, result) => sum + result.seconds, 0) / Math.max(1, finished.length);
    const cells = metrics.map(({ name }) => {
      const found = summaries.find((summary) => summary.variant === variant && summary.metric === name);
      const independent = !notIndependent.some((one) => one.variant === variant && one.metric === name);
      return [name, found ? markedValue(`${short(found.mean)} (${short(found.low)} to ${short(found.high)})`, independent) : "-"];
    });
    return { variant, seeds: `${finished.length} of ${seeds.length}`, ...Object.fromEntries(cells), "training (s)": short(seconds) };
  });
}

/** The differences with their intervals, tests and verdicts. */
export function differenceRows({ differences }: Comparison): ComparisonRow[] {
  return differences.map(({ metric, variant, baseline, seeds, mean, low, high, studentLow, studentHigh, pValue, correctedPValue, signFlipPValue, verdict }) => ({
    metric,
    comparison: `${variant} - ${baseline}`,
    seeds,
    difference: short(mean),
    "bootstrap interval": `${short(low)} to ${short(high)}`,
    "Student's interval": `${short(studentLow)} to ${short(studentHigh)}`,
    "p (t)": pText(pValue),
    "p (Holm)": pText(correctedPValue),
    "p (sign flip)": pText(signFlipPValue),
    verdict,
  }));
}

/** What is marked as not independent in this comparison, and why: one line a variant and metric. */
export function independenceLines({ notIndependent }: Comparison): string[] {
  return notIndependent.map(({ variant, metric, network }) => `${variant}: ${metric} is ${NOT_INDEPENDENT}, since a loss used ${network}`);
}

/** What failed, and why: one line a run. */
export function failureLines({ results }: Comparison): string[] {
  return results.filter(({ status }) => status === "failed").map(({ variant, seed, error }) => `${variant}, seed ${seed}: ${error}`);
}

/** The whole report as Markdown: what was run, the table of variants, the table of differences, what failed. */
export function comparisonMarkdown(comparison: Comparison): string {
  const { name, budget, seeds, samples } = comparison;
  const failures = failureLines(comparison);
  return [
    `# ${escapeCell(name)}`,
    "",
    `${budgetText(budget)}; seeds ${seeds.join(", ")}; ${samples} samples a run. Means over seeds with 95 % bootstrap intervals; paired differences; p values corrected over all rows by Holm's method.`,
    "",
    markdownTable(summaryRows(comparison)),
    "",
    markdownTable(differenceRows(comparison)),
    ...(independenceLines(comparison).length > 0 ? ["", ...independenceLines(comparison).map((line) => `- ${escapeCell(line)}`)] : []),
    ...(failures.length > 0 ? ["", "Failed:", "", ...failures.map((line) => `- ${escapeCell(line)}`)] : []),
    "",
  ].join("\n");
}

function markdownTable(rows: readonly ComparisonRow[]): string {
  if (rows.length === 0) return "(nothing to compare)";
  const columns = Object.keys(rows[0]);
  const line = (cells: readonly (string | number)[]): string => `| ${cells.map((cell) => escapeCell(String(cell))).join(" | ")} |`;
  return [line(columns), `|${columns.map(() => "---").join("|")}|`, ...rows.map((row) => line(columns.map((column) => row[column])))].join("\n");
}

function escapeCell(text: string): string {
  return text.replace(/\s*\n\s*/g, " ").replace(/[\\|<>`*_[\]]/g, "\\$&");
}
