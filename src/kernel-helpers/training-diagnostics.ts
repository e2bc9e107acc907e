import { REGION_COLUMNS, REGION_ROWS, type Alarm, type Diagnostics, type RegionMap } from "../model/diagnostics";
import { readDiagnostics, runPaths } from "../model/run";
import type { MimeBundle } from "./cell-outputs";
import { display } from "./display";
import { heatMap, lineChart } from "./figures/charts";
import type { Figure } from "./figures/figure";
import { showFigure } from "./figures/show-figure";
import { escapeHtml } from "./html";

/** What a region map shows: decimal logarithms, since regions differ by orders of magnitude. The gradient's scale is fixed, so that maps of several trainings compare. */
const MAPS: Record<"gradient" | "residual" | "derivative", { title: string; range?: { minimum: number; maximum: number } }> = {
  gradient: { title: "Gradient that reaches F, log10 by region, 0: usual pull", range: { minimum: -2, maximum: 2 } },
  residual: { title: "Root mean square of t R, log10 by region" },
  derivative: { title: "Root mean square of dF/dt, log10 by region" },
};

export type RegionMapName = keyof typeof MAPS;

const logarithms = (map: RegionMap): number[][] => map.map((row) => row.map((value) => (value !== null && value > 0 ? Math.log10(value) : NaN)));

/** A heat map of a training's newest diagnostics over (r, t): t to the right; r = t at the top, r = 0 (one-step samples) at the bottom. */
export function regionFigure({ regions, step }: Diagnostics, name: RegionMapName = "gradient"): Figure {
  const { title, range } = MAPS[name];
  return heatMap(logarithms(regions[name]), { columns: REGION_COLUMNS, rows: REGION_ROWS, title: `${title} (step ${step})`, valueTitle: "log10", ...range, xTitle: "t", yTitle: "r", height: 360 });
}

/**
 * Figures of a training's diagnostics: heat maps by region of (r, t), then sensitivities, PSNR against t, update-to-weight ratios and, where there is one, the critic's balance.
 * @param history diagnostics, oldest first
 * @throws Error when there are none
 */
export function diagnosticsFigures(history: readonly Diagnostics[]): Figure[] {
  const latest = history[history.length - 1];
  if (!latest) throw new Error("there are no diagnostics: train with diagnosticsEvery above 0, for at least that many steps");
  const x = history.map(({ step }) => step);
  const series = (name: string, of: (each: Diagnostics) => number | undefined) => ({ name, x, y: history.map((each) => of(each) ?? NaN) });
  const size = { height: 300 };
  return [
    ...(Object.keys(MAPS) as RegionMapName[]).map((name) => regionFigure(latest, name)),
    lineChart(
      [series("another class", ({ sensitivity }) => sensitivity.class), series("another noise", ({ sensitivity }) => sensitivity.noise), series("r = 0.5 for 0", ({ sensitivity }) => sensitivity.r)],
      { ...size, title: "By how much F(eps, 0, y) changes with", xTitle: "step", yTitle: "share of the data's contrast" },
    ),
    lineChart([{ name: "PSNR", x: latest.diagonal.t, y: latest.diagonal.psnr }], { ...size, title: `F(z_t, t, y) against the image (step ${latest.step})`, xTitle: "t", yTitle: "PSNR (dB)" }),
    lineChart(Object.keys(latest.updateToWeight).map((part) => series(part, ({ updateToWeight }) => updateToWeight[part])), { ...size, title: "Update-to-weight ratio", xTitle: "step", yTitle: "|change| / |weights|", yLog: true }),
    lineChart([series("JVP", ({ derivativeError }) => derivativeError)], { ...size, title: "dF/dt: forward mode against a central difference", xTitle: "step", yTitle: "relative difference", yLog: true }),
    ...(latest.critic ? [lineChart([series("real told from made", ({ critic }) => critic?.accuracy)], { ...size, title: "Critic's balance (0.5: it can not tell)", xTitle: "step", yTitle: "share of pairs" })] : []),
  ];
}

/** Alarms as HTML and text: what was seen, the likely cause, the cure. */
export function alarmBundle(alarms: readonly Alarm[], step: number): MimeBundle {
  const head = alarms.length === 0 ? `No sign of a collapse at step ${step}.` : `Signs of a collapse, step ${step}`;
  const html = alarms.map(
    ({ name, sign, cause, cure }) => `<dt><strong>⚠ ${escapeHtml(name)}</strong>: ${escapeHtml(sign)}</dt><dd>Likely cause: ${escapeHtml(cause)}.</dd><dd>Cure: ${escapeHtml(cure)}.</dd>`,
  );
  const text = alarms.map(({ name, sign, cause, cure }) => `! ${name}: ${sign}\n  likely cause: ${cause}\n  cure: ${cure}`);
  return {
    "text/html": `<div role="${alarms.length === 0 ? "status" : "alert"}"><p>${escapeHtml(head)}</p>${html.length > 0 ? `<dl>${html.join("")}</dl>` : ""}</div>`,
    "text/plain": [head, ...text].join("\n"),
  };
}

/**
 * Shows a training's diagnostics below the cell: the newest alarms, then the figures of diagnosticsFigures().
 * @param source a run's name, or diagnostics, oldest first
 * @throws Error when there are none
 */
export async function showDiagnostics(source: string | readonly Diagnostics[], options: { runsFolder?: string } = {}): Promise<void> {
  const history = typeof source === "string" ? readDiagnostics(runPaths(source, options.runsFolder).diagnosticsFile) : source;
  const figures = diagnosticsFigures(history);
  const { alarms, step } = history[history.length - 1];
  display(alarmBundle(alarms, step));
  for (const figure of figures) await showFigure(figure);
}
