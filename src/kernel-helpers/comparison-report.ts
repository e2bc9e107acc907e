import { join } from "node:path";
import { budgetText } from "../model/comparison/plan";
import { differenceRows, failureLines, independenceLines, summaryRows } from "../model/comparison/report";
import type { Comparison } from "../model/comparison";
import { tf } from "../model/engine/tf";
import { writeFileAtomic } from "../model/files";
import { comparisonCurves, comparisonSamples, forestPlot, type ComparisonSamplesOptions, SAMPLES_CAPTION } from "./comparison";
import { describeFigure } from "./figures/describe";
import type { Figure } from "./figures/figure";
import { figureSvg } from "./figures/static-figure";
import { escapeHtml } from "./html";
import { imageGrid } from "./image-grid";
import { table, type TableRow } from "./table";

interface Drawing {
  /** Of the file. */
  name: string;
  type: "svg+xml" | "png";
  content: string | Uint8Array;
  /** What it shows, for those who do not see it. */
  description: string;
}

/**
 * Writes what showComparison() shows into the comparison's folder: forest-METRIC.svg, learning-curves.svg, samples.png (the same noise and class in each column), and report.html,
 * one page with the tables and these pictures in it, which needs no network.
 * @param options which samples to draw; `encoder` where a variant is a latent baseline
 * @returns the files, the page last
 * @throws Error when a variant's model is gone, or needs an encoder that is not given
 */
export async function writeComparisonReport(comparison: Comparison, options: ComparisonSamplesOptions = {}): Promise<string[]> {
  const drawings: Drawing[] = comparison.metrics
    .filter(({ name }) => comparison.differences.some(({ metric, seeds }) => metric === name && seeds > 0))
    .map(({ name }) => drawing(`forest-${name.replace(/[^\w.-]/g, "-")}`, forestPlot(comparison, name)));
  if (comparison.results.some(({ curve }) => curve.length > 0)) drawings.push(drawing("learning-curves", comparisonCurves(comparison)));
  const samples = await sampleDrawing(comparison, options);
  if (samples) drawings.push(samples);
  const files: string[] = [];
  for (const { name, type, content } of drawings) {
    const file = join(comparison.folder, `${name}.${type === "png" ? "png" : "svg"}`);
    await writeFileAtomic(file, content);
    files.push(file);
  }
  const page = join(comparison.folder, "report.html");
  await writeFileAtomic(page, comparisonPage(comparison, drawings));
  return [...files, page];
}

function drawing(name: string, figure: Figure): Drawing {
  return { name, type: "svg+xml", content: figureSvg(figure), description: describeFigure(figure) };
}

async function sampleDrawing(comparison: Comparison, options: ComparisonSamplesOptions): Promise<Drawing | undefined> {
  const grid = await comparisonSamples(comparison, options);
  if (!grid) return undefined;
  try {
    const { rows, columns } = grid;
    return { name: "samples", type: "png", content: await imageGrid(grid.images, { columns, rowLabels: rows, scale: 2, caption: SAMPLES_CAPTION }), description: `${SAMPLES_CAPTION}; a row each: ${rows.join(", ")}` };
  } finally {
    tf.dispose(grid.images);
  }
}

const STYLE = "body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem } table { border-collapse: collapse; font-size: 13px } caption { text-align: left; padding: .5rem 0 } th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd } figure { margin: 1.5rem 0 } img { max-width: 100% } .wide { overflow-x: auto }";

/** One page of tables and pictures; everything of the comparison's is escaped or lies in a picture. */
function comparisonPage(comparison: Comparison, drawings: readonly Drawing[]): string {
  const { name, budget, seeds, samples } = comparison;
  const list = (title: string, lines: readonly string[]): string => (lines.length === 0 ? "" : `<h2>${title}</h2><ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul>`);
  const tableOf = (rows: readonly TableRow[], caption: string): string => (rows.length === 0 ? "" : `<div class="wide" tabindex="0">${String(table(rows, { caption })["text/html"])}</div>`);
  const figures = drawings.map(({ type, content, description }) => `<figure><img src="data:image/${type};base64,${Buffer.from(content as string).toString("base64")}" alt="${escapeHtml(description)}"></figure>`);
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src \'unsafe-inline\'"><meta name="viewport" content="width=device-width">',
    `<title>${escapeHtml(name)}</title><style>${STYLE}</style></head><body><main><h1>${escapeHtml(name)}</h1>`,
    `<p>${escapeHtml(`${budgetText(budget)}; seeds ${seeds.join(", ")}; ${samples} samples a run.`)}</p>`,
    tableOf(summaryRows(comparison), "Means over seeds with 95 % bootstrap intervals"),
    tableOf(differenceRows(comparison), "Paired differences; p values corrected over all rows by Holm's method"),
    list("Not independent", independenceLines(comparison)),
    list("Failed", failureLines(comparison)),
    ...figures,
    "</main></body></html>\n",
  ].join("\n");
}
