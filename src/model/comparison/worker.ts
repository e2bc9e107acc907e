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
  let working = false;
  // The channel to the parent keeps this process alive; a job under way still has to say that it stopped.
  const leave = (): void => void (process.connected && process.disconnect());
  const stop = (): void => {
    controller.abort(new Error("Interrupted."));
    if (!working) leave();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, stop);
  process.on("disconnect", stop);
  const { signal } = controller;
  const measured = createDefaultMeasure();
  const pool = createResourcePool({ signal });

  const run = async (job: Job, folder: string, samples: number, pixelLosses: Sweep["pixelLosses"]): Promise<void> => {
    await startEngine();
    defineSweepLosses({ pixelLosses });
    const resources = await pool.get(job.config);
    const result = await runJob(job, { folder, samples, measure: measured.measure, resources, shareable: true, signal, onStep: ({ step }) => send({ type: "step", step }) });
    send({ type: "result", result });
  };

  process.on("message", (message: ToWorker) => {
    if (message.type === "stop") stop();
    else {
      working = true;
      run(message.job, message.folder, message.samples, message.pixelLosses)
        .catch((error: Error) => send({ type: "stopped", interrupted: signal.aborted, error: error.message }))
        .finally(() => {
          working = false;
          if (signal.aborted) setImmediate(leave);
        });
    }
  });
}

void main((message) => void (process.connected && process.send?.(message)));
