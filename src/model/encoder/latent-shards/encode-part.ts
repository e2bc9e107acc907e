import { existsSync } from "node:fs";
import { decodeSquareImage } from "../../data/resize";
import { tf } from "../../engine/tf";
import { readSafetensors, readSafetensorsHeader, writeSafetensors, type SafetensorsTensor } from "../../safetensors";
import type { Encoder } from "../index";
import { readImages, type SourceImage, type SourcePart } from "./source";

/** What decides a shard's content besides the images; kept in its metadata. */
export interface ShardOptions {
  /** Images encoded at once. */
  batchSize: number;
  /** Encode each image mirrored left to right as well. */
  flips: boolean;
  /** Keep the cropped images, 8 bits: what a training in pixel space needs beside the latents. */
  keepImages: boolean;
}

export const SHARD_DEFAULTS: ShardOptions = { batchSize: 8, flips: true, keepImages: false };

/** Where the processor time of an encoding process goes, seconds of all its threads. */
export interface EncodingCost {
  /** Reading and decoding images. */
  decode: number;
  /** From pixels to latents. */
  encode: number;
  /** Putting the shard together and writing it. */
  write: number;
}

/** What became of a part's images. */
export interface PartResult {
  images: number;
  skipped: number;
}

/** What a shard's metadata calls its format. */
export const SHARD_FORMAT = "crossflow latents 1";

/** What a shard holds. */
export interface LatentShard {
  /** [N, h, w, c], normalised. */
  latents: Float32Array;
  /** Of the mirrored images; undefined without flips. */
  flipped?: Float32Array;
  /** [N] */
  labels: Int32Array;
  /** [N, S, S, 3], 0 to 255; undefined where images were not kept. */
  images?: Uint8Array;
  shape: number[];
  /** The images' names in the source. */
  keys: string[];
  /** Images that could not be read, each with the reason. */
  skipped: { key: string; reason: string }[];
}

/** What a shard's metadata must say so that it need not be made again. */
export function shardMetadata(part: SourcePart, encoder: Pick<Encoder, "fingerprint" | "imageSize">, { flips, keepImages }: ShardOptions): Record<string, string> {
  return { format: SHARD_FORMAT, part: part.fingerprint, encoder: encoder.fingerprint, imageSize: String(encoder.imageSize), flips: String(flips), images: String(keepImages) };
}

/** Images of a shard that is there and was made of the same images in the same way; undefined otherwise. */
export async function finishedShard(file: string, wanted: Record<string, string>): Promise<PartResult | undefined> {
  if (!existsSync(file)) return undefined;
  const header = await readSafetensorsHeader(file).catch(() => undefined);
  if (!header || Object.entries(wanted).some(([key, value]) => header.metadata[key] !== value)) return undefined;
  return { images: header.tensors.labels.shape[0], skipped: (JSON.parse(header.metadata.skipped) as unknown[]).length };
}

/**
 * Encodes the images of a part and writes them as one shard, atomically. Images that can't be read are left out and listed in the shard.
 * @param onImages called with the number of images after each batch
 * @returns images and skipped ones, and what they cost
 */
export async function encodePart(encoder: Encoder, part: SourcePart, file: string, options: ShardOptions, onImages: (count: number) => void = () => undefined): Promise<PartResult & { cost: EncodingCost }> {
  const { latentSize, latentChannels, imageSize } = encoder;
  const latents: Float32Array[] = [];
  const flipped: Float32Array[] = [];
  const images: Uint8Array[] = [];
  const labels: number[] = [];
  const keys: string[] = [];
  const skipped: LatentShard["skipped"] = [];
  const cost: EncodingCost = { decode: 0, encode: 0, write: 0 };
  // One thing after another: what the process used since the last look was used by the step that has just ended.
  let before = process.cpuUsage();
  const charge = (step: keyof EncodingCost): void => {
    const { user, system } = process.cpuUsage(before);
    cost[step] += (user + system) / 1e6;
    before = process.cpuUsage();
  };
  for await (const batch of batches(readImages(part), options.batchSize)) {
    const decoded = await Promise.all(
      batch.map(async ({ key, label, file: bytes }) => {
        try {
          return { key, label, pixels: await decodeSquareImage(bytes, imageSize) };
        } catch (error) {
          skipped.push({ key, reason: (error as Error).message });
          return undefined;
        }
      }),
    );
    const good = decoded.filter((image) => image !== undefined);
    charge("decode");
    if (good.length > 0) {
      const pixels = new Uint8Array(good.length * imageSize * imageSize * 3);
      good.forEach((image, i) => pixels.set(image.pixels, i * imageSize * imageSize * 3));
      const [straight, mirrored] = tf.tidy(() => {
        const x = tf.tensor4d(Float32Array.from(pixels), [good.length, imageSize, imageSize, 3]).div<tf.Tensor4D>(127.5).sub<tf.Tensor4D>(1);
        return [encoder.encode(x), ...(options.flips ? [encoder.encode(x.reverse(2))] : [])];
      });
      latents.push((await straight.data()) as Float32Array);
      if (mirrored) flipped.push((await mirrored.data()) as Float32Array);
      tf.dispose([straight, mirrored].filter((tensor) => tensor !== undefined));
      if (options.keepImages) images.push(pixels);
      labels.push(...good.map(({ label }) => label));
      keys.push(...good.map(({ key }) => key));
    }
    charge("encode");
    onImages(batch.length);
  }
  const shape = [labels.length, latentSize, latentSize, latentChannels];
  const tensors: Record<string, SafetensorsTensor> = {
    latents: { dtype: "F32", shape, data: joined(latents, Float32Array) },
    labels: { dtype: "I32", shape: [labels.length], data: Int32Array.from(labels) },
  };
  if (options.flips) tensors.flipped = { dtype: "F32", shape, data: joined(flipped, Float32Array) };
  if (options.keepImages) tensors.images = { dtype: "U8", shape: [labels.length, imageSize, imageSize, 3], data: joined(images, Uint8Array) };
  await writeSafetensors(file, tensors, { ...shardMetadata(part, encoder, options), keys: JSON.stringify(keys), skipped: JSON.stringify(skipped) });
  charge("write");
  return { images: labels.length, skipped: skipped.length, cost };
}

/** Reads what encodePart() wrote. @throws Error naming the file if it holds something else */
export async function readLatentShard(file: string): Promise<LatentShard> {
  const { tensors, metadata } = await readSafetensors(file);
  const { latents, flipped, labels, images } = tensors;
  if (metadata.format !== SHARD_FORMAT || latents?.dtype !== "F32" || labels?.dtype !== "I32") throw new Error(`${file} is no shard of latents: expected the format "${SHARD_FORMAT}". Encode the images again.`);
  return {
    latents: latents.data,
    flipped: flipped?.dtype === "F32" ? flipped.data : undefined,
    labels: labels.data,
    images: images?.dtype === "U8" ? images.data : undefined,
    shape: latents.shape,
    keys: JSON.parse(metadata.keys) as string[],
    skipped: JSON.parse(metadata.skipped) as LatentShard["skipped"],
  };
}

async function* batches(source: AsyncIterable<SourceImage>, size: number): AsyncGenerator<SourceImage[]> {
  let batch: SourceImage[] = [];
  for await (const image of source) {
    batch.push(image);
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
  }
  if (batch.length > 0) yield batch;
}

function joined<Values extends Float32Array | Uint8Array>(parts: readonly Values[], Type: new (length: number) => Values): Values {
  const whole = new Type(parts.reduce((sum, { length }) => sum + length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}
