import { AsyncLocalStorage } from "node:async_hooks";
import { InterruptedError, interruptWork, renewInterruptSignal } from "../../model/interrupt";
import type { Tslab } from "./tslab";

export interface CellInterrupt {
  /** Runs a cell so that an interrupt reaches it and everything it has started. */
  run<T>(execute: () => Promise<T>): Promise<T>;
  /** Throws an InterruptedError if the cell that the caller belongs to has been interrupted, however long ago. */
  throwIfInterrupted(): void;
}

/** How long an interrupted cell may take to come to an end by itself, its `finally` blocks included. */
const graceMilliseconds = 1500;

/**
 * Defect: an interrupt lets go of an awaited cell, and its work goes on in the background.
 *
 * Mend: the interrupt aborts {@link interruptSignal}, to which long work listens, and the cell's awaits throw (awaits.ts).
 * Only if something awaited still hasn't come back after a grace time, tslab lets go of the cell; its code ends at that await.
 */
export function installInterrupt({ executor }: Tslab): CellInterrupt {
  const runs = new AsyncLocalStorage<{ interrupted: boolean }>();
  let running: { interrupted: boolean } | undefined;
  let grace: NodeJS.Timeout | undefined;

  const { createExecutor } = executor;
  executor.createExecutor = (...create) => {
    const inner = createExecutor(...create);
    const letGo = inner.interrupt;
    // Called by tslab when SIGINT arrives.
    const interrupt = (): void => {
      interruptWork();
      if (!running) return;
      if (running.interrupted) return letGo();
      running.interrupted = true;
      grace = setTimeout(letGo, graceMilliseconds);
    };
    return { ...inner, interrupt };
  };

  return {
    async run(execute) {
      renewInterruptSignal();
      running = { interrupted: false };
      try {
        return await runs.run(running, execute);
      } finally {
        clearTimeout(grace);
        running = undefined;
      }
    },
    throwIfInterrupted() {
      if (runs.getStore()?.interrupted) throw new InterruptedError();
    },
  };
}
