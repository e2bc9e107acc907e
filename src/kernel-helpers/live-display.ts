import type { MimeBundle } from "./cell-outputs";
import { display, newDisplayId, type DisplayOptions } from "./display";

/** What is shown: a bundle, or a function that makes one when it is really needed. */
export type LiveContent = MimeBundle | (() => MimeBundle | Promise<MimeBundle>);

export interface LiveDisplayOptions {
  /** Shortest time between two updates that reach the front end. Default 250 ms. */
  minimumIntervalMilliseconds?: number;
  metadata?: Record<string, unknown>;
  /** Where it is shown. Default: {@link display}. */
  show?: (bundle: MimeBundle, options: DisplayOptions) => void;
}

/** A display that changes in place. */
export interface LiveDisplay {
  readonly id: string;
  /** Shows `content` instead of what was there, at once or a little later; only the latest content is ever made and sent. */
  update(content: LiveContent): void;
  /** Resolves when the latest content has been sent; rejects if it couldn't be made. */
  flush(): Promise<void>;
}

/**
 * A display that changes in place, however often it is updated: updates within the interval replace one another, and the
 * last is never lost. A notebook file keeps the last state only.
 */
export function createLiveDisplay(options: LiveDisplayOptions = {}): LiveDisplay {
  const { minimumIntervalMilliseconds = 250, metadata, show = display } = options;
  const id = newDisplayId();
  let waiting: LiveContent | undefined;
  let lastSent = -Infinity;
  let shown = false;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> = Promise.resolve();
  let busy = false;

  const emit = (bundle: MimeBundle): void => {
    show(bundle, { id, update: shown, metadata });
    shown = true;
  };

  const send = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const content = waiting;
    if (content === undefined || busy) return;
    waiting = undefined;
    lastSent = performance.now();
    const made = typeof content === "function" ? content() : content;
    if (!(made instanceof Promise)) return emit(made);
    busy = true;
    sending = made.then(emit).finally(() => {
      busy = false;
      if (waiting !== undefined) schedule();
    });
    // Whoever flushes sees the error; an update that nobody waits for must not end the process.
    sending.catch(() => undefined);
  };

  const schedule = (): void => {
    if (busy) return;
    const wait = lastSent + minimumIntervalMilliseconds - performance.now();
    if (wait <= 0) send();
    else timer ??= setTimeout(send, wait);
  };

  return {
    id,
    update(content) {
      waiting = content;
      schedule();
    },
    async flush() {
      while (busy || waiting !== undefined) {
        await sending;
        send();
      }
      await sending;
    },
  };
}
