import { relative } from "node:path";
import { inspect } from "node:util";
import { InterruptedError } from "../../model/interrupt";
import { parseCellFrame, type Cell, type CellPosition, type CellRegistry } from "./cells";
import type { Diagnostic, Tslab } from "./tslab";

/** The content of Jupyter's `error` message. */
export interface CellError {
  ename: string;
  evalue: string;
  /** Lines as shown below the cell. */
  traceback: string[];
}

/**
 * Defect: tslab prints an error as text on the cell's standard error, with positions in its own generated code.
 *
 * Mend: what a cell threw is kept with the cell, and {@link describeError} says it in terms of the cell's lines.
 */
export function installCellErrors({ executor }: Tslab, cells: CellRegistry): void {
  const { createExecutor } = executor;
  executor.createExecutor = (folder, converters, output) =>
    createExecutor(folder, converters, {
      log: output.log,
      error(...values) {
        const cell = cells.current();
        if (cell && values.length === 1) cell.thrown = { value: values[0] };
        else if (!cell?.diagnostics.length) output.error(...values);
      },
    });
}

/** What went wrong in a cell that didn't end well; `project` is the folder that the paths of other files start from. */
export function describeError(cell: Cell, cells: CellRegistry, project: string): CellError {
  if (cell.diagnostics.length > 0) return describeDiagnostics(cell, cell.diagnostics);
  if (cell.thrown) return describeThrown(cell.thrown.value, cells, project);
  return { ename: "Error", evalue: "The cell failed and gave no reason.", traceback: ["The cell failed and gave no reason."] };
}

function describeDiagnostics(cell: Cell, diagnostics: readonly Diagnostic[]): CellError {
  const traceback = diagnostics.flatMap((diagnostic, index) => {
    const { fileName, code, messageText, start } = diagnostic;
    const position = { line: start.line + 1, column: start.character + 1 };
    // The further lines of a chained message carry the position of the first.
    const previous = diagnostics[index - 1];
    if (previous && previous.start.line === start.line && previous.start.character === start.character && previous.fileName === fileName) {
      return [`  ${messageText}`];
    }
    const place = fileName ? `${fileName}, line ${position.line}:` : `Cell [${cell.number}], line ${position.line}:`;
    return [
      ...(index > 0 ? [""] : []),
      red(`TypeScript error TS${code}: ${messageText}`),
      place,
      ...(fileName ? [] : codeExcerpt(cell.source, position)),
    ];
  });
  return { ename: "TypeScriptError", evalue: diagnostics[0].messageText, traceback };
}

function describeThrown(value: unknown, cells: CellRegistry, project: string): CellError {
  if (isInterrupt(value)) {
    const message = "The cell was interrupted. What earlier cells declared is kept.";
    return { ename: "Interrupted", evalue: message, traceback: [red(`Interrupted: ${message}`), ...stackLines(value, cells, project)] };
  }
  if (!(value instanceof Error)) {
    const text = `Thrown value: ${inspect(value)}`;
    return { ename: "Error", evalue: text, traceback: [red(text)] };
  }
  const traceback: string[] = [];
  const seen = new Set<unknown>();
  for (let error: unknown = value; error instanceof Error && !seen.has(error); error = error.cause) {
    traceback.push(...(seen.size > 0 ? ["", "Caused by:"] : []), red(`${error.name}: ${error.message}`), ...stackLines(error, cells, project));
    seen.add(error);
  }
  return { ename: value.name, evalue: value.message, traceback };
}

function isInterrupt(value: unknown): value is Error {
  if (value instanceof InterruptedError) return true;
  if (!(value instanceof Error)) return false;
  // The second is what tslab throws where it lets go of a cell, the third what Node.js throws out of a synchronous cell.
  const { name, message, code } = value as NodeJS.ErrnoException;
  return name === "AbortError" || message === "Interrupted asynchronously" || code === "ERR_SCRIPT_EXECUTION_INTERRUPTED";
}

/** An error's stack: frames in cells by cell and line, the topmost with its code; frames of the kernel itself left out. */
function stackLines(error: Error, cells: CellRegistry, project: string): string[] {
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  const lines: string[] = [];
  let excerpt: string[] | undefined;
  for (const frame of frames) {
    const inCell = parseCellFrame(frame);
    if (!inCell) {
      if (!/node:|node_modules[\\/]@?tslab[\\/]|kernel-helpers[\\/]preload|<anonymous>/.test(frame)) lines.push(shortenPaths(frame, project));
      continue;
    }
    const cell = cells.find(inCell.cell);
    const position = cell?.locate(inCell);
    if (!cell || !position) continue;
    const where = `Cell [${cell.number}], line ${position.line}`;
    const name = inCell.functionName?.replace(/^Proxy\./, "");
    const text = `    at ${name ? `${name} (${where})` : where}`;
    // The function that tslab wraps around a cell shows twice.
    if (text !== lines.at(-1)) lines.push(text);
    excerpt ??= [`${where}:`, ...codeExcerpt(cell.source, position)];
  }
  return [...(excerpt ?? []), ...lines];
}

function shortenPaths(frame: string, project: string): string {
  return frame.replace(/(?:file:\/\/)?((?:\/|[A-Za-z]:\\)[^():]*)/, (_, path: string) => relative(project, path));
}

/** The line that `position` lies on with its neighbours, numbered, and a mark below the column. */
function codeExcerpt(source: string, { line, column }: CellPosition): string[] {
  const lines = source.split("\n");
  const width = String(Math.min(line + 1, lines.length)).length;
  const gutter = (mark: string, label: string): string => `${mark} ${label.padStart(width)} | `;
  return [line - 1, line, line + 1]
    .filter((number) => number >= 1 && number <= lines.length)
    .flatMap((number) => {
      const text = gutter(number === line ? ">" : " ", String(number)) + lines[number - 1];
      return number === line ? [text, `${gutter(" ", "")}${" ".repeat(column - 1)}^`] : [text];
    });
}

function red(text: string): string {
  return `\u001b[31m${text}\u001b[39m`;
}
