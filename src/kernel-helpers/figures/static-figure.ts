import type { EChartsOption, SeriesOption } from "echarts";
import type { BarTrace, Figure, FigureAxis, HeatMapTrace, LineTrace } from "./figure";
import { escapeHtml } from "../html";
import { describeFigure } from "./describe";
import { textWidth } from "./text-width";

/**
 * Draws a figure as SVG without a browser: the same data that Plotly draws, by ECharts.
 *
 * @returns an SVG document of layout.width by layout.height, with the figure's description as its text alternative
 */
export function figureSvg(figure: Figure): string {
  const { width, height } = figure.layout;
  // Loaded at first use: most cells draw nothing.
  const echarts: typeof import("echarts") = require("echarts");
  // Without a browser ECharts guesses widths for a narrow font, and names run into their neighbours.
  echarts.setPlatformAPI({ measureText: (text, font = "") => ({ width: textWidth(text, Number(/([\d.]+)px/.exec(font)?.[1] ?? layoutFontSize)) }) });
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption(chartOption(figure));
    const svg = chart.renderToSVGString();
    const title = `<title>${escapeHtml(figure.layout.title.text || "Figure")}</title><desc>${escapeHtml(describeFigure(figure))}</desc>`;
    return svg.replace(/^<svg\b([^>]*)>/, (_, attributes: string) => `<svg${attributes} role="img">${title}`);
  } finally {
    chart.dispose();
  }
}

/**
 * A figure as PNG bytes.
 *
 * @param scale pixels of the picture per pixel of the layout; 2 is sharp on dense screens
 */
export async function figurePng(figure: Figure, scale = 2): Promise<Uint8Array> {
  const sharp: typeof import("sharp") = require("sharp");
  return sharp(Buffer.from(figureSvg(figure)), { density: 72 * scale }).png({ palette: true }).toBuffer();
}

const layoutFontSize = 12;
const legendTop = 34;
const legendRowHeight = 24;
const legendGap = 16;
/** Pixels between a legend's mark and its name, which ECharts fixes. */
const legendTextGap = 5;

/** In how many rows names stand below one another, filled from the left as ECharts fills them. */
export function legendRows(names: readonly string[], markWidth: number, fontSize: number, width: number): number {
  let rows = 1;
  let used = 0;
  for (const name of names) {
    const item = markWidth + legendTextGap + textWidth(name, fontSize);
    if (used > 0 && used + item > width) {
      rows++;
      used = 0;
    }
    used += item + legendGap;
  }
  return rows;
}

function chartOption({ data, layout }: Figure): EChartsOption {
  const heatMap = data.find((trace) => trace.type === "heatmap");
  const bars = data.filter((trace) => trace.type === "bar");
  const isHistogram = bars.some(({ width }) => width);
  const hasLines = data.some((trace) => trace.type === "scatter" && trace.mode !== "markers");
  const names = data.flatMap((trace) => (trace.type === "heatmap" || !trace.showlegend ? [] : [trace.name]));
  const markWidth = hasLines ? 36 : 12;
  const legendMargin = 20;
  const extraRows = layout.showlegend ? legendRows(names, markWidth, layout.font.size, layout.width - 2 * legendMargin) - 1 : 0;
  return {
    animation: false,
    backgroundColor: layout.paper_bgcolor,
    textStyle: { fontFamily: layout.font.family, fontSize: layout.font.size },
    title: { text: layout.title.text, left: "center", top: 4, textStyle: { fontSize: layout.title.font?.size ?? 16, fontWeight: "normal" } },
    legend: layout.showlegend ? { top: legendTop, left: "center", width: layout.width - 2 * legendMargin, itemWidth: markWidth, itemGap: legendGap, textStyle: { fontSize: layout.font.size }, data: names } : { show: false },
    grid: { left: wordsWidth(layout.yaxis) ?? 72, right: heatMap ? 110 : 28, top: layout.showlegend ? 70 + extraRows * legendRowHeight : 44, bottom: 58 },
    xAxis: axisOption(layout.xaxis, { categories: heatMap?.x ?? (isHistogram ? undefined : bars[0]?.x), nameGap: 32 }),
    yAxis: axisOption(layout.yaxis, { categories: heatMap?.y, nameGap: (wordsWidth(layout.yaxis) ?? 72) - 20, fromZero: bars.length > 0 }),
    ...(heatMap && { visualMap: colourScale(heatMap) }),
    series: data.flatMap((trace, index): SeriesOption[] => {
      const before = data[index - 1];
      if (trace.type === "scatter" && trace.fill && before?.type === "scatter") return [bandSeries(before, trace), pointSeries(trace)];
      if (trace.type === "scatter") return [pointSeries(trace)];
      if (trace.type === "heatmap") return [cellSeries(trace)];
      return barSeries(trace, bars.indexOf(trace), bars.length);
    }),
  };
}

/** With so many categories or fewer, each has its name at the axis. */
const mostNamedCategories = 12;

/** Three digits, without the rounding error that a power of ten has in floating point. */
const shortNumber = (value: number): string => Number(value.toPrecision(3)).toString();

interface AxisDrawing {
  categories?: readonly (string | number)[];
  /** Pixels between the axis and its title. */
  nameGap: number;
  /** A bar's length means something only from zero on. */
  fromZero?: boolean;
}

function axisOption(axis: FigureAxis, { categories, nameGap, fromZero = false }: AxisDrawing): object {
  const common = { name: axis.title.text, nameLocation: "middle", nameGap, inverse: axis.autorange === "reversed" };
  if (categories && axis.type === "category") {
    const interval = categories.length <= mostNamedCategories ? 0 : "auto";
    return { ...common, type: "category", data: categories.map(String), axisLabel: { interval } };
  }
  const [min, max] = axis.range ?? [];
  if (axis.tickvals && axis.ticktext) {
    const words = new Map(axis.tickvals.map((value, index) => [value, axis.ticktext![index]]));
    return { ...common, type: "value", min, max, interval: 1, axisLabel: { formatter: (value: number) => words.get(value) ?? "" }, splitLine: { show: false }, axisLine: { onZero: false } };
  }
  if (axis.type === "log") return { ...common, type: "log", axisLabel: { formatter: shortNumber }, ...(axis.range && { min: 10 ** axis.range[0], max: 10 ** axis.range[1] }) };
  return { ...common, type: "value", scale: !fromZero, min, max, axisLine: { onZero: false } };
}

const dashes: Record<"solid" | "dash" | "dot" | "dashdot", "solid" | number[]> = { solid: "solid", dash: [8, 5], dot: [2, 4], dashdot: [8, 4, 2, 4] };
const symbols = { circle: "circle", square: "rect", diamond: "diamond", "triangle-up": "triangle" } as const;

function pointSeries({ name, mode, x, y, line, marker }: LineTrace): SeriesOption {
  const points = x.map((value, index) => [value ?? "-", y[index] ?? "-"]);
  if (mode === "markers") {
    return {
      type: "scatter", name, data: points, symbol: symbols[marker?.symbol ?? "circle"], symbolSize: marker?.size ?? 6,
      itemStyle: { color: marker?.color, opacity: marker?.opacity ?? 1 },
    };
  }
  return {
    type: "line", name, data: points, symbol: mode === "lines" ? "none" : "circle", connectNulls: false, sampling: "lttb",
    lineStyle: { color: line?.color, width: line?.width, type: dashes[line?.dash ?? "solid"] },
    itemStyle: { color: line?.color },
  };
}

/** The filled band between two lines of equal x. */
function bandSeries(lower: LineTrace, upper: LineTrace): SeriesOption {
  const corners = [...lower.x.map((x, index) => [x, lower.y[index]]), ...upper.x.map((x, index) => [x, upper.y[index]]).reverse()].filter((corner): corner is [number, number] => corner.every((value) => value !== null));
  return {
    type: "custom", name: `${upper.name} band`, data: [[corners[0]?.[0] ?? 0, corners[0]?.[1] ?? 0]], silent: true, clip: true,
    renderItem: (_, api) => ({ type: "polygon", shape: { points: corners.map((corner) => api.coord(corner) as [number, number]) }, style: { fill: upper.fillcolor } }),
  };
}

/** Pixels that an axis's words take; undefined where it has numbers. */
function wordsWidth({ ticktext }: FigureAxis): number | undefined {
  return ticktext && 40 + 7.2 * Math.max(...ticktext.map((word) => word.length));
}

function cellSeries({ z }: HeatMapTrace): SeriesOption {
  return { type: "heatmap", data: z.flatMap((row, y) => row.map((value, x) => [x, y, value ?? "-"])) };
}

function colourScale({ zmin, zmax, colorscale, colorbar }: HeatMapTrace): object {
  return {
    type: "continuous", min: zmin, max: zmax, calculable: false, orient: "vertical", right: 8, top: "middle", itemHeight: 180,
    text: [[colorbar.title.text, shortNumber(zmax)].filter(Boolean).join("\n"), shortNumber(zmin)], inRange: { color: colorscale.map(([, color]) => color) },
  };
}

/** Share of a category that stays free, and of a bar's width between two bars. */
const categoryGap = 0.2;
const barGap = 0.1;

function barSeries(trace: BarTrace, index: number, count: number): SeriesOption[] {
  const { name, x, y, width, error_y, marker } = trace;
  if (width) return [binSeries(trace, width)];
  const bars: SeriesOption = { type: "bar", name, data: y.map((value) => value ?? "-"), itemStyle: { color: marker.color }, barCategoryGap: `${100 * categoryGap}%`, barGap: `${100 * barGap}%` };
  if (!error_y) return [bars];
  // Where the bar stands in its category, in category widths from the middle.
  const barWidth = (1 - categoryGap) / (count + (count - 1) * barGap);
  const offset = (index - (count - 1) / 2) * barWidth * (1 + barGap);
  return [bars, intervalSeries(name, offset, x.map((_, category) => [category, (y[category] ?? NaN) - error_y.array[category], (y[category] ?? NaN) + error_y.array[category]]))];
}

/** Bars of given widths on a numeric axis. */
function binSeries({ name, x, y, marker }: BarTrace, width: readonly number[]): SeriesOption {
  return {
    type: "custom", name, encode: { x: [0, 1], y: 2 },
    data: y.map((value, index) => [Number(x[index]) - width[index] / 2, Number(x[index]) + width[index] / 2, value ?? 0]),
    renderItem: (_, api) => {
      const [left, top] = api.coord([api.value(0), api.value(2)]);
      const [right, bottom] = api.coord([api.value(1), 0]);
      return { type: "rect", shape: { x: left, y: top, width: right - left, height: bottom - top }, style: { fill: marker.color, stroke: "#ffffff", lineWidth: 0.5 } };
    },
  };
}

/** Interval marks on bars, of [category, low, high]: a line from low to high with a short cross line at each end. */
function intervalSeries(barName: string, offset: number, intervals: number[][]): SeriesOption {
  return {
    type: "custom", name: `${barName} interval`, data: intervals, encode: { x: 0, y: [1, 2] }, z: 10, silent: true,
    renderItem: (_, api) => {
      const [center, high] = api.coord([api.value(0), api.value(2)]);
      const [, low] = api.coord([api.value(0), api.value(1)]);
      const x = center + offset * [api.size?.([1, 0]) ?? 0].flat()[0];
      const stroke = (x1: number, y1: number, x2: number, y2: number) => ({ type: "line" as const, shape: { x1, y1, x2, y2 }, style: { stroke: "#333333", lineWidth: 1.5 } });
      return { type: "group", children: [stroke(x, low, x, high), stroke(x - 5, high, x + 5, high), stroke(x - 5, low, x + 5, low)] };
    },
  };
}
