import { extname } from "node:path";
import sharp from "sharp";
import { writeFileAtomic } from "./files";

/** An RGB picture in memory. */
export interface Picture {
  width: number;
  height: number;
  /** [height, width, 3], 0 to 255, sRGB. */
  pixels: Uint8Array;
}

export interface ImageGridOptions {
  /** Images in a row; by default as many as make the grid nearly square. */
  columns?: number;
  /** Pixels between two images and around the grid, before enlargement; 1 by default. */
  gap?: number;
  /** Colour of the gaps and of empty places, red, green, blue; white by default. */
  background?: readonly [number, number, number];
  /** Each pixel becomes a square of this side; 1 by default. */
  scale?: number;
}

export type PictureFormat = "png" | "jpeg" | "webp";

const FORMAT_OF_EXTENSION: Readonly<Record<string, PictureFormat>> = { ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp" };

/** Quality of the lossy formats, 1 to 100. */
const DEFAULT_QUALITY = 90;

/**
 * Lays square images out in rows, left to right and top to bottom.
 *
 * @param pixels [N, S, S, 3], 0 to 255, N at least 1
 * @param imageSize S
 * @throws RangeError if the pixels aren't whole images, there are none, or an option isn't a whole number in its range
 */
export function imageGrid(pixels: ArrayLike<number>, imageSize: number, options: ImageGridOptions = {}): Picture {
  const count = pixels.length / (imageSize * imageSize * 3);
  if (!Number.isInteger(count) || count < 1) throw new RangeError(`A grid needs at least one image of ${imageSize} x ${imageSize} x 3 bytes, got ${pixels.length} bytes.`);
  const { columns = Math.ceil(Math.sqrt(count)), gap = 1, background = [255, 255, 255], scale = 1 } = options;
  if (!Number.isInteger(columns) || columns < 1) throw new RangeError(`columns must be a whole number from 1, got ${columns}.`);
  if (!Number.isInteger(gap) || gap < 0) throw new RangeError(`gap must be a whole number of pixels from 0, got ${gap}.`);
  if (!Number.isInteger(scale) || scale < 1) throw new RangeError(`scale must be a whole number from 1, got ${scale}.`);

  const step = imageSize + gap;
  const width = columns * step + gap;
  const height = Math.ceil(count / columns) * step + gap;
  const grid = Uint8Array.from({ length: width * height * 3 }, (_, index) => background[index % 3]);
  const rowBytes = imageSize * 3;
  for (let image = 0; image < count; image++) {
    const left = gap + (image % columns) * step;
    const top = gap + Math.floor(image / columns) * step;
    for (let row = 0; row < imageSize; row++) {
      const from = (image * imageSize + row) * rowBytes;
      const to = ((top + row) * width + left) * 3;
      for (let offset = 0; offset < rowBytes; offset++) grid[to + offset] = pixels[from + offset];
    }
  }
  return enlarge({ width, height, pixels: grid }, scale);
}

/** Makes each pixel a square of `scale` x `scale` pixels: small images stay readable and are shown as they are. */
function enlarge({ width, height, pixels }: Picture, scale: number): Picture {
  if (scale === 1) return { width, height, pixels };
  const enlarged = new Uint8Array(width * height * scale * scale * 3);
  for (let y = 0; y < height * scale; y++) {
    for (let x = 0; x < width * scale; x++) {
      const from = (Math.floor(y / scale) * width + Math.floor(x / scale)) * 3;
      enlarged.set(pixels.subarray(from, from + 3), (y * width * scale + x) * 3);
    }
  }
  return { width: width * scale, height: height * scale, pixels: enlarged };
}

/**
 * Encodes a picture; PNG keeps every pixel.
 *
 * @param quality of JPEG and WebP, 1 to 100; 90 by default
 */
export async function encodePicture({ width, height, pixels }: Picture, format: PictureFormat, quality = DEFAULT_QUALITY): Promise<Uint8Array> {
  const image = sharp(pixels, { raw: { width, height, channels: 3 } });
  switch (format) {
    case "png":
      return image.png({ compressionLevel: 9 }).toBuffer();
    case "jpeg":
      // Without chroma subsampling, which smears the colours of small images.
      return image.jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer();
    case "webp":
      return image.webp({ quality }).toBuffer();
  }
}

/**
 * The format that a file's name asks for.
 *
 * @throws Error if the name doesn't end in .png, .jpg, .jpeg or .webp
 */
export function pictureFormat(path: string): PictureFormat {
  const extension = extname(path).toLowerCase();
  if (!Object.hasOwn(FORMAT_OF_EXTENSION, extension)) throw new Error(`Can't tell the format of ${path}: expected a name that ends in ${Object.keys(FORMAT_OF_EXTENSION).join(", ")}.`);
  return FORMAT_OF_EXTENSION[extension];
}

/**
 * Writes a picture atomically, in the format of the file's extension.
 *
 * @throws Error if the extension is unknown or the file can't be written
 */
export async function writePicture(path: string, picture: Picture, quality = DEFAULT_QUALITY): Promise<void> {
  await writeFileAtomic(path, await encodePicture(picture, pictureFormat(path), quality));
}
