import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { SetupError } from "./errors";

export interface CommandOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Ends the program (terminate, then kill) and makes the call throw the signal's reason. */
  signal?: AbortSignal;
  /** Receives each line of both outputs as it arrives. */
  onLine?: (line: string) => void;
}

const KEPT_LINES = 200;
const QUOTED_LINES = 8;
const KILL_AFTER_MILLISECONDS = 3000;

/**
 * Runs a program without a terminal and gives its whole standard output.
 *
 * @throws SetupError if it can't be started or ends with an error; the message names the usual cause where the output
 * shows one (full disk, no network) and quotes the output's last lines otherwise
 */
export function runCommand(command: string, commandArguments: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { cwd, env = process.env, signal, onLine } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const child = spawn(command, commandArguments, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const output: string[] = [];
    const lastLines: string[] = [];
    let killTimer: NodeJS.Timeout | undefined;

    const keep = (line: string): void => {
      lastLines.push(line);
      if (lastLines.length > KEPT_LINES) lastLines.shift();
      onLine?.(line);
    };
    createInterface(child.stdout).on("line", (line) => {
      output.push(line);
      keep(line);
    });
    createInterface(child.stderr).on("line", keep);

    const stop = (): void => {
      child.kill("SIGTERM");
      killTimer = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MILLISECONDS);
    };
    signal?.addEventListener("abort", stop, { once: true });
    const release = (): void => {
      signal?.removeEventListener("abort", stop);
      clearTimeout(killTimer);
    };

    child.once("error", (error) => {
      release();
      reject(new SetupError(`${command} could not be started: ${error.message}`, false, { cause: error }));
    });
    child.once("close", (code, exitSignal) => {
      release();
      if (signal?.aborted) reject(signal.reason);
      else if (code === 0) resolve(output.join("\n"));
      else reject(commandError(command, code ?? exitSignal, lastLines));
    });
  });
}

function commandError(command: string, code: number | string | null, lines: readonly string[]): SetupError {
  const cause = explainFailure(lines.join("\n"));
  if (cause) return new SetupError(cause.message, cause.fatal);
  const quoted = lines.filter((line) => line.trim() !== "").slice(-QUOTED_LINES);
  return new SetupError(`${command} failed (${code}):\n${quoted.map((line) => `    ${line}`).join("\n")}`);
}

/**
 * The usual reasons why an installer fails, recognised by what it printed.
 *
 * @returns undefined if the output shows none of them
 */
export function explainFailure(output: string): { message: string; fatal: boolean } | undefined {
  if (/No space left on device|ENOSPC|Errno 28\b|Disk quota exceeded|EDQUOT/i.test(output)) {
    return { message: "The disk is full. Free some space and run it again: it goes on from here.", fatal: true };
  }
  // Without a network pip warns about connections first and then claims that no version exists.
  if (/name resolution|NameResolutionError|NewConnectionError|Network is unreachable|Failed to establish a new connection|ProxyError|ConnectTimeout|Connection refused|getaddrinfo/i.test(output)) {
    return { message: "No network: a package index could not be reached. Connect (or set up the proxy) and run it again.", fatal: false };
  }
  const missing = /No matching distribution found for (\S+)/.exec(output);
  if (missing) return { message: `The package index has no ${missing[1]} for this platform.`, fatal: false };
  return undefined;
}
