import { decoderBenchNotes, decoderBenchTable } from "../model/metrics/decoder-bench-table";
import type { DecoderBenchRow } from "../model/metrics/decoder-bench";
import { NOT_INDEPENDENT } from "../model/metrics/independence";
import { markdown } from "./display";
import { lineChart } from "./figures/charts";
import type { Figure } from "./figures/figure";
import { showFigure } from "./figures/show-figure";
import { showTable } from "./table";

/** The measures that are drawn against how far the latents were moved. */
const MEASURES = {
  psnr: { title: "PSNR", unit: "dB" },
  ssim: { title: "SSIM", unit: "" },
  lpips: { title: "LPIPS", unit: "" },
  frechetDistance: { title: "Frechet distance", unit: "" },
} as const;

export type DecoderBenchMeasure = keyof typeof MEASURES;

/**
 * A measure of each decoder against the deviation of the noise on the latents, a line a decoder; a decoder's name carries the mark where a loss of its
 * training used the network that is measured in.
 * @param rows of decoderBench(); those of generated latents have no place on the axis and are left out
 */
export function decoderBenchFigure(rows: readonly DecoderBenchRow[], measure: DecoderBenchMeasure = "frechetDistance"): Figure {
  const { title, unit } = MEASURES[measure];
  const moved = rows.filter((row) => row.latents !== "generated" && row[measure] !== undefined);
  const series = [...new Set(moved.map(({ decoder }) => decoder))].map((decoder) => {
    const own = moved.filter((row) => row.decoder === decoder);
    const dependent = own.some(({ notIndependent }) => (notIndependent as readonly string[]).includes(measure));
    return { name: dependent ? `${decoder} (${NOT_INDEPENDENT})` : decoder, x: own.map(({ deviation }) => deviation), y: own.map((row) => row[measure]!) };
  });
  const yTitle = measure === "frechetDistance" && rows.length > 0 ? `${title}, ${rows[0].features}` : `${title}${unit && ` (${unit})`}`;
  return lineChart(series, { title: `${title} of decoded images`, xTitle: "deviation of the noise on the latents", yTitle });
}

/** Shows what decoderBench() measured below the cell: the table, what its marks mean and which files are missing, and a plot of the Frechet distance. */
export async function showDecoderBench(rows: readonly DecoderBenchRow[]): Promise<void> {
  showTable(decoderBenchTable(rows));
  const notes = decoderBenchNotes(rows);
  if (notes.length > 0) markdown(notes.map((note) => note.replace(/[\\`*_<>[\]]/g, "\\$&")).join("\n\n"));
  await showFigure(decoderBenchFigure(rows));
}
