import assert from "node:assert/strict";
import { test } from "node:test";
import { decoderBenchFigure } from "../../src/kernel-helpers/decoder-bench";
import { figureSvg } from "../../src/kernel-helpers/figures/static-figure";
import type { LineTrace } from "../../src/kernel-helpers/figures/figure";
import type { DecoderBenchRow } from "../../src/model/metrics";

const row = (decoder: string, latents: DecoderBenchRow["latents"], deviation: number, given: Partial<DecoderBenchRow> = {}): DecoderBenchRow => ({ decoder, latents, deviation, images: 10, frechetDistance: 100 + 100 * deviation, features: "lite", notIndependent: [], secondsPerImage: 1, peakBytesPerImage: 1, ...given });
const rows = ["plain", "trained"].flatMap((decoder) => {
  const notIndependent: DecoderBenchRow["notIndependent"] = decoder === "trained" ? ["frechetDistance"] : [];
  return [row(decoder, "clean", 0, { psnr: 30, notIndependent }), row(decoder, "moved", 0.5, { psnr: 20, notIndependent }), row(decoder, "generated", NaN, { notIndependent })];
});

test("the plot has a line a decoder over the noise, and its legend marks what is not independent", () => {
  const figure = decoderBenchFigure(rows);
  const traces = figure.data as LineTrace[];
  assert.deepEqual(traces.map(({ name, x, y }) => [name, [...x], [...y]]), [["plain", [0, 0.5], [100, 150]], ["trained (not independent)", [0, 0.5], [100, 150]]]);
  assert.ok(figureSvg(figure).includes("trained (not independent)"));
  assert.deepEqual((decoderBenchFigure(rows, "psnr").data as LineTrace[]).map(({ name }) => name), ["plain", "trained"], "PSNR stands on no network");
  assert.equal(decoderBenchFigure(rows, "lpips").data.length, 0);
});
