import { startEngine } from "../engine";
import { createDefaultMeasure } from "./measure";
import type { Job } from "./plan";
import { createResourcePool } from "./resource-pool";
import { runJob } from "./run-job";
import { defineSweepLosses, type Sweep } from "./sweep-plan";
import type { FromWorker, ToWorker } from "./parallel";

/** A process that runs jobs of a sweep as its parent sends them, one after the other; it keeps data and networks between jobs. */
async function main(send: (message: FromWorker) => void): Promise<void> {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Error("Interrupted."));
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, stop);
  process.on("disconnect", stop);
  const { signal } = controller;
  const measured = createDefaultMeasure();
  const pool = createResourcePool({ signal });

  const run = async (job: Job, folder: string, samples: number, pixelLosses: Sweep["pixelLosses"]): Promise<void> => {
    await startEngine();
    defineSweepLosses({ pixelLosses });
    const resources = await pool.get(job.config);
    const result = await runJob(job, { folder, samples, measure: measured.measure, resources, signal, onStep: ({ step }) => send({ type: "step", step }) });
    send({ type: "result", result });
  };

  process.on("message", (message: ToWorker) => {
    if (message.type === "stop") stop();
    else
      run(message.job, message.folder, message.samples, message.pixelLosses).catch((error: Error) => {
        send({ type: "stopped", interrupted: signal.aborted, error: error.message });
      });
  });
  signal.addEventListener("abort", () => setImmediate(() => process.disconnect?.()), { once: true });
}

void main((message) => process.send?.(message));
