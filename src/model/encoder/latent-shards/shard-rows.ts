import { createHash } from "node:crypto";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { interruptSignal } from "../../interrupt";
import { createProgress, type LongRunOptions } from "../../progress";
import { openSafetensors } from "../../safetensors";
import type { Rows, TrainingRows } from "../../training-rows";
import { SHARD_FORMAT } from "./encode-part";
import { readShardIndex } from "./index";

/** A shard, and where the reading thread finds what it needs. */
export interface ShardPlace {
  path: string;
  /** Of the file: another size is another file. */
  bytes: number;
  /** Images in the shards before it. */
  first: number;
  images: number;
  /** Where each tensor's first byte lies in the file. */
  starts: { images: number; latents: number; flipped?: number };
}

/** What the reading thread is started with. */
export interface RowReaderSetting {
  shards: ShardPlace[];
  imageSize: number;
  /** Numbers of a latent, h w c. */
  latentLength: number;
  labels: Int32Array;
}

export interface RowRequest {
  id: number;
  indices: Int32Array;
  flipped: Uint8Array;
}

export type RowReply = { id: number; rows: Rows } | { id: number; message: string };

export interface ShardRows extends TrainingRows {
  imageSize: number;
  /** [h, w, c] */
  latentShape: number[];
  /** Fingerprint of the encoder that made the latents. */
  encoder: string;
  /** Whether mirrored images have latents. */
  flips: boolean;
}

export interface ShardRowsOptions extends LongRunOptions {
  /** The batches will ask for mirrored images. */
  horizontalFlip?: boolean;
}

/**
 * Opens a folder of shards for training: headers and labels are read, four bytes an image; images and latents stay in the files. Each batch is read by a thread of
 * its own, from the places of its images alone, while the process computes.
 * @param folder what encodeToShards() wrote, with the images kept
 * @returns the rows, in the order of the shards in index.json; close() stops the thread
 * @throws Error naming the file: no index, a shard that is missing, damaged, of another encoder, without images, or without flips where they are asked for
 */
export async function openShardRows(folder: string, options: ShardRowsOptions = {}): Promise<ShardRows> {
  const { onProgress, signal = interruptSignal(), horizontalFlip = false } = options;
  const index = await readShardIndex(folder);
  const { imageSize, latentShape, encoder, flips } = index;
  if (index.images === 0) throw new Error(`${folder} holds no images.`);
  if (horizontalFlip && !flips) throw new Error(`${folder} holds no latents of mirrored images, which horizontalFlip asks for: encode the images with flips, or set horizontalFlip to false.`);
  const latentLength = latentShape.reduce((product, size) => product * size, 1);
  const labels = new Int32Array(index.images);
  const hash = createHash("sha256").update(JSON.stringify({ encoder, imageSize, latentShape }));
  const shards: ShardPlace[] = [];
  const progress = createProgress({ label: "opening shards", total: index.shards.length, onUpdate: onProgress });
  let first = 0;
  for (const { file, images } of index.shards) {
    const path = join(folder, file);
    const shard = await openSafetensors(path);
    try {
      const { metadata, tensors } = shard;
      const fault = (what: string): Error => new Error(`${path} can not be trained on: ${what}.`);
      if (metadata.format !== SHARD_FORMAT) throw fault(`it is no shard of latents of the format "${SHARD_FORMAT}"; encode the images again`);
      if (metadata.encoder !== encoder) throw fault(`its latents are of encoder ${metadata.encoder}, those of the index of ${encoder}; encode the images again`);
      if (!tensors.images) throw fault("it holds latents alone, and training in pixel space needs the images beside them; encode again with --keep-images");
      const latents = ["F32", images, ...latentShape];
      const wanted = { latents, images: ["U8", images, imageSize, imageSize, 3], labels: ["I32", images], ...(flips ? { flipped: latents } : {}) };
      for (const [name, [dtype, ...shape]] of Object.entries(wanted)) {
        const found = Object.hasOwn(tensors, name) ? `${tensors[name].dtype} [${tensors[name].shape.join(", ")}]` : "missing";
        if (found !== `${dtype} [${shape.join(", ")}]`) throw fault(`${name} must be ${dtype} [${shape.join(", ")}], not ${found}; encode the images again`);
      }
      labels.set((await shard.read("labels")).data as Int32Array, first);
      hash.update(JSON.stringify({ images, part: metadata.part, latents: tensors.latents.dtype }));
      const startOf = (name: string): number => shard.dataStart + tensors[name].dataOffsets[0];
      const starts = { images: startOf("images"), latents: startOf("latents"), ...(flips ? { flipped: startOf("flipped") } : {}) };
      if (images > 0) shards.push({ path, bytes: shard.bytes, first, images, starts });
    } finally {
      await shard.close();
    }
    first += images;
    progress.advance();
    signal.throwIfAborted();
  }
  const classes = index.classes.length > 0 ? index.classes : Array.from({ length: labels.reduce((most, label) => Math.max(most, label), 0) + 1 }, (_, label) => String(label));
  const wrong = labels.findIndex((label) => label < 0 || label >= classes.length);
  if (wrong >= 0) throw new Error(`${folder}: image ${wrong} has label ${labels[wrong]}, expected 0 to ${classes.length - 1}.`);
  const fingerprint = hash.update(labels).update(JSON.stringify(classes)).digest("hex").slice(0, 16);
  const reader = startReader({ shards, imageSize, latentLength, labels });
  return { name: folder, size: first, classes, labels, fingerprint, imageSize, latentShape, encoder, flips, ...reader };
}

/** The thread that reads batches, one after another. */
function startReader(setting: RowReaderSetting): Pick<TrainingRows, "read" | "close"> {
  const worker = new Worker(join(__dirname, "row-reader.js"), { workerData: setting });
  // A training that was left must not keep the process alive.
  worker.unref();
  const waiting = new Map<number, { resolve: (rows: Rows) => void; reject: (error: Error) => void }>();
  let ended: Error | undefined;
  const end = (error: Error): void => {
    ended = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    worker.unref();
  };
  worker.on("message", (reply: RowReply) => {
    const request = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
    if ("rows" in reply) request?.resolve(reply.rows);
    else request?.reject(new Error(reply.message));
  });
  worker.on("error", (error) => end(new Error(`the thread that reads batches failed: ${error.message}`, { cause: error })));
  worker.on("exit", () => end(new Error("the thread that reads batches has ended")));
  let last = 0;
  return {
    read: (indices, flipped) =>
      new Promise((resolve, reject) => {
        if (ended) return reject(ended);
        waiting.set(++last, { resolve, reject });
        worker.ref();
        worker.postMessage({ id: last, indices, flipped } satisfies RowRequest);
      }),
    close: async () => void (await worker.terminate()),
  };
}
