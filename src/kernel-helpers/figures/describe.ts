import type { Figure, FigureNumber, Trace } from "./figure";

/** A figure in words, for whoever can't see it: title, axes, and for each series where it begins, ends and ranges. */
export function describeFigure({ data, layout }: Figure): string {
  const axes = [layout.xaxis.title.text && `x: ${layout.xaxis.title.text}`, layout.yaxis.title.text && `y: ${layout.yaxis.title.text}`];
  return [[layout.title.text || "Figure", ...axes].filter(Boolean).join("; "), ...data.map(describeTrace)].join("\n");
}

function describeTrace(trace: Trace): string {
  if (trace.type === "heatmap") {
    return `heat map of ${trace.z.length} rows and ${trace.x.length} columns: ${describeRange(trace.z.flat())}`;
  }
  if (trace.type === "bar" && !trace.width) {
    const bars = trace.x.map((category, index) => {
      const interval = trace.error_y ? ` ± ${format(trace.error_y.array[index])}` : "";
      return `${category} ${format(trace.y[index])}${interval}`;
    });
    return `${trace.name}: ${bars.join(", ")}`;
  }
  const what = trace.type === "bar" ? `histogram of ${trace.x.length} bins` : `${trace.name}: ${trace.y.length} points`;
  return `${what}, first ${format(trace.y[0])}, last ${format(trace.y.at(-1))}, ${describeRange(trace.y)}`;
}

function describeRange(values: readonly FigureNumber[]): string {
  const finite = values.filter((value): value is number => value !== null);
  if (finite.length === 0) return "no values";
  const low = finite.reduce((a, b) => Math.min(a, b));
  const high = finite.reduce((a, b) => Math.max(a, b));
  return `from ${format(low)} to ${format(high)}`;
}

function format(value: FigureNumber | undefined): string {
  return value == null ? "missing" : String(Number(value.toPrecision(4)));
}
