import { fork, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../../files";
import { interruptSignal } from "../../interrupt";
import { createProgress, type LongRunOptions } from "../../progress";
import { readSafetensorsHeader } from "../../safetensors";
import { finishedShard, SHARD_DEFAULTS, shardMetadata, type EncodingCost, type LatentShard, type PartResult, type ShardOptions } from "./encode-part";
import type { EncoderChoice } from "./encoder-choice";
import { imageSource, type SourcePart } from "./source";
import type { WorkerReport, WorkerTask } from "./worker";

export { readLatentShard, SHARD_DEFAULTS, type EncodingCost, type LatentShard, type ShardOptions } from "./encode-part";
export { openShardRows, type ShardRows, type ShardRowsOptions } from "./shard-rows";
export type { EncoderChoice } from "./encoder-choice";

export interface EncodeToShardsOptions extends Partial<ShardOptions>, LongRunOptions {
  /** Processes that encode; by default one for every two processors. */
  workers?: number;
  /** Images of a shard, where the source is a folder of images. */
  imagesPerShard?: number;
}

/** The list of a folder's shards, index.json. */
export interface ShardIndex {
  format: "crossflow latent index 1";
  encoder: string;
  /** [h, w, c] */
  latentShape: number[];
  mean: number[];
  standardDeviation: number[];
  imageSize: number;
  flips: boolean;
  /** Names of the classes, where the source's folders name them. */
  classes: string[];
  images: number;
  shards: { file: string; images: number; skipped: number }[];
}

export interface EncodedShards extends ShardIndex {
  /** Images encoded by this call; the others were there. */
  encoded: number;
  /** Of encoding, without loading the encoder. */
  seconds: number;
  imagesPerSecond: number;
  /** Processor time of this call's shards, all processes together. */
  processorSeconds: EncodingCost;
}

const INDEX_FILE = "index.json";

/**
 * Encodes a source of images (an image folder, or tar files in WebDataset's layout) to latents in several safetensors files, by several processes. What is
 * finished is never made again: after an interruption the same call goes on with the shards that are missing.
 * @param source a folder, see imageSource()
 * @param folder where the shards and index.json go
 * @throws RangeError for a number of workers or images that is not a whole one from 1; Error of the first worker that fails, naming the part; the signal's reason when aborted. Finished shards are kept
 */
export async function encodeToShards(source: string, folder: string, encoder: EncoderChoice, options: EncodeToShardsOptions = {}): Promise<EncodedShards> {
  const { onProgress, signal = interruptSignal(), workers = Math.max(1, Math.floor(availableParallelism() / 2)), imagesPerShard = 1000, ...given } = options;
  const settings: ShardOptions = { ...SHARD_DEFAULTS, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
  for (const [name, value] of Object.entries({ workers, batchSize: settings.batchSize, imagesPerShard })) {
    if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} must be a whole number from 1, not ${value}.`);
  }
  const { classes, parts } = await imageSource(source, imagesPerShard);
  await mkdir(folder, { recursive: true });
  const fileOf = (part: SourcePart): string => `latents-${part.name}.safetensors`;

  const pool: EncodingProcess[] = [];
  const abort = (): void => pool.forEach((process) => process.stop());
  signal.throwIfAborted();
  signal.addEventListener("abort", abort, { once: true });
  try {
    const first = startProcess(encoder, settings, workers);
    pool.push(first);
    const about = await first.ready;
    const shards = new Map<SourcePart, PartResult>();
    const processorSeconds: EncodingCost = { decode: 0, encode: 0, write: 0 };
    for (const part of parts) {
      const finished = await finishedShard(join(folder, fileOf(part)), shardMetadata(part, about, settings));
      if (finished) shards.set(part, finished);
    }
    const missing = parts.filter((part) => !shards.has(part));
    while (pool.length < Math.min(workers, missing.length)) pool.push(startProcess(encoder, settings, workers));
    await Promise.all(pool.map(({ ready }) => ready));

    // How many images a tar file holds is known only when it is read, so progress counts parts, and images a second come beside it.
    const started = performance.now();
    let encoded = 0;
    const label = (): string => `encoding images (${(encoded / Math.max(1e-9, (performance.now() - started) / 1000)).toFixed(1)} images/s), shard`;
    const progress = missing.length > 0 ? createProgress({ label: "encoding images", total: parts.length, done: shards.size, onUpdate: (event) => onProgress?.({ ...event, label: label() }) }) : undefined;
    const queue = [...missing];
    const work = async (process: EncodingProcess): Promise<void> => {
      for (let part = queue.shift(); part; part = queue.shift()) {
        signal.throwIfAborted();
        const { cost, ...result } = await process.encode(part, join(folder, fileOf(part)), (count) => {
          encoded += count;
          onProgress?.({ ...progress!.current(), label: label() });
        });
        shards.set(part, result);
        for (const step of ["decode", "encode", "write"] as const) processorSeconds[step] += cost[step];
        progress?.advance();
      }
    };
    await Promise.all(pool.slice(0, Math.max(1, missing.length)).map(work));
    const seconds = (performance.now() - started) / 1000;
    const index: ShardIndex = {
      format: "crossflow latent index 1",
      encoder: about.fingerprint,
      latentShape: about.latentShape,
      mean: about.mean,
      standardDeviation: about.standardDeviation,
      imageSize: about.imageSize,
      flips: settings.flips,
      classes,
      images: [...shards.values()].reduce((sum, { images }) => sum + images, 0),
      shards: parts.map((part) => ({ file: fileOf(part), ...shards.get(part)! })),
    };
    await writeFileAtomic(join(folder, INDEX_FILE), `${JSON.stringify(index, null, 2)}\n`);
    return { ...index, encoded, seconds, imagesPerSecond: encoded / Math.max(1e-9, seconds), processorSeconds };
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    pool.forEach((process) => process.stop());
  }
}

/** Reads a folder's list of shards. @throws Error naming the file when it is missing or something else */
export async function readShardIndex(folder: string): Promise<ShardIndex> {
  const file = join(folder, INDEX_FILE);
  if (!existsSync(file)) throw new Error(`There is no ${file}: encode images into this folder first, or go on where that stopped.`);
  const index = JSON.parse(await readFile(file, "utf8")) as ShardIndex;
  if (index.format !== "crossflow latent index 1") throw new Error(`${file} is no list of shards of latents.`);
  return index;
}

/**
 * Images of the source that could not be read, each with the reason, in the order of the shards.
 * @param folder what encodeToShards() wrote
 * @param limit the most that are listed
 * @throws Error naming the file: no index, a shard that is missing or damaged
 */
export async function skippedImages(folder: string, limit = Infinity): Promise<LatentShard["skipped"]> {
  const { shards } = await readShardIndex(folder);
  const found: LatentShard["skipped"] = [];
  for (const { file, skipped } of shards) {
    if (found.length >= limit) break;
    if (skipped > 0) found.push(...(JSON.parse((await readSafetensorsHeader(join(folder, file))).metadata.skipped) as LatentShard["skipped"]));
  }
  return found.slice(0, limit);
}

interface EncodingProcess {
  ready: Promise<Extract<WorkerReport, { kind: "ready" }>>;
  encode(part: SourcePart, file: string, onImages: (count: number) => void): Promise<PartResult & { cost: EncodingCost }>;
  stop(): void;
}

function startProcess(encoder: EncoderChoice, options: ShardOptions, workers: number): EncodingProcess {
  // Each process has threads of its own: together they shall not be more than there are processors.
  const threads = String(Math.max(1, Math.floor(availableParallelism() / workers)));
  const child = fork(join(__dirname, "worker.js"), { env: { ...process.env, TF_NUM_INTRAOP_THREADS: threads, OMP_NUM_THREADS: threads }, stdio: ["ignore", "ignore", "pipe", "ipc"] });
  let complaints = "";
  child.stderr?.on("data", (text: Buffer) => (complaints = (complaints + text.toString()).slice(-2000)));
  const ready = answer(child, () => complaints, "ready", { kind: "start", encoder, options });
  return {
    ready,
    async encode(part, file, onImages) {
      const { images, skipped, cost } = await answer(child, () => complaints, "done", { kind: "part", part, file }, onImages).catch((error: Error) => {
        throw new Error(`Part ${part.name} could not be encoded: ${error.message}`, { cause: error });
      });
      return { images, skipped, cost };
    },
    stop: () => void child.kill("SIGKILL"),
  };
}

/** Sends a task and waits for the report that answers it. */
function answer<Kind extends WorkerReport["kind"]>(child: ChildProcess, complaints: () => string, kind: Kind, task: WorkerTask, onImages?: (count: number) => void): Promise<Extract<WorkerReport, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      child.off("message", onMessage);
      child.off("exit", onExit);
      finish();
    };
    const onMessage = (message: WorkerReport): void => {
      if (message.kind === "images") onImages?.(message.count);
      else if (message.kind === "failed") settle(() => reject(new Error(message.message)));
      else if (message.kind === kind) settle(() => resolve(message as Extract<WorkerReport, { kind: Kind }>));
    };
    const onExit = (code: number | null, stopped: NodeJS.Signals | null): void => settle(() => reject(new Error(`the encoding process ended (${stopped ?? `code ${code}`}). ${complaints()}`.trim())));
    child.on("message", onMessage);
    child.on("exit", onExit);
    child.send(task);
  });
}
