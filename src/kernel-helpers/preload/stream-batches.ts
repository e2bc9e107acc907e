import { StringDecoder } from "node:string_decoder";

export type StreamName = "stdout" | "stderr";

/** A cell's printed text on its way to the front end. */
export interface StreamBatches {
  /** A stand-in for a stream's `write`. */
  writer(name: StreamName): typeof process.stdout.write;
  /** Sends what is waiting; called before anything else is sent, so that the order stays that of the program. */
  flush(): void;
}

const flushMilliseconds = 40;
const flushCharacters = 1 << 16;

/**
 * Defect: each printed line is a message of its own; Jupyter's server drops output above 1,000 messages a second.
 *
 * Mend: text printed within a short time to the same stream goes out as one message.
 */
export function createStreamBatches(send: (name: StreamName, text: string) => void): StreamBatches {
  const decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  let waiting: { name: StreamName; parts: string[]; characters: number; since: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (!waiting) return;
    const { name, parts } = waiting;
    waiting = undefined;
    send(name, parts.join(""));
  };
  const append = (name: StreamName, text: string): void => {
    if (text === "") return;
    if (waiting && waiting.name !== name) flush();
    waiting ??= { name, parts: [], characters: 0, since: performance.now() };
    waiting.parts.push(text);
    waiting.characters += text.length;
    // A loop that never lets the timer fire must still show what it prints.
    if (waiting.characters >= flushCharacters || performance.now() - waiting.since >= flushMilliseconds) flush();
    else timer ??= setTimeout(flush, flushMilliseconds);
  };
  return {
    flush,
    writer: (name) => (chunk: string | Uint8Array, ...rest: unknown[]) => {
      append(name, typeof chunk === "string" ? chunk : decoders[name].write(Buffer.from(chunk)));
      const done = rest.at(-1);
      if (typeof done === "function") process.nextTick(done);
      return true;
    },
  };
}
