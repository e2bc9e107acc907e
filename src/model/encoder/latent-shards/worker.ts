/** A process that encodes parts of a source of images, one after another, as its parent asks. Started by encodeToShards(). */
import { startEngine } from "../../engine";
import { encodePart, type EncodingCost, type PartResult, type ShardOptions } from "./encode-part";
import { loadEncoderChoice, type EncoderChoice } from "./encoder-choice";
import type { SourcePart } from "./source";

/** From the parent. */
export type WorkerTask = { kind: "start"; encoder: EncoderChoice; options: ShardOptions } | { kind: "part"; part: SourcePart; file: string };

/** To the parent. */
export type WorkerReport = { kind: "ready"; fingerprint: string; imageSize: number; latentShape: number[]; mean: number[]; standardDeviation: number[] } | { kind: "images"; count: number } | ({ kind: "done"; cost: EncodingCost } & PartResult) | { kind: "failed"; message: string };

const report = (message: WorkerReport): void => void process.send?.(message);

let ready: Promise<{ encoder: Awaited<ReturnType<typeof loadEncoderChoice>>; options: ShardOptions }> | undefined;

async function handle(task: WorkerTask): Promise<void> {
  if (task.kind === "start") {
    ready = startEngine({ announce: () => undefined }).then(async () => ({ encoder: await loadEncoderChoice(task.encoder), options: task.options }));
    const { encoder } = await ready;
    const { fingerprint, imageSize, latentSize, latentChannels, mean, standardDeviation } = encoder;
    report({ kind: "ready", fingerprint, imageSize, latentShape: [latentSize, latentSize, latentChannels], mean, standardDeviation });
    return;
  }
  const { encoder, options } = await ready!;
  const result = await encodePart(encoder, task.part, task.file, options, (count) => report({ kind: "images", count }));
  report({ kind: "done", ...result });
}

process.on("message", (task: WorkerTask) => {
  handle(task).catch((error: Error) => report({ kind: "failed", message: error.message }));
});
// Ctrl-C reaches every process of a terminal: the parent decides what to do about it.
process.on("SIGINT", () => undefined);
process.on("disconnect", () => process.exit(0));
