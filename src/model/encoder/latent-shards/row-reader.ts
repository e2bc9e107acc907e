/** The thread that reads a training's batches from shards, started by openShardRows(). */
import { parentPort, workerData } from "node:worker_threads";
import { writeImageValues } from "../../data/image-values";
import { openSafetensors, type OpenSafetensors } from "../../safetensors";
import type { Rows } from "../../training-rows";
import type { RowReaderSetting, RowReply, RowRequest, ShardPlace } from "./shard-rows";

/** Files that are kept open at once; systems allow a process 256 or more. */
const MAX_OPEN_FILES = 128;

const { shards, imageSize, latentLength, labels } = workerData as RowReaderSetting;
const imageLength = imageSize * imageSize * 3;
/** By number of the shard, the one used longest ago first. */
const open = new Map<number, OpenSafetensors>();

async function opened(number: number): Promise<OpenSafetensors> {
  const file = open.get(number) ?? (await openSafetensors(shards[number].path));
  open.delete(number);
  open.set(number, file);
  if (open.size > MAX_OPEN_FILES) {
    const [oldest] = open.keys();
    await open.get(oldest)!.close();
    open.delete(oldest);
  }
  return file;
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

async function readRows(indices: Int32Array, flipped: Uint8Array): Promise<Rows> {
  const rows: Rows = { images: new Float32Array(indices.length * imageLength), latents: new Float32Array(indices.length * latentLength), labels: Int32Array.from(indices, (index) => labels[index]) };
  const byShard = new Map<number, number[]>();
  indices.forEach((index, position) => {
    const number = shardOf(index);
    byShard.set(number, [...(byShard.get(number) ?? []), position]);
  });
  for (const [number, positions] of byShard) {
    const file = await opened(number);
    await Promise.all(positions.map((position) => readRow(file, shards[number], indices[position], flipped[position] === 1, position, rows)));
  }
  return rows;
}

async function readRow(file: OpenSafetensors, { first }: ShardPlace, index: number, mirrored: boolean, position: number, rows: Rows): Promise<void> {
  const [image, latent] = await Promise.all([file.readRows("images", index - first, 1), file.readRows(mirrored ? "flipped" : "latents", index - first, 1)]);
  writeImageValues(image.data as Uint8Array, rows.images.subarray(position * imageLength, (position + 1) * imageLength), imageSize, mirrored);
  rows.latents.set(latent.data as Float32Array, position * latentLength);
}

// One batch after another: two at once would share the open files, and be no faster.
let queue: Promise<void> = Promise.resolve();
parentPort?.on("message", ({ id, indices, flipped }: RowRequest) => {
  queue = queue.then(async () => {
    const reply = await readRows(indices, flipped).then((rows): RowReply => ({ id, rows }), (error: Error): RowReply => ({ id, message: error.message }));
    const buffers = "rows" in reply ? [reply.rows.images.buffer, reply.rows.latents.buffer, reply.rows.labels.buffer] : [];
    parentPort?.postMessage(reply, buffers as ArrayBuffer[]);
  });
});
