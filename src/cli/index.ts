#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Command, CommanderError } from "commander";
import { projectRoot } from "../model/files";
import { averageCommand } from "./average";
import { dataCommand } from "./data";
import { doctorCommand } from "./doctor";
import { encodeCommand } from "./encode";
import { evaluateCommand } from "./evaluate";
import { kernelCommand } from "./kernel";
import { labCommand } from "./lab";
import { mixCommand } from "./mix";
import { notebooksCommand } from "./notebooks";
import { CommandError, EXIT, addExamples } from "./output";
import { pageCommand } from "./page";
import { pairsCommand } from "./pairs";
import { sampleCommand } from "./sample";
import { setupCommand } from "./setup";
import { sweepCommand } from "./sweep";
import { trainCommand } from "./train";
import { weightsCommand } from "./weights";
import { workshopCommand } from "./workshop";

/** Each command in the order of the help; one file a command, which loads what it needs when it runs. */
const COMMANDS: readonly (() => Command)[] = [setupCommand, doctorCommand, labCommand, workshopCommand, notebooksCommand, kernelCommand, dataCommand, encodeCommand, pairsCommand, trainCommand, averageCommand, mixCommand, sampleCommand, evaluateCommand, sweepCommand, weightsCommand, pageCommand];

/** The program `crossflow` with all its commands. */
export function createProgram(): Command {
  const { version, description } = JSON.parse(readFileSync(join(projectRoot(), "package.json"), "utf8"));
  const program = new Command("crossflow").description(description).version(version).showHelpAfterError("(add --help for what there is)");
  for (const create of COMMANDS) program.addCommand(create());
  addExamples(program, ["doctor", "train --help"]);
  exitWithErrors(program);
  return program;
}

/** Makes usage errors of a command and of all below it into exceptions, in place of an exit code of 1. */
function exitWithErrors(command: Command): void {
  command.exitOverride();
  command.commands.forEach(exitWithErrors);
}

/**
 * Runs one command line.
 *
 * @param commandLine what follows the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted
 */
export async function runCommandLine(commandLine: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(commandLine, { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    const message = error instanceof CommandError || !(error instanceof Error) ? String((error as Error).message ?? error) : describe(error);
    if (commandLine.includes("--json")) console.log(JSON.stringify({ ok: false, error: message }, null, 2));
    else console.error(message);
    return error instanceof CommandError ? error.exitCode : EXIT.failed;
  }
}

/** The stack is for those who look for it. */
function describe(error: Error): string {
  return process.env.CROSSFLOW_DEBUG ? String(error.stack) : error.message;
}

if (require.main === module) {
  // A reader such as `head` has had enough: that ends the output, and is no fault.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(EXIT.ok);
    throw error;
  });
  runCommandLine(process.argv.slice(2)).then((code) => process.exit(code));
}
