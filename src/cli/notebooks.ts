import { join, relative } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { notebookToHtml } from "../kernel-helpers/notebook-html";
import { projectRoot } from "../model/files";
import { formatDuration } from "../model/progress";
import { createReporter } from "../setup/report";
import { executeNotebooks, listNotebooks, timestamp, type HeadlessRun } from "./headless";
import { CommandError, EXIT, addExamples, addJsonOption, interruptSignal } from "./output";

interface NotebooksOptions {
  output?: string;
  timeout: number;
  json?: boolean;
}

/** A training on a slow machine stays below this. */
const DEFAULT_CELL_TIMEOUT_SECONDS = 3600;

export function notebooksCommand(): Command {
  const command = new Command("notebooks")
    .description("execute the notebooks in order, each in the real kernel, without a browser")
    .argument("[words...]", "only notebooks whose names contain one of these, e.g. 01 05")
    .option("--output <folder>", "where everything goes; by default runs/headless-DATE")
    .option("--timeout <seconds>", "longest time a cell may take", positiveNumber, DEFAULT_CELL_TIMEOUT_SECONDS);
  addJsonOption(command).action(executeAll);
  return addExamples(command, ["notebooks", "notebooks 01 02 --output runs/check", "notebooks --json"]);
}

async function executeAll(words: string[], { output, timeout, json }: NotebooksOptions): Promise<void> {
  const project = projectRoot();
  const notebooks = listNotebooks(join(project, "notebooks"), words);
  if (notebooks.length === 0) {
    const wanted = words.length === 0 ? "no notebook NN-name.ipynb" : `no notebook whose name contains ${words.join(" or ")}`;
    throw new CommandError(`There is ${wanted} in ${join(project, "notebooks")}.`, EXIT.usage);
  }
  const folder = output ?? join(project, "runs", `headless-${timestamp(new Date())}`);
  const reporter = createReporter(json ? process.stderr : process.stdout);
  const signal = interruptSignal();
  const run = await executeNotebooks({
    notebooks,
    folder,
    cellTimeoutSeconds: timeout,
    toHtml: (notebook, title) => notebookToHtml(notebook, { title }),
    reporter,
    signal,
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
    throw new CommandError(`Interrupted. What was executed so far is in ${folder}.`, EXIT.interrupted);
  });
  console.log(json ? JSON.stringify(run, null, 2) : describeRun(run, project));
  process.exitCode = run.ok ? EXIT.ok : EXIT.failed;
}

function describeRun({ ok, folder, seconds, notebooks, samples }: HeadlessRun, project: string): string {
  const failed = notebooks.filter((notebook) => !notebook.ok).length;
  const verdict = ok ? `All ${notebooks.length} notebooks were executed` : `${failed} of ${notebooks.length} notebooks failed`;
  return [
    `${verdict}, in ${formatDuration(seconds)}.`,
    `Notebooks and pages: ${relative(project, folder)}`,
    ...(samples ? [`Grid of samples:     ${relative(project, samples)}`] : []),
  ].join("\n");
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("It must be a positive number of seconds.");
  return value;
}
