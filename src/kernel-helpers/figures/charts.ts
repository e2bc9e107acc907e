import { plainNumbers, type Figure, type FigureAxis, type FigureNumber, type Numbers, type Trace } from "./figure";
import { cividis, cyclic, seriesColors, seriesDashes, seriesSymbols } from "./palette";

/** What all charts take. */
export interface ChartOptions {
  title?: string;
  /** Axis titles, with the unit where there is one: "time left (s)". */
  xTitle?: string;
  yTitle?: string;
  /** Logarithmic axes; values that aren't positive are left out. */
  xLog?: boolean;
  yLog?: boolean;
  /** Pixels. Default 720 by 420. */
  width?: number;
  height?: number;
}

/** One line or cloud of points. */
export interface Series {
  name: string;
  /** Default: 0, 1, 2, ... */
  x?: Numbers;
  y: Numbers;
}

export interface PointSeries extends Series {
  x: Numbers;
  /** A label for each point. */
  labels?: readonly string[];
}

export interface BarSeries {
  name: string;
  /** A height per category. */
  values: Numbers;
  /** Half the height of an interval mark per category, e.g. of a 95 % interval. */
  intervals?: Numbers;
}

export interface BarChartOptions extends ChartOptions {
  categories: readonly string[];
}

export interface HeatMapOptions extends ChartOptions {
  /** Names of the columns and of the rows, the first row at the top. Default: their indices. */
  columns?: readonly string[];
  rows?: readonly string[];
  /** Values at the ends of the colour scale. Default: the smallest and the largest. */
  minimum?: number;
  maximum?: number;
  /** What the colour means. */
  valueTitle?: string;
}

export interface HistogramOptions extends ChartOptions {
  /** Number of bins of equal width. Default: by the rule of Freedman and Diaconis, 5 to 60. */
  bins?: number;
}

/** Lines through points in the order given. Series of one name or more; a name per series when there are several. */
export function lineChart(series: Series | readonly Series[], options: ChartOptions = {}): Figure {
  return figure(pointTraces(asList(series), "lines", options), options);
}

/** A mark for each point. */
export function scatterChart(series: PointSeries | readonly PointSeries[], options: ChartOptions = {}): Figure {
  return figure(pointTraces(asList(series), "markers", options), options);
}

/** A bar for each category and series, with interval marks where given. */
export function barChart(series: BarSeries | readonly BarSeries[], options: BarChartOptions): Figure {
  const list = asList(series);
  const categories = [...options.categories];
  const data = list.map(({ name, values, intervals }, index): Trace => {
    expectLength(`values of "${name}"`, values.length, "category", categories.length);
    if (intervals) expectLength(`intervals of "${name}"`, intervals.length, "category", categories.length);
    return {
      type: "bar",
      name,
      x: categories,
      y: plainNumbers(values),
      ...(intervals && { error_y: { type: "data", array: Array.from(intervals), visible: true } }),
      marker: { color: cyclic(seriesColors, index) },
      showlegend: list.length > 1,
    };
  });
  const base = figure(data, options, { type: "category" });
  return { ...base, layout: { ...base.layout, barmode: "group" } };
}

/**
 * A grid of coloured cells.
 *
 * @param values a list of rows, all of the same length; the first row is drawn at the top
 */
export function heatMap(values: readonly Numbers[], options: HeatMapOptions = {}): Figure {
  const width = values[0]?.length ?? 0;
  if (width === 0) throw new RangeError("heatMap: expected at least one row with at least one value.");
  values.forEach((row, index) => expectLength(`row ${index}`, row.length, "column", width));
  const z = values.map(plainNumbers);
  const finite = z.flat().filter((value): value is number => value !== null);
  const trace: Trace = {
    type: "heatmap",
    z,
    x: [...(options.columns ?? indices(width))].map(String),
    y: [...(options.rows ?? indices(values.length))].map(String),
    zmin: options.minimum ?? smallest(finite),
    zmax: options.maximum ?? largest(finite),
    colorscale: cividis.map((color, index) => [index / (cividis.length - 1), color]),
    colorbar: { title: { text: options.valueTitle ?? "" } },
  };
  return figure([trace], options, { type: "category" }, { type: "category", autorange: "reversed" });
}

/** How often values fall into bins of equal width. The bins are counted here, so that every drawing shows the same. */
export function histogram(values: Numbers, options: HistogramOptions = {}): Figure {
  const finite = Array.from(values).filter(Number.isFinite).sort((a, b) => a - b);
  if (finite.length === 0) throw new RangeError("histogram: expected at least one finite value.");
  const [low, high] = [finite[0], finite[finite.length - 1]];
  const count = options.bins ?? binCount(finite);
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`histogram: bins must be a positive whole number, got ${count}.`);
  const width = high > low ? (high - low) / count : 1;
  const counts = new Array<number>(count).fill(0);
  for (const value of finite) counts[Math.min(count - 1, Math.floor((value - low) / width))]++;
  const trace: Trace = {
    type: "bar",
    name: options.yTitle ?? "count",
    x: counts.map((_, index) => low + (index + 0.5) * width),
    y: counts,
    width: counts.map(() => width),
    marker: { color: seriesColors[0] },
    showlegend: false,
  };
  const base = figure([trace], { yTitle: "count", ...options });
  return { ...base, layout: { ...base.layout, bargap: 0 } };
}

function pointTraces(series: readonly (Series & { labels?: readonly string[] })[], mode: "lines" | "markers", { xLog, yLog }: ChartOptions): Trace[] {
  return series.map(({ name, x, y, labels }, index) => {
    if (x) expectLength(`x of "${name}"`, x.length, "y value", y.length);
    if (labels) expectLength(`labels of "${name}"`, labels.length, "y value", y.length);
    const color = cyclic(seriesColors, index);
    // A line of one point can not be seen.
    const drawn = y.length === 1 ? "markers" : mode;
    return {
      type: "scatter",
      name,
      mode: drawn,
      x: drawable(x ?? indices(y.length), xLog),
      y: drawable(y, yLog),
      ...(labels && { text: [...labels] }),
      ...(drawn === "lines"
        ? { line: { color, dash: cyclic(seriesDashes, index), width: 2 } }
        : { marker: { color, symbol: cyclic(seriesSymbols, index), size: 6, opacity: 0.8 } }),
      showlegend: series.length > 1,
    };
  });
}

function drawable(values: Numbers, log = false): FigureNumber[] {
  return plainNumbers(values).map((value) => (log && value !== null && value <= 0 ? null : value));
}

function figure(data: Trace[], options: ChartOptions, xaxis: Partial<FigureAxis> = {}, yaxis: Partial<FigureAxis> = {}): Figure {
  const { title = "", xTitle = "", yTitle = "", xLog, yLog, width = 720, height = 420 } = options;
  return {
    data,
    layout: {
      title: { text: title },
      xaxis: { title: { text: xTitle }, ...(xLog && { type: "log" }), ...xaxis },
      yaxis: { title: { text: yTitle }, ...(yLog && { type: "log" }), ...yaxis },
      width,
      height,
      showlegend: data.some((trace) => trace.type !== "heatmap" && trace.showlegend),
      font: { family: "sans-serif", size: 13 },
      plot_bgcolor: "#ffffff",
      paper_bgcolor: "#ffffff",
    },
  };
}

function asList<T extends object>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? value : [value as T];
}

function indices(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function expectLength(what: string, length: number, unit: string, expected: number): void {
  if (length !== expected) throw new RangeError(`${what}: expected one value per ${unit}, ${expected} in all, got ${length}.`);
}

function smallest(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value), values[0] ?? 0);
}

function largest(values: readonly number[]): number {
  return values.reduce((high, value) => Math.max(high, value), values[0] ?? 1);
}

/** Freedman and Diaconis, "On the histogram as a density estimator" (1981): a width of 2 IQR n^(-1/3). */
function binCount(sorted: readonly number[]): number {
  const quantile = (share: number): number => sorted[Math.round(share * (sorted.length - 1))];
  const width = (2 * (quantile(0.75) - quantile(0.25))) / Math.cbrt(sorted.length);
  const range = sorted[sorted.length - 1] - sorted[0];
  return width > 0 ? Math.min(60, Math.max(5, Math.ceil(range / width))) : 5;
}
