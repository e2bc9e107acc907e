import { existsSync } from "node:fs";
import type { Comparison } from "../model/comparison";
import { budgetText } from "../model/comparison/plan";
import { differenceRows, failureLines, independenceLines, summaryRows } from "../model/comparison/report";
import { generateImages } from "../model/baselines";
import type { Encoder } from "../model/encoder";
import { tf } from "../model/engine/tf";
import { disposeModel, loadModel } from "../model/model";
import { markdown } from "./display";
import type { Figure, LineTrace } from "./figures/figure";
import { cyclic, seriesColors, seriesDashes } from "./figures/palette";
import { showFigure } from "./figures/show-figure";
import { showImageGrid } from "./image-grid";
import { showTable } from "./table";

/** What a comparison's grid shows; not all methods that are compared sample in one step. */
export const SAMPLES_CAPTION = "Samples, the same noise and class in each column";

const base = (title: string, xTitle: string, yTitle: string, height: number): Figure["layout"] => ({
  title: { text: title }, xaxis: { title: { text: xTitle } }, yaxis: { title: { text: yTitle } }, width: 720, height, showlegend: false, font: { family: "sans-serif", size: 13 }, plot_bgcolor: "#ffffff", paper_bgcolor: "#ffffff",
});

/**
 * A forest plot: for each variant the mean difference to the baseline with Student's interval (thin) and the bootstrap's (thick), and the line of no difference.
 * @param metric one of the comparison's; the first by default
 */
export function forestPlot(comparison: Comparison, metric: string = comparison.metrics[0].name): Figure {
  const { better, unit } = comparison.metrics.find(({ name }) => name === metric) ?? unknownMetric(comparison, metric);
  const rows = comparison.differences.filter((difference) => difference.metric === metric && difference.seeds > 0);
  const span = (low: number, high: number, y: number, width: number, name: string): LineTrace => ({ type: "scatter", name, mode: "lines", x: [low, high], y: [y, y], line: { color: seriesColors[0], dash: "solid", width }, showlegend: false });
  const finite = (value: number, otherwise: number): number => (Number.isFinite(value) ? value : otherwise);
  const data = rows.flatMap((row, index): LineTrace[] => {
    const y = rows.length - index;
    return [span(finite(row.studentLow, row.low), finite(row.studentHigh, row.high), y, 1.5, `${row.variant}, Student's interval`), span(row.low, row.high, y, 5, `${row.variant}, bootstrap interval`)];
  });
  const marks: LineTrace = {
    type: "scatter", name: "mean difference", mode: "markers", x: rows.map(({ mean }) => mean), y: rows.map((_, index) => rows.length - index),
    text: rows.map(({ variant, verdict }) => `${variant}: ${verdict}`), marker: { color: seriesColors[1], symbol: "diamond", size: 10 }, showlegend: false,
  };
  const zero: LineTrace = { type: "scatter", name: "no difference", mode: "lines", x: [0, 0], y: [0.4, rows.length + 0.6], line: { color: "#666666", dash: "dash", width: 1 }, showlegend: false };
  const baseline = rows[0]?.baseline ?? comparison.variants[0];
  const layout = base(`Difference to ${baseline}: ${metric}`, `difference in ${metric}${unit ? ` (${unit})` : ""}; ${better} is better`, "", 130 + 44 * Math.max(1, rows.length));
  const words = rows.map(({ variant, verdict }) => `${variant} (${verdict})`);
  return { data: [zero, ...data, marks], layout: { ...layout, yaxis: { title: { text: "" }, range: [0, rows.length + 1], tickmode: "array", tickvals: rows.map((_, index) => rows.length - index), ticktext: words, automargin: true } } };
}

/** Learning curves: the mean of |t R| over the seeds of each variant, in a band from the lowest to the highest seed. */
export function comparisonCurves(comparison: Comparison): Figure {
  const data = comparison.variants.flatMap((variant, index): LineTrace[] => {
    const curves = comparison.results.filter((result) => result.variant === variant && result.status === "done").map(({ curve }) => curve);
    if (curves.length === 0) return [];
    const x = curves[0].map(({ step }) => step);
    const at = (reduce: (values: number[]) => number): number[] => x.map((_, point) => reduce(curves.map((curve) => curve[point].residual)));
    const color = cyclic(seriesColors, index);
    const line = (name: string, y: number[], width: number): LineTrace => ({ type: "scatter", name, mode: "lines", x, y, line: { color, dash: cyclic(seriesDashes, index), width }, showlegend: false });
    return [
      line(`${variant}, lowest`, at((values) => Math.min(...values)), 0.5),
      { ...line(`${variant}, highest`, at((values) => Math.max(...values)), 0.5), fill: "tonexty", fillcolor: `${color}33` },
      { ...line(variant, at((values) => values.reduce((sum, value) => sum + value, 0) / values.length), 2), showlegend: true },
    ];
  });
  return { data, layout: { ...base("Learning curves", "step", "mean of |t R|", 420), showlegend: true } };
}

export interface ComparisonSamplesOptions {
  /** Which training of each variant. Default: the comparison's first seed. */
  seed?: number;
  /** Images of each variant, classes in turn. Default 8. */
  columns?: number;
  /** Of the noise. Default 0. */
  noiseSeed?: number;
  /** Whose decoder makes images of latents, where a variant is a latent baseline. */
  encoder?: Pick<Encoder, "decode">;
}

/**
 * One-step samples of each finished variant, a row each, at the same noise and classes.
 * @returns images [variants * columns, H, W, 3], the caller's to dispose of, and the variants by row; undefined where no run of that seed is finished
 */
export async function comparisonSamples(comparison: Comparison, options: ComparisonSamplesOptions = {}): Promise<{ images: tf.Tensor4D; rows: string[]; columns: number } | undefined> {
  const { seed = comparison.seeds[0], columns = 8, noiseSeed = 0, encoder } = options;
  const finished = comparison.results.filter((result) => result.seed === seed && result.status === "done" && existsSync(result.model));
  const parts: tf.Tensor4D[] = [];
  for (const { model: file } of finished) {
    const model = await loadModel(file);
    try {
      parts.push(generateImages(model, Array.from({ length: columns }, (_, index) => index % model.network.classes), { seed: noiseSeed, encoder }));
    } finally {
      disposeModel(model);
    }
  }
  if (parts.length === 0) return undefined;
  const images = tf.concat(parts, 0);
  tf.dispose(parts);
  return { images, rows: finished.map(({ variant }) => variant), columns };
}

/** Shows a comparison below the cell: the tables, a forest plot of each metric, the learning curves and samples at the same noise. */
export async function showComparison(comparison: Comparison, options: ComparisonSamplesOptions = {}): Promise<void> {
  const { budget, seeds, samples } = comparison;
  showTable(summaryRows(comparison), { caption: `${budgetText(budget)}, seeds ${seeds.join(", ")}, ${samples} samples a run; means with 95 % bootstrap intervals` });
  const rows = differenceRows(comparison);
  if (rows.length > 0) showTable(rows, { caption: "Paired differences; p values corrected over all rows by Holm's method" });
  const marks = independenceLines(comparison);
  if (marks.length > 0) markdown(listed(marks));
  const failures = failureLines(comparison);
  if (failures.length > 0) markdown(`Failed:\n\n${listed(failures)}`);
  for (const { name } of comparison.metrics) if (comparison.differences.some(({ metric, seeds: count }) => metric === name && count > 0)) showFigure(forestPlot(comparison, name));
  showFigure(comparisonCurves(comparison));
  const grid = await comparisonSamples(comparison, options);
  if (!grid) return;
  await showImageGrid(grid.images, { columns: grid.columns, rowLabels: grid.rows, scale: 2, caption: SAMPLES_CAPTION });
  grid.images.dispose();
}

/** Lines as a Markdown list, with nothing in them taken for Markdown. */
function listed(lines: readonly string[]): string {
  return lines.map((line) => `- ${line.replace(/[\\`*_<>[\]]/g, "\\$&")}`).join("\n");
}

function unknownMetric({ metrics }: Comparison, name: string): never {
  throw new RangeError(`forestPlot: there is no metric "${name}" in this comparison: ${metrics.map((metric) => metric.name).join(", ")}`);
}
