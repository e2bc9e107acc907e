/** The thread that reads a training's batches from shards, started by openShardRows(). */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { writeImageValues } from "../../data/image-values";
import type { Rows } from "../../training-rows";
import type { RowReaderSetting, RowReply, RowRequest, ShardPlace } from "./shard-rows";

/** Files that are kept open at once; systems allow a process 256 or more. */
const MAX_OPEN_FILES = 128;

const { shards, imageSize, latentLength, labels } = workerData as RowReaderSetting;
const imageLength = imageSize * imageSize * 3;
const latentBytes = latentLength * Float32Array.BYTES_PER_ELEMENT;
/** One image as it lies in its file. */
const image = new Uint8Array(imageLength);
/** File descriptors by number of the shard, the one used longest ago first. */
const open = new Map<number, number>();

function opened(number: number): number {
  const descriptor = open.get(number) ?? openShard(shards[number]);
  open.delete(number);
  open.set(number, descriptor);
  if (open.size > MAX_OPEN_FILES) {
    const [oldest] = open.keys();
    closeSync(open.get(oldest)!);
    open.delete(oldest);
  }
  return descriptor;
}

function openShard({ path, bytes }: ShardPlace): number {
  const descriptor = openSync(path, "r");
  if (fstatSync(descriptor).size === bytes) return descriptor;
  closeSync(descriptor);
  throw new Error(`${path} is another file than when the training began. Begin the training again, with the shards as they are now.`);
}

/** The last shard that begins at or before an image. */
function shardOf(index: number): number {
  let [low, high] = [0, shards.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (shards[middle].first <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Fills a buffer from a place of a file. Nothing else waits for this thread, so reading may block it: that costs a quarter of what promises do. */
function fill(number: number, buffer: Uint8Array, position: number): void {
  const descriptor = opened(number);
  for (let done = 0; done < buffer.length; ) {
    const count = readSync(descriptor, buffer, done, buffer.length - done, position + done);
    if (count === 0) throw new Error(`${shards[number].path} ended while it was read: it has become shorter.`);
    done += count;
  }
}

function readRows(indices: Int32Array, flipped: Uint8Array): Rows {
  const rows: Rows = { images: new Float32Array(indices.length * imageLength), latents: new Float32Array(indices.length * latentLength), labels: Int32Array.from(indices, (index) => labels[index]) };
  indices.forEach((index, position) => {
    const number = shardOf(index);
    const { first, starts } = shards[number];
    const mirrored = flipped[position] === 1;
    fill(number, image, starts.images + (index - first) * imageLength);
    writeImageValues(image, rows.images.subarray(position * imageLength, (position + 1) * imageLength), imageSize, mirrored);
    const latent = new Uint8Array(rows.latents.buffer, position * latentBytes, latentBytes);
    fill(number, latent, (mirrored ? starts.flipped! : starts.latents) + (index - first) * latentBytes);
  });
  return rows;
}

parentPort?.on("message", ({ id, indices, flipped }: RowRequest) => {
  try {
    const rows = readRows(indices, flipped);
    parentPort?.postMessage({ id, rows } satisfies RowReply, [rows.images.buffer, rows.latents.buffer, rows.labels.buffer] as ArrayBuffer[]);
  } catch (error) {
    parentPort?.postMessage({ id, message: (error as Error).message } satisfies RowReply);
  }
});
