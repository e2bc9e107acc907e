import type { tf } from "../model/engine/tf";
import { display } from "./display";
import { escapeHtml } from "./html";
import type { MimeBundle } from "./cell-outputs";

/** Images as bytes: pixels [B, H, W, C] row by row, C = 1 (grey) or 3 (RGB), each 0 to 255. */
export interface ImageBytes {
  pixels: Uint8Array;
  shape: readonly [batch: number, height: number, width: number, channels: number];
}

/** Images as a tensor [B, H, W, C] in [-1, 1] (what lies outside is clipped), or as bytes. */
export type Images = tf.Tensor4D | ImageBytes;

export interface ImageGridOptions {
  /** Images in a row. Default: as near to a square as it gets. */
  columns?: number;
  /** Whole number of screen pixels for each pixel of an image, which stay sharp. Default: so that an image is about 96 wide. */
  scale?: number;
  /** Screen pixels between the images and around them. Default 4. */
  gap?: number;
  /** A line below each image. */
  titles?: readonly string[];
  /** A line left of each row. */
  rowLabels?: readonly string[];
  /** Text above the images, broken into lines as wide as they are. */
  caption?: string;
}

const usualGap = 4;
const titleHeight = 18;
const [leastLabelWidth, mostLabelWidth] = [120, 300];
const usualImageWidth = 96;
const letterHeight = 12;
const letterWidth = 0.55 * letterHeight;
const leastCaptionWidth = 420;

/**
 * Images side by side as one PNG. Pixels are enlarged without smoothing, so that each can be seen.
 *
 * @throws RangeError if sizes don't fit together
 */
export async function imageGrid(images: Images, options: ImageGridOptions = {}): Promise<Uint8Array> {
  const { pixels, shape } = await imageBytes(images);
  const [batch, height, width, channels] = shape;
  const { columns = Math.ceil(Math.sqrt(batch)), scale = Math.max(1, Math.round(usualImageWidth / width)), gap = usualGap, titles, rowLabels, caption = "" } = options;
  const rows = Math.ceil(batch / columns);
  expectWhole("columns", columns);
  expectWhole("scale", scale);
  if (titles && titles.length !== batch) throw new RangeError(`imageGrid: expected a title for each of the ${batch} images, got ${titles.length}.`);
  if (rowLabels && rowLabels.length !== rows) throw new RangeError(`imageGrid: expected a label for each of the ${rows} rows, got ${rowLabels.length}.`);

  const sharp: typeof import("sharp") = require("sharp");
  const [cellWidth, cellHeight] = [width * scale, height * scale];
  const labelWidth = Math.ceil(Math.min(mostLabelWidth, Math.max(leastLabelWidth, 8 + letterWidth * Math.max(0, ...(rowLabels ?? []).map((text) => text.length)))));
  const left = rowLabels ? labelWidth : 0;
  const [stepX, stepY] = [cellWidth + gap, cellHeight + gap + (titles ? titleHeight : 0)];
  const gridWidth = left + gap + Math.max(columns * stepX, caption ? leastCaptionWidth : 0);
  const captionLines = brokenIntoLines(caption, gridWidth - 2 * gap);
  const top = captionLines.length * titleHeight;
  const position = (index: number): { left: number; top: number } => ({
    left: left + gap + (index % columns) * stepX,
    top: top + gap + Math.floor(index / columns) * stepY,
  });
  const size = height * width * channels;
  const cells = await Promise.all(
    Array.from({ length: batch }, async (_, index) => ({
      input: await sharp(pixels.subarray(index * size, (index + 1) * size), { raw: { width, height, channels: channels === 1 ? 1 : 3 } })
        .resize(cellWidth, cellHeight, { kernel: "nearest" })
        .png()
        .toBuffer(),
      ...position(index),
    })),
  );
  const gridHeight = top + gap + rows * stepY;
  const captions = [
    ...captionLines.map((text, line) => textElement(text, gap, (line + 1) * titleHeight - 4, "start")),
    ...(titles ?? []).map((text, index) => {
      const { left: x, top: y } = position(index);
      return label(text, x + cellWidth / 2, y + cellHeight + titleHeight - 5, "middle", cellWidth + gap);
    }),
    ...(rowLabels ?? []).map((text, row) => label(text, labelWidth - 4, top + gap + row * stepY + cellHeight / 2 + 4, "end", labelWidth - 8)),
  ];
  const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="${gridWidth}" height="${gridHeight}">${captions.join("")}</svg>`;
  const background = { width: gridWidth, height: gridHeight, channels: 3 as const, background: "#ffffff" };
  return sharp({ create: background })
    .composite([...cells, ...(captions.length > 0 ? [{ input: Buffer.from(overlay), left: 0, top: 0 }] : [])])
    .png()
    .toBuffer();
}

/** Shows an {@link imageGrid} below the cell. */
export async function showImageGrid(images: Images, options: ImageGridOptions = {}): Promise<void> {
  display(await imageGridBundle(images, options));
}

/** An {@link imageGrid} with its description, ready to be displayed. */
export async function imageGridBundle(images: Images, options: ImageGridOptions = {}): Promise<MimeBundle> {
  const [batch, height, width] = images.shape;
  const names = [options.titles, options.rowLabels].flatMap((list) => (list ? [list.join(", ")] : []));
  const description = [`${batch} images of ${width}x${height} pixels`, ...names].join(": ");
  return { "image/png": await imageGrid(images, options), "text/plain": options.caption ? `${options.caption}\n${description}` : description };
}

async function imageBytes(images: Images): Promise<ImageBytes> {
  const shape = images.shape as ImageBytes["shape"];
  const [batch, height, width, channels] = shape;
  if (shape.length !== 4 || batch < 1 || (channels !== 1 && channels !== 3)) {
    throw new RangeError(`imageGrid: expected images of shape [B, H, W, 1] or [B, H, W, 3] with B of at least 1, got [${shape}].`);
  }
  const count = batch * height * width * channels;
  if ("pixels" in images) {
    if (images.pixels.length !== count) throw new RangeError(`imageGrid: shape [${shape}] needs ${count} bytes, got ${images.pixels.length}.`);
    return images;
  }
  const values = await images.data();
  // A clamped array rounds and clips to 0 to 255; values that aren't numbers become black.
  return { pixels: new Uint8Array(Uint8ClampedArray.from(values, (value) => (value + 1) * 127.5).buffer), shape };
}

function label(text: string, x: number, y: number, anchor: "middle" | "end", width: number): string {
  const letters = Math.max(1, Math.floor(width / letterWidth));
  return textElement(text.length > letters ? `${text.slice(0, letters - 1)}…` : text, x, y, anchor);
}

function textElement(text: string, x: number, y: number, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-family="sans-serif" font-size="${letterHeight}" fill="#222222">${escapeHtml(text)}</text>`;
}

function brokenIntoLines(text: string, width: number): string[] {
  const letters = Math.floor(width / letterWidth);
  const lines: string[] = [];
  for (const word of text.split(" ").filter(Boolean)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= letters) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function expectWhole(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`imageGrid: ${name} must be a positive whole number, got ${value}.`);
}
