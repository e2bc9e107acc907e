import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonCurves, forestPlot } from "../../src/kernel-helpers/comparison";
import { figureSvg } from "../../src/kernel-helpers/figures/static-figure";
import type { LineTrace } from "../../src/kernel-helpers/figures/figure";
import { compareResults, summarizeVariants, type Comparison, type RunResult } from "../../src/model/comparison";

const metrics = [{ name: "accuracy", better: "higher" as const, unit: "share" }];
const results: RunResult[] = [0, 1, 2].flatMap((seed) =>
  ["plain", "<b>mine</b>"].map((variant, index) => ({ key: `${variant}${seed}`, variant, seed, status: "done" as const, samples: 4, metrics: { accuracy: 0.1 * seed + 0.3 * index + 0.01 * seed * index }, curve: [1, 2, 3].map((step) => ({ step, residual: 1 / step + 0.1 * seed + index })), seconds: 1, model: "" })),
);
const variants = ["plain", "<b>mine</b>"];
const comparison: Comparison = { name: "drawn", folder: "", variants, seeds: [0, 1, 2], budget: { steps: 3, batchSize: 4 }, samples: 4, metrics, results, summaries: summarizeVariants(results, variants, metrics), differences: compareResults(results, variants, metrics), notIndependent: [] };

test("a forest plot draws the mean difference within its intervals, and says the verdict", () => {
  const figure = forestPlot(comparison);
  const [zero, student, bootstrap, marks] = figure.data as LineTrace[];
  assert.ok(Math.abs(marks.x[0]! - 0.31) < 1e-9);
  assert.deepEqual(zero.x, [0, 0]);
  assert.ok(student.x[0]! < bootstrap.x[0]! && bootstrap.x[0]! < 0.31 && bootstrap.x[1]! > 0.31 && student.x[1]! > bootstrap.x[1]!);
  assert.deepEqual(figure.layout.yaxis.ticktext, ["<b>mine</b> (better)"]);
  const svg = figureSvg(figure);
  assert.ok(svg.includes("(better)") && !svg.includes("<b>"), "words are escaped");
  assert.throws(() => forestPlot(comparison, "speed"), /no metric "speed" in this comparison: accuracy/);
});

test("learning curves are the seeds' mean in a band from the lowest to the highest", () => {
  const [lowest, highest, mean] = comparisonCurves(comparison).data as LineTrace[];
  assert.deepEqual([lowest.y[0], highest.y[0], highest.fill], [1, 1.2, "tonexty"]);
  assert.ok(Math.abs(mean.y[0]! - 1.1) < 1e-9);
  assert.match(figureSvg(comparisonCurves(comparison)), /fill="#0072B233"|fill-opacity|rgba/);
});
