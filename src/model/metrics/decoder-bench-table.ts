import type { DecoderBenchRow } from "./decoder-bench";
import { markedValue, NOT_INDEPENDENT } from "./independence";

/** What a cell shows where nothing was measured. */
const NONE = "-";

/** The rows of decoderBench() as they are shown: units in the headings, and each value marked that is no evidence. */
export function decoderBenchTable(rows: readonly DecoderBenchRow[]): Record<string, string>[] {
  return rows.map((row) => {
    const marked = (name: DecoderBenchRow["notIndependent"][number], digits: number): string => {
      const value = row[name];
      return value === undefined ? NONE : markedValue(value.toFixed(digits), !row.notIndependent.includes(name));
    };
    return {
      decoder: row.decoder,
      latents: row.latents === "moved" ? `moved by ${row.deviation}` : row.latents,
      "PSNR (dB)": row.psnr?.toFixed(2) ?? NONE,
      SSIM: row.ssim?.toFixed(3) ?? NONE,
      LPIPS: row.latents !== "generated" && row.lpipsMissing !== undefined ? "no weights" : marked("lpips", 3),
      [`Frechet distance, ${row.features}`]: marked("frechetDistance", 0),
      "ms an image": (1000 * row.secondsPerImage).toFixed(2),
      "MB an image": (row.peakBytesPerImage / 1e6).toFixed(2),
    };
  });
}

/** What is to be said below the table: which file LPIPS lacks, and what the marks mean. */
export function decoderBenchNotes(rows: readonly DecoderBenchRow[]): string[] {
  const missing = rows.find(({ lpipsMissing }) => lpipsMissing !== undefined)?.lpipsMissing;
  const marked = rows.some(({ notIndependent }) => notIndependent.length > 0);
  return [...(missing === undefined ? [] : [`No LPIPS: ${missing}`]), ...(marked ? [`"${NOT_INDEPENDENT}": a loss of this decoder's training used the network that the value is measured in.`] : [])];
}
