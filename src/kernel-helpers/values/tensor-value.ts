import type { tf } from "../../model/engine/tf";
import type { MimeBundle } from "../cell-outputs";
import type { Renderer } from "./renderers";

/** Tensors: images as a grid, short rows of numbers as a table, all else as a histogram; always with shape and range. */
export const tensorRenderer: Renderer<tf.Tensor> = {
  name: "tensor",
  matches: (value) => "dataId" in value && "shape" in value && "dtype" in value && typeof (value as tf.Tensor).data === "function",
  async render(tensor) {
    if (tensor.isDisposed) return { bundle: { "text/plain": `Tensor of shape [${tensor.shape}], disposed: its values are gone` } };
    const values = tensor.dtype === "string" ? [] : Array.from((await tensor.data()) as ArrayLike<number>, Number);
    const summary = describeTensor(tensor, values);
    if (tensor.shape.length === 0 && values.length === 1) return { bundle: { "text/plain": `Tensor of shape [], ${tensor.dtype}: ${values[0]}` } };
    if (values.length === 0) return { bundle: { "text/plain": summary } };
    const images = asImages(tensor.shape);
    if (images && tensor.dtype === "float32") return { bundle: await gridBundle(values, images, summary) };
    if (isTabular(tensor.shape)) return { bundle: tableBundle(values, tensor.shape, summary) };
    return histogramOf(values, summary);
  },
};

/** Images shown at most; the others are counted. */
const mostImages = 64;
/** Rows and columns of the largest table. */
const mostRows = 20;
const mostColumns = 12;

/** Shape, type, range, mean, deviation, and how many values aren't finite. */
export function describeTensor({ shape, dtype }: Pick<tf.Tensor, "shape" | "dtype">, values: readonly number[]): string {
  const finite = values.filter(Number.isFinite);
  const start = `Tensor of shape [${shape.join(", ")}], ${dtype}`;
  if (finite.length === 0) return values.length === 0 ? start : `${start}; none of its ${values.length} values is finite`;
  const mean = finite.reduce((sum, value) => sum + value, 0) / finite.length;
  const deviation = Math.sqrt(finite.reduce((sum, value) => sum + (value - mean) ** 2, 0) / finite.length);
  const [low, high] = finite.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
  const other = values.length - finite.length;
  return `${start}; from ${short(low)} to ${short(high)}, mean ${short(mean)}, deviation ${short(deviation)}${other > 0 ? `; ${other} not finite` : ""}`;
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

/** The shape [B, H, W, C] of what looks like images: square or nearly so, grey or RGB, a batch or a single one. */
function asImages(shape: readonly number[]): [number, number, number, number] | undefined {
  const [height, width, channels] = shape.slice(-3);
  const batch = shape.length === 4 ? shape[0] : 1;
  const isPicture = (channels === 1 || channels === 3) && Math.min(height, width) >= 8 && Math.max(height, width) <= 4 * Math.min(height, width);
  return (shape.length === 3 || shape.length === 4) && isPicture ? [batch, height, width, channels] : undefined;
}

function isTabular(shape: readonly number[]): boolean {
  if (shape.length <= 1) return (shape[0] ?? 1) <= mostColumns;
  return shape.length === 2 && shape[0] <= mostRows && shape[1] <= mostColumns;
}

/** Values in [-1, 1], or in [0, 1], are shown as they are; others are stretched to what they span. */
async function gridBundle(values: readonly number[], [batch, height, width, channels]: [number, number, number, number], summary: string): Promise<MimeBundle> {
  const { imageGridBundle } = require("../image-grid") as typeof import("../image-grid");
  const shown = Math.min(batch, mostImages);
  const [low, high] = pictureRange(values);
  const pixels = Uint8ClampedArray.from(values.slice(0, shown * height * width * channels), (value) => ((value - low) / (high - low)) * 255);
  const range = low === -1 && high === 1 ? "" : `; black is ${short(low)}, white ${short(high)}`;
  const caption = `${summary}${range}${shown < batch ? `; the first ${shown} images` : ""}`;
  return imageGridBundle({ pixels: new Uint8Array(pixels.buffer), shape: [shown, height, width, channels] }, { caption });
}

function pictureRange(values: readonly number[]): [number, number] {
  const [low, high] = values.reduce(([least, most], value) => (Number.isFinite(value) ? [Math.min(least, value), Math.max(most, value)] : [least, most]), [Infinity, -Infinity]);
  if (!(high > low)) return [-1, 1];
  if (low >= 0 && high <= 1) return [0, 1];
  // Networks overshoot a little; that isn't worth a duller picture.
  return low >= -1.5 && high <= 1.5 ? [-1, 1] : [low, high];
}

function tableBundle(values: readonly number[], shape: readonly number[], summary: string): MimeBundle {
  const { table } = require("../table") as typeof import("../table");
  const columns = shape.at(-1) ?? 1;
  // The space before its number keeps a column in its place: objects sort names that are whole numbers.
  const rows = Array.from({ length: values.length / columns }, (_, row) =>
    Object.fromEntries([...(shape.length === 2 ? [["row", String(row)] as const] : []), ...values.slice(row * columns, (row + 1) * columns).map((value, column) => [` ${column}`, value] as const)]),
  );
  return table(rows, { caption: summary });
}

async function histogramOf(values: readonly number[], summary: string): Promise<{ bundle: MimeBundle; metadata: Record<string, unknown> }> {
  const { histogram } = require("../figures/charts") as typeof import("../figures/charts");
  const { figureBundle, figureMetadata } = require("../figures/show-figure") as typeof import("../figures/show-figure");
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return { bundle: { "text/plain": summary }, metadata: {} };
  const figure = histogram(finite, { title: summary, xTitle: "value", height: 300 });
  figure.layout.title.font = { size: 12 };
  return { bundle: await figureBundle(figure), metadata: figureMetadata(figure) };
}
