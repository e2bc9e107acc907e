import { Option, type Command } from "commander";

export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** A failure that a person is meant to read; shown as its message alone. */
export class CommandError extends Error {
  override readonly name = "CommandError";

  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Every command has it: one JSON value on the standard output, everything else on the error output. */
export function addJsonOption(command: Command): Command {
  return command.addOption(new Option("--json", "print the result as JSON"));
}

/** Adds examples to a command's help. */
export function addExamples(command: Command, examples: readonly string[]): Command {
  return command.addHelpText("after", `\nExamples:\n${examples.map((example) => `  $ npx crossflow ${example}`).join("\n")}`);
}

/** Rows as text in columns, each as wide as its widest cell. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}

/**
 * A signal that Ctrl-C and termination abort, for long work that stops by itself at a safe point. A second Ctrl-C ends
 * the program at once.
 */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort(new CommandError("Interrupted.", EXIT.interrupted));
    });
  }
  return controller.signal;
}
