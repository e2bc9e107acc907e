import { dirname, resolve } from "node:path";
import { stripAnsi } from "./ansi";
import { createOutputCollector, type CellOutput, type KernelMessage } from "./cell-outputs";
import { noWidgetsVariable } from "./interactive/interactive";
import { openKernel, type Execution, type KernelConnection } from "./kernel-client";
import { kernelName, kernelSpec } from "./kernelspec";
import { joinLines, readNotebook, storedOutputs, writeNotebook, type Notebook, type NotebookCell } from "./notebook";

export interface RunNotebookOptions {
  /** Path of the notebook to execute. */
  notebook: string;
  /** Where the executed notebook goes. Default: over the notebook itself. */
  output?: string;
  /** A kernel to run in; it stays open. Default: a new one in the notebook's folder. */
  kernel?: KernelConnection;
  /** Longest time a cell may take. Default 600. */
  cellTimeoutSeconds?: number;
  /** Go on behind a failed cell. Default false; a cell tagged "raises-exception" may always fail. */
  allowErrors?: boolean;
  onEvent?: (event: NotebookEvent) => void;
  /** Interrupts the running cell and ends the run. */
  signal?: AbortSignal;
}

export type NotebookEvent =
  | { type: "kernel-ready"; seconds: number }
  /** `cell` counts from 0 over all of the notebook's cells, `done` and `total` over its code cells. */
  | { type: "cell-started"; cell: number; done: number; total: number; source: string }
  | { type: "message"; cell: number; message: KernelMessage }
  | { type: "cell-finished"; cell: number; done: number; total: number; status: Execution["status"]; seconds: number };

export interface NotebookRun {
  notebook: Notebook;
  output: string;
  seconds: number;
  /** Code cells that failed and were allowed to. */
  failedCells: number[];
}

/** A cell of a notebook failed; the notebook up to there has been saved. */
export class NotebookCellError extends Error {
  override readonly name = "NotebookCellError";

  /** @param cell index of the failed cell, from 0 over all cells */
  constructor(readonly notebook: string, readonly cell: number, readonly reason: string) {
    super(`${notebook}: cell ${cell + 1} failed: ${reason}`);
  }
}

/**
 * Executes a notebook's code cells in order, in the kernel that notebooks use, and writes the notebook with its outputs,
 * anew after each cell. Whatever happens, what has been computed so far is in the file.
 *
 * @throws NotebookCellError if a cell fails or takes too long; the signal's reason if it was aborted
 */
export async function runNotebook(options: RunNotebookOptions): Promise<NotebookRun> {
  const { cellTimeoutSeconds = 600, allowErrors = false, onEvent, signal } = options;
  const path = resolve(options.notebook);
  const output = resolve(options.output ?? path);
  signal?.throwIfAborted();
  const notebook = await readNotebook(path);
  const start = performance.now();
  const kernel = options.kernel ?? (await openKernel({ folder: dirname(path), environment: { ...process.env, [noWidgetsVariable]: "1" } }));
  const failedCells: number[] = [];
  try {
    onEvent?.({ type: "kernel-ready", seconds: secondsSince(start) });
    const { language_info } = await kernel.information();
    notebook.metadata = { ...notebook.metadata, kernelspec: notebookKernel(), language_info };
    const codeCells = notebook.cells.flatMap((cell, index) => (cell.cell_type === "code" ? [{ cell, index }] : []));
    for (const { cell } of codeCells) Object.assign(cell, { outputs: [], execution_count: null });

    // Displays may be updated by cells that come later, so the outputs are stored anew from all cells each time.
    const collector = createOutputCollector();
    const collected: { cell: NotebookCell; outputs: CellOutput[] }[] = [];
    const save = async (): Promise<void> => {
      for (const { cell, outputs } of collected) cell.outputs = storedOutputs(outputs);
      await writeNotebook(output, notebook);
    };

    for (const [done, { cell, index }] of codeCells.entries()) {
      const source = joinLines(cell.source);
      if (source.trim() === "") continue;
      signal?.throwIfAborted();
      onEvent?.({ type: "cell-started", cell: index, done, total: codeCells.length, source });
      const cellStart = performance.now();
      collected.push({ cell, outputs: collector.begin() });
      let execution: Execution;
      try {
        execution = await kernel.execute(source, {
          signal,
          timeoutSeconds: cellTimeoutSeconds,
          onMessage(message) {
            collector.receive(message);
            onEvent?.({ type: "message", cell: index, message });
          },
        });
        cell.execution_count = execution.executionCount;
      } finally {
        await save();
      }
      const seconds = secondsSince(cellStart);
      onEvent?.({ type: "cell-finished", cell: index, done: done + 1, total: codeCells.length, status: execution.status, seconds });
      signal?.throwIfAborted();
      if (execution.status !== "ok") {
        if (!allowErrors && !cell.metadata.tags?.includes("raises-exception")) {
          throw new NotebookCellError(path, index, failureReason(execution, seconds, cellTimeoutSeconds));
        }
        failedCells.push(index);
      }
    }
    await save();
    return { notebook, output, seconds: secondsSince(start), failedCells };
  } finally {
    if (!options.kernel) await kernel.shutdown();
  }
}

function failureReason({ status, outputs }: Execution, seconds: number, limitSeconds: number): string {
  if (seconds >= limitSeconds) return `it took longer than ${limitSeconds} s and was interrupted.`;
  const error = outputs.find((output) => output.output_type === "error");
  return error?.output_type === "error" ? stripAnsi(error.traceback.join("\n")) : `the kernel answered "${status}".`;
}

function notebookKernel(): { name: string; display_name: string; language: string } {
  const { display_name, language } = kernelSpec();
  return { name: kernelName, display_name, language };
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
