import { formatDuration } from "../model/progress";

/** Where set-up tells what it does. */
export interface Reporter {
  /** A line that stays. */
  line(text: string): void;
  /** A line about work under way; on a terminal it is replaced by the next one. */
  update(text: string): void;
}

/** The part of a terminal's or a file's stream that a reporter uses. */
export interface TextStream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

const LOG_INTERVAL_MILLISECONDS = 10_000;

/**
 * A reporter that writes to a terminal, or to a log where updates come at most every ten seconds.
 */
export function createReporter(stream: TextStream, now: () => number = Date.now): Reporter {
  const isTerminal = stream.isTTY === true;
  let hasUpdate = false;
  let lastUpdate = now();
  return {
    line(text) {
      stream.write(`${hasUpdate ? "\r\x1b[K" : ""}${text}\n`);
      hasUpdate = false;
      lastUpdate = now();
    },
    update(text) {
      if (isTerminal) {
        stream.write(`\r\x1b[K${text.slice(0, (stream.columns || 80) - 1)}`);
        hasUpdate = true;
      } else if (now() - lastUpdate >= LOG_INTERVAL_MILLISECONDS) {
        stream.write(`${text}\n`);
        lastUpdate = now();
      }
    },
  };
}

/** "  TensorFlow       text": all lines of a set-up share this column. */
export function partLine(title: string, text: string): string {
  return `  ${title.padEnd(16)} ${text}`;
}

export function formatSeconds(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : formatDuration(seconds);
}
