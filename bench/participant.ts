import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { Request } from "./worker";

/** What a program says of itself when it starts. */
export interface Introduction {
  versions: Record<string, string>;
  threads: number;
  /** The engine's device; our own programs alone. */
  device?: string;
  /** Resident memory once its libraries are loaded, bytes. */
  baseBytes: number;
}

/** Answers to requests; which fields there are depends on the request. */
export interface Answer {
  seconds: number | number[];
  metrics: Record<string, number>[];
  flops?: number;
  peakBytes: number;
  fileBytes: number;
}

/** A program under measurement: it computes while it has a request, and waits otherwise. */
export interface Participant {
  introduction: Introduction;
  /**
   * @param limitSeconds the program is ended where it has not answered by then
   * @throws Error with the program's own message, or the end of its log when it ended
   */
  ask(request: Request, limitSeconds?: number): Promise<Answer>;
  /** Ends the program and waits until it has ended. */
  quit(): Promise<void>;
}

const LOG_LINES = 4;

/**
 * Starts a program that answers requests.
 * @param log file that takes what the program prints
 * @param signal ends the program
 */
export async function startParticipant(command: readonly [string, ...string[]], environment: Record<string, string>, log: string, signal: AbortSignal): Promise<Participant> {
  const output = openSync(log, "w");
  const child = spawn(command[0], command.slice(1), { env: { ...process.env, ...environment }, stdio: ["pipe", output, output, "pipe"] });
  closeSync(output);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  child.stdin!.on("error", () => undefined); // a program that has ended: the answer that does not come tells it
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const lines = createInterface({ input: child.stdio[3] as Readable })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer & Introduction & { error?: string }> => {
    const { value, done } = await lines.next();
    signal.throwIfAborted();
    if (!done) return JSON.parse(value);
    await ended;
    const said = readFileSync(log, "utf8").trim().split("\n").slice(-LOG_LINES).join("\n");
    throw new Error(`it ended unasked${child.signalCode ? ` (${child.signalCode})` : ""}: ${said || "it said nothing"}`);
  };
  const introduction = await next();
  return {
    introduction,
    async ask(request, limitSeconds) {
      child.stdin!.write(`${JSON.stringify(request)}\n`);
      let late = false;
      const limit = limitSeconds === undefined ? undefined : setTimeout(() => ((late = true), kill()), 1000 * limitSeconds);
      const answer = await next()
        .catch((error: Error) => {
          throw late ? new Error(`it had not answered after ${limitSeconds!.toFixed(0)} s`) : error;
        })
        .finally(() => clearTimeout(limit));
      if (answer.error) throw new Error(answer.error);
      return answer;
    },
    async quit() {
      signal.removeEventListener("abort", kill);
      child.stdin!.end();
      const impatient = setTimeout(kill, 5000);
      await ended;
      clearTimeout(impatient);
    },
  };
}
