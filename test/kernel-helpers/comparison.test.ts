import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { comparisonCurves, forestPlot } from "../../src/kernel-helpers/comparison";
import { writeComparisonReport } from "../../src/kernel-helpers/comparison-report";
import { figureSvg } from "../../src/kernel-helpers/figures/static-figure";
import type { LineTrace } from "../../src/kernel-helpers/figures/figure";
import { tf } from "../../src/model/engine/tf";
import { disposeModel, saveModel, type Model } from "../../src/model/model";
import { initializeParameters, parameterShapes } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { network } from "../model/tiny-training";
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

test("a report is the same in files: pictures of each metric, curves, samples, and one page without network or script, with nothing of the names in its markup", async () => {
  const folder = mkdtempSync(join(tmpdir(), "crossflow-report-"));
  try {
    const file = join(folder, "model.safetensors");
    const model: Model = { network, parameters: initializeParameters(parameterShapes(network), randomStream(0, "weights")), classNames: ["a", "b"], encoderFingerprint: "", minimumTime: 0.02, provenance: {} };
    await saveModel(file, model);
    disposeModel(model);
    const hostile = { ...comparison, folder, name: 'drawn"><script>alert(1)</script>', results: results.map((result, index) => ({ ...result, model: index === 0 ? join(folder, "gone.safetensors") : file })) };
    const before = tf.memory().numTensors;
    const files = await writeComparisonReport(hostile);
    assert.equal(tf.memory().numTensors, before);
    assert.deepEqual(files.map((path) => path.slice(folder.length + 1)), ["forest-accuracy.svg", "learning-curves.svg", "samples.png", "report.html"]);
    assert.deepEqual(readdirSync(folder).sort(), [...files.map((path) => path.slice(folder.length + 1)), "model.safetensors"].sort());
    // ECharts counts its class names on.
    const uncounted = (svg: string): string => svg.replace(/zr\d+-\w+?-?\d+/g, "");
    assert.equal(uncounted(readFileSync(files[0], "utf8")), uncounted(figureSvg(forestPlot(comparison))));
    const page = readFileSync(files[3], "utf8");
    assert.ok(!/<script|<b>|https?:/.test(page), "names are text, and nothing is fetched");
    assert.ok(page.includes("&lt;b&gt;mine&lt;/b&gt; - plain"), "the table names the pair");
    for (const path of files.slice(0, 3)) assert.ok(page.includes(readFileSync(path).toString("base64")), `${path} lies in the page`);
    // The first seed's plain model is gone: its row is left out, and the other one drawn.
    assert.match(page, /a row each: &lt;b&gt;mine&lt;\/b&gt;"/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
