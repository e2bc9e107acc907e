/** Numbers of a figure; what isn't finite is drawn as a gap. */
export type FigureNumber = number | null;

export interface LineTrace {
  type: "scatter";
  name: string;
  mode: "lines" | "markers" | "lines+markers";
  x: FigureNumber[];
  y: FigureNumber[];
  /** Label of each point, shown when it is pointed at. */
  text?: string[];
  line?: { color: string; dash: "solid" | "dash" | "dot" | "dashdot"; width: number };
  marker?: { color: string; symbol: "circle" | "square" | "diamond" | "triangle-up"; size: number; opacity?: number };
  /** Fills the band between this line and the one before it. */
  fill?: "tonexty";
  fillcolor?: string;
  showlegend: boolean;
}

export interface BarTrace {
  type: "bar";
  name: string;
  x: string[] | number[];
  y: FigureNumber[];
  /** Half the height of each bar's interval mark. */
  error_y?: { type: "data"; array: number[]; visible: true };
  /** Widths in units of x; histograms only. */
  width?: number[];
  marker: { color: string };
  showlegend: boolean;
}

export interface HeatMapTrace {
  type: "heatmap";
  /** Rows from bottom to top, or from top to bottom where the y axis is reversed. */
  z: FigureNumber[][];
  x: string[] | number[];
  y: string[] | number[];
  zmin: number;
  zmax: number;
  colorscale: [number, string][];
  colorbar: { title: { text: string } };
}

export type Trace = LineTrace | BarTrace | HeatMapTrace;

export interface FigureAxis {
  title: { text: string };
  type?: "linear" | "log" | "category";
  /** Fixed limits; of a log axis, their decimal logarithms. */
  range?: [number, number];
  autorange?: "reversed";
  /** Words in place of numbers, at whole positions. */
  tickmode?: "array";
  tickvals?: number[];
  ticktext?: string[];
  /** Makes room for long words. */
  automargin?: true;
}

/**
 * A picture as a plain value: what Plotly draws, in the subset that this package makes and can also draw without a browser.
 */
export interface Figure {
  data: Trace[];
  layout: {
    title: { text: string; font?: { size: number } };
    xaxis: FigureAxis;
    yaxis: FigureAxis;
    /** Pixels. */
    width: number;
    height: number;
    barmode?: "group";
    bargap?: number;
    showlegend: boolean;
    font: { family: string; size: number };
    plot_bgcolor: string;
    paper_bgcolor: string;
  };
}

/** A series' numbers as callers have them. */
export type Numbers = readonly number[] | Float32Array | Float64Array | Int32Array | Uint8Array;

export function plainNumbers(values: Numbers): FigureNumber[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? value : null));
}
