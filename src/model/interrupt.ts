import { setMaxListeners } from "node:events";

/** Thrown, or given as an abort signal's reason, when somebody asked the running work to stop. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";

  constructor(message = "Interrupted.") {
    super(message);
  }
}

let controller = armedController();

/**
 * The signal that says "whoever sits at this process wants the running work to stop": a notebook's stop button, Ctrl+C.
 *
 * Long work listens to it where the caller passes no signal of their own. Ask for it when the work starts, not when a
 * module loads: after an interrupt, {@link renewInterruptSignal} puts a fresh one in its place.
 */
export function interruptSignal(): AbortSignal {
  return controller.signal;
}

/** Aborts {@link interruptSignal} with an {@link InterruptedError} as the reason. Twice is the same as once. */
export function interruptWork(): void {
  controller.abort(new InterruptedError());
}

/** Makes {@link interruptSignal} usable again after an interrupt; called before new work starts. */
export function renewInterruptSignal(): void {
  if (controller.signal.aborted) controller = armedController();
}

/**
 * Resolves after the event loop has served timers, sockets and signals. A long loop awaits this between two steps:
 * awaiting promises alone never lets an interrupt in.
 */
export function yieldToEventLoop(): Promise<void> {
  // The first callback may come before the loop looks for input again; the second surely comes after.
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

function armedController(): AbortController {
  const fresh = new AbortController();
  // Any number of loaders, trainers and samplers may listen at once; that is no leak.
  setMaxListeners(0, fresh.signal);
  return fresh;
}
