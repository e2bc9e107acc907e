import sharp from "sharp";
import { yieldToEventLoop } from "../interrupt";
import { createProgress, type LongRunOptions } from "../progress";
import { allocatePixels, CHANNELS, imageBytes } from "./dataset";
import { squareEnlarger } from "./enlarge";
import { mapConcurrently } from "./map-concurrently";

/** Images under way at a time: the decoder works in Node's pool of four threads. */
export const IMAGES_IN_FLIGHT = 4;

/** Enlarging works on this thread: so often it lets an interruption in. */
const IMAGES_BETWEEN_PAUSES = 64;

const FORMATS: readonly string[] = ["png", "jpeg", "webp"];

/**
 * Decodes a PNG, JPEG or WebP file to a square RGB image: turned upright as its EXIF orientation says, the largest centred
 * square, reduced by Lanczos' filter or enlarged by a bicubic one, transparent parts on white. Greyscale, CMYK and 16-bit images become 8-bit sRGB.
 *
 * @returns [S, S, 3], 0 to 255
 * @throws Error saying what is wrong with the file, without its name
 */
export async function decodeSquareImage(file: Uint8Array, imageSize: number): Promise<Uint8Array> {
  if (file.length === 0) throw new Error("the file is empty");
  const image = sharp(file, { failOn: "error" });
  const { format, width, height } = await image.metadata().catch(explainDecoderError);
  if (!FORMATS.includes(format)) throw new Error(`it is a ${format} file, expected PNG, JPEG or WebP`);
  const decodedSize = Math.min(imageSize, width, height);
  const { data, info } = await image
    .autoOrient()
    .resize({ width: decodedSize, height: decodedSize, fit: "cover", position: "centre" })
    .flatten({ background: "#ffffff" })
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(explainDecoderError);
  if (info.channels !== CHANNELS) throw new Error(`it decodes to ${info.channels} colour channels, expected ${CHANNELS}`);
  return decodedSize < imageSize ? squareEnlarger(decodedSize, imageSize)(data) : data;
}

/** The decoder's messages repeat themselves and end in line breaks. */
function explainDecoderError(error: unknown): never {
  const [first] = (error as Error).message.split("\n");
  if (/unsupported image format/.test(first)) throw new Error("it is no PNG, JPEG or WebP image, or it is damaged", { cause: error });
  throw new Error(`it is damaged or cut off (${first.replace(/:\s*$/, "")})`, { cause: error });
}

/**
 * Scales square images: reduced by Lanczos' filter, enlarged by a bicubic one.
 *
 * @param pixels [N, S, S, 3]
 * @returns [N, T, T, 3]; `pixels` itself if the size stays the same
 */
export async function resizeSquareImages(pixels: Uint8Array, fromSize: number, toSize: number, { onProgress, signal }: LongRunOptions = {}): Promise<Uint8Array> {
  const count = pixels.length / imageBytes(fromSize);
  if (fromSize === toSize || count === 0) return pixels;
  const resized = allocatePixels(count, toSize);
  const resizeImage = toSize > fromSize ? squareEnlarger(fromSize, toSize) : squareReducer(fromSize, toSize);
  const progress = createProgress({ label: "resizing images", total: count, onUpdate: onProgress });
  const resizeAt = async (index: number): Promise<void> => {
    const image = pixels.subarray(index * imageBytes(fromSize), (index + 1) * imageBytes(fromSize));
    resized.set(await resizeImage(image), index * imageBytes(toSize));
    if (index % IMAGES_BETWEEN_PAUSES === 0) await yieldToEventLoop();
    progress.advance();
  };
  await mapConcurrently(Array.from({ length: count }, (_, index) => index), resizeAt, { concurrency: IMAGES_IN_FLIGHT, signal });
  signal?.throwIfAborted();
  return resized;
}

function squareReducer(fromSize: number, toSize: number): (pixels: Uint8Array) => Promise<Uint8Array> {
  return (pixels) => sharp(pixels, { raw: { width: fromSize, height: fromSize, channels: CHANNELS } }).resize(toSize, toSize).raw().toBuffer();
}
