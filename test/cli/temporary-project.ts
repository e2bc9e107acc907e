import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { projectRoot } from "../../src/model/files";
import { temporaryFolder } from "../setup/temporary";
import type { CliOutcome } from "./run";

/** A project of its own, with the real one's program, shipped weights and avatars: what commands write does not reach the real one. */
export interface TemporaryProject {
  folder: string;
  /** Runs a command to its end. */
  run(commandLine: readonly string[]): CliOutcome;
  /** Starts a command, sends it the signal of Ctrl-C once `ready` says so of what it has printed on its error output, and waits for its end. */
  interrupt(commandLine: readonly string[], ready: (printed: string) => boolean, options?: InterruptOptions): Promise<CliOutcome>;
}

export interface InterruptOptions {
  /** Whether the command's own processes get the signal too, as a terminal's Ctrl-C reaches them. Default false. */
  group?: boolean;
}

const POLL_MILLISECONDS = 20;

/** Makes a project that is removed when the tests of the file have ended. */
export function temporaryProject(): TemporaryProject {
  const [real, folder] = [projectRoot(), temporaryFolder()];
  copyFileSync(join(real, "package.json"), join(folder, "package.json"));
  for (const name of ["dist", "node_modules", "checkpoints"]) symlinkSync(join(real, name), join(folder, name));
  mkdirSync(join(folder, "data"));
  for (const name of readdirSync(join(real, "data")).filter((entry) => entry.startsWith("avatars-"))) symlinkSync(join(real, "data", name), join(folder, "data", name));
  // The program finds its project from its own path, links not followed.
  const program = ["--preserve-symlinks", "--preserve-symlinks-main", join(folder, "dist", "src", "cli", "index.js")];
  return {
    folder,
    run(commandLine) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [...program, ...commandLine], { encoding: "utf8" });
      return { code: status, stdout, stderr };
    },
    interrupt(commandLine, ready, { group = false } = {}) {
      const child = spawn(process.execPath, [...program, ...commandLine], { stdio: ["ignore", "pipe", "pipe"], detached: group });
      const printed = { stdout: "", stderr: "" };
      for (const name of ["stdout", "stderr"] as const) createInterface(child[name]).on("line", (line) => (printed[name] += `${line}\n`));
      const poll = setInterval(() => {
        if (!ready(printed.stderr)) return;
        clearInterval(poll);
        if (group) process.kill(-child.pid!, "SIGINT");
        else child.kill("SIGINT");
      }, POLL_MILLISECONDS);
      return new Promise((resolve) =>
        child.on("close", (code) => {
          clearInterval(poll);
          resolve({ code, ...printed });
        }),
      );
    },
  };
}

/** Names of all files in a project's data and runs that were being written when their program ended. */
export function halfWrittenFiles({ folder }: TemporaryProject): string[] {
  const places = ["data", "runs"].map((name) => join(folder, name)).filter((place) => existsSync(place));
  return places.flatMap((place) => readdirSync(place, { recursive: true, encoding: "utf8" })).filter((name) => /\.tmp$|\.partial/.test(name));
}
