import { fork, type ChildProcess } from "node:child_process";
import { availableParallelism, freemem } from "node:os";
import { join } from "node:path";
import { threadsOfAnOperation } from "../engine/threads";
import { createProgress, type LongRunOptions } from "../progress";
import type { Job } from "./plan";
import type { RunResult } from "./results";
import type { Sweep } from "./sweep-plan";

export type ToWorker = { type: "job"; job: Job; folder: string; samples: number; pixelLosses: Sweep["pixelLosses"] } | { type: "stop" };
export type FromWorker = { type: "step"; step: number } | { type: "result"; result: RunResult } | { type: "stopped"; interrupted: boolean; error: string };

/** A job with the folder of its comparison. */
export interface PlacedJob {
  job: Job;
  folder: string;
}

export interface ParallelOptions extends LongRunOptions {
  samples: number;
  pixelLosses: Sweep["pixelLosses"];
  /** Processes at once; as many as cores and memory have room for by default. */
  processes?: number;
  /** Takes each result as it comes, one at a time. */
  onResult: (placed: PlacedJob, result: RunResult) => Promise<void>;
}

/** Memory that one training process takes, bytes: data, latents, weights and TensorFlow at the small presets. */
const PROCESS_MEMORY = 3 * 2 ** 30;

/** How many processes this machine has room for. */
export function roomForProcesses(jobs: number, cores: number = availableParallelism(), memory: number = freemem()): number {
  return Math.max(1, Math.min(jobs, cores, Math.floor(memory / PROCESS_MEMORY)));
}

/**
 * Runs jobs in processes of their own, each taking the next job when it is done with one. A process that dies costs its job alone.
 * @throws the signal's reason when aborted, after every process has written its checkpoint
 */
export async function runInProcesses(jobs: readonly PlacedJob[], options: ParallelOptions): Promise<void> {
  const { samples, pixelLosses, signal, onProgress, onResult } = options;
  signal?.throwIfAborted();
  if (jobs.length === 0) return;
  const processes = Math.min(options.processes ?? roomForProcesses(jobs.length), jobs.length);
  const threads = String(threadsOfAnOperation(Math.floor(availableParallelism() / processes)));
  const waiting = [...jobs];
  const total = jobs.reduce((sum, { job }) => sum + job.config.steps, 0);
  const progress = createProgress({ label: `sweeping in ${processes} ${processes === 1 ? "process" : "processes"}`, total, onUpdate: onProgress });

  const lane = async (): Promise<void> => {
    let worker: ChildProcess | undefined;
    // A terminal's Ctrl-C reaches the processes themselves, which may leave while they are told to: a message that comes too late is none.
    const stop = (): void => void (worker?.connected && worker.send({ type: "stop" } satisfies ToWorker, () => undefined));
    const end = async (): Promise<void> => {
      if (!worker || worker.exitCode !== null || worker.signalCode !== null) return;
      const gone = new Promise((resolve) => worker!.once("exit", resolve));
      stop();
      await gone;
    };
    signal?.addEventListener("abort", stop);
    try {
      for (let placed = waiting.shift(); placed && !signal?.aborted; placed = waiting.shift()) {
        if (!worker?.connected) worker = fork(join(__dirname, "worker.js"), { env: { ...process.env, OMP_NUM_THREADS: threads, TF_NUM_INTRAOP_THREADS: threads, TF_CPP_MIN_LOG_LEVEL: "2" }, stdio: ["ignore", "ignore", "inherit", "ipc"] });
        let steps = 0;
        const result = await runOn(worker, { type: "job", ...placed, samples, pixelLosses }, (step) => {
          progress.advance(step - steps);
          steps = step;
        });
        progress.advance(placed.job.config.steps - steps);
        if (result && !signal?.aborted) await onResult(placed, result);
        else if (result?.status === "done") await onResult(placed, result);
      }
    } finally {
      signal?.removeEventListener("abort", stop);
      await end();
    }
  };
  await Promise.all(Array.from({ length: processes }, lane));
  signal?.throwIfAborted();
}

/** Sends a job and waits for what becomes of it. @returns undefined when it was interrupted */
function runOn(worker: ChildProcess, message: Extract<ToWorker, { type: "job" }>, onStep: (step: number) => void): Promise<RunResult | undefined> {
  const { key, variant, seed } = message.job;
  const failed = (error: string): RunResult => ({ key, variant, seed, status: "failed", error, samples: message.samples, metrics: {}, curve: [], seconds: 0, model: "" });
  return new Promise((resolve) => {
    const finish = (result: RunResult | undefined): void => {
      worker.off("message", hear);
      worker.off("exit", died);
      resolve(result);
    };
    const died = (code: number | null, signal: string | null): void => finish(failed(`its process ended ${signal ? `by ${signal}` : `with code ${code}`} (out of memory?)`));
    const hear = (said: FromWorker): void => {
      if (said.type === "step") onStep(said.step);
      else if (said.type === "result") finish(said.result);
      else finish(said.interrupted ? undefined : failed(said.error));
    };
    worker.on("message", hear);
    worker.on("exit", died);
    // A process that is gone says so by its exit.
    worker.send(message, () => undefined);
  });
}
