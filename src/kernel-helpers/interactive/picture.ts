import type { Figure } from "../figures/figure";
import { imageGrid, type ImageGridOptions, type Images } from "../image-grid";

/** What the picture's maker may give: images as a tensor or bytes, a figure, or a PNG file's bytes. */
export type Picture = Images | Figure | Uint8Array;

/** A picture as PNG, and how many screen pixels wide it is shown: images are stored small and enlarged by whoever shows them. */
export interface StoredPicture {
  png: Uint8Array;
  width: number;
}

const usualImageWidth = 96;

/** A picture ready to be stored. A tensor is disposed of: it was made for this picture. */
export async function storedPicture(picture: Picture, options: ImageGridOptions): Promise<StoredPicture> {
  if (picture instanceof Uint8Array) return { png: picture, width: pngWidth(picture) };
  if ("layout" in picture) {
    // Loaded at first use: most pictures are images.
    const { figurePng } = require("../figures/static-figure") as typeof import("../figures/static-figure");
    return { png: await figurePng(picture, 1), width: picture.layout.width };
  }
  const { titles, rowLabels, caption, scale = Math.max(1, Math.round(usualImageWidth / picture.shape[2])) } = options;
  // Text would not survive being enlarged.
  const hasText = titles !== undefined || rowLabels !== undefined || caption !== undefined;
  try {
    const png = await imageGrid(picture, hasText ? options : { gap: 1, ...options, scale: 1 });
    return { png, width: pngWidth(png) * (hasText ? 1 : scale) };
  } finally {
    if ("dispose" in picture) picture.dispose();
  }
}

/** A PNG file says its width, in 4 bytes, after its signature and the name of its first part (RFC 2083). */
function pngWidth(png: Uint8Array): number {
  return Buffer.from(png).readUInt32BE(16);
}

/** The attribute with which a page shows such a picture, however small it is stored. */
export function pictureStyle({ width }: Pick<StoredPicture, "width">): string {
  return `display: block; width: ${width}px; max-width: 100%; image-rendering: pixelated`;
}
