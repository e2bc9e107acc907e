import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { projectRoot } from "../../src/model/files";

export interface CliOutcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `crossflow` as a person does, in a process of its own. */
export function runCli(commandLine: readonly string[], environment: NodeJS.ProcessEnv = {}): CliOutcome {
  const program = join(projectRoot(), "dist", "src", "cli", "index.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...commandLine], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  return { code: status, stdout, stderr };
}
