import { existsSync, readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { stripAnsi } from "../kernel-helpers/ansi";
import { readNotebook, type Notebook, type NotebookCell } from "../kernel-helpers/notebook";
import { runNotebook, type NotebookEvent } from "../kernel-helpers/notebook-runner";
import { writeFileAtomic } from "../model/files";
import { formatDuration } from "../model/progress";
import { partLine, type Reporter } from "../setup/report";

/** What became of one notebook. */
export interface NotebookOutcome {
  notebook: string;
  ok: boolean;
  seconds: number;
  /** The executed notebook, up to the failed cell if one failed. */
  executed: string;
  /** The same as a page for a browser. */
  html: string;
  /** Which cell failed and why. */
  error?: string;
}

export interface HeadlessRun {
  ok: boolean;
  folder: string;
  seconds: number;
  notebooks: NotebookOutcome[];
  /** The grid of generated images, if a notebook showed one. */
  samples?: string;
}

export interface HeadlessOptions {
  notebooks: readonly string[];
  /** Where everything goes. */
  folder: string;
  cellTimeoutSeconds: number;
  /** Renders an executed notebook as a page that needs no network. */
  toHtml: (notebook: Notebook, title: string) => Promise<string>;
  reporter: Reporter;
  signal: AbortSignal;
}

/**
 * The notebooks of the walk, NN-name.ipynb, in the order of their numbers.
 *
 * @param words only those whose names contain one of them; all if there are none
 */
export function listNotebooks(folder: string, words: readonly string[] = []): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => /^\d\d-.*\.ipynb$/.test(name))
    .filter((name) => words.length === 0 || words.some((word) => name.includes(word)))
    .sort()
    .map((name) => join(folder, name));
}

/**
 * Executes notebooks one after another, each in a kernel of its own, and keeps the executed notebooks, a page of each and
 * the grid of samples. A notebook that fails doesn't keep the others from running.
 *
 * @throws the signal's reason if it was aborted; what was executed so far is in the folder
 */
export async function executeNotebooks({ notebooks, folder, cellTimeoutSeconds, toHtml, reporter, signal }: HeadlessOptions): Promise<HeadlessRun> {
  const start = performance.now();
  await mkdir(folder, { recursive: true });
  const outcomes: NotebookOutcome[] = [];
  const executed: { name: string; notebook: Notebook }[] = [];
  for (const [index, path] of notebooks.entries()) {
    const name = basename(path, ".ipynb");
    const title = `${index + 1}/${notebooks.length}`;
    const output = join(folder, `${name}.ipynb`);
    const html = join(folder, `${name}.html`);
    const notebookStart = performance.now();
    const seconds = (): number => (performance.now() - notebookStart) / 1000;
    let error: string | undefined;
    const onEvent = createCellReporter(name, title, reporter);
    // The clock goes on while a cell is silent.
    const clock = setInterval(onEvent.tick, 1000);
    try {
      await runNotebook({ notebook: path, output, cellTimeoutSeconds, onEvent: onEvent.receive, signal });
    } catch (cause) {
      signal.throwIfAborted();
      error = (cause as Error).message;
    } finally {
      clearInterval(clock);
    }
    if (existsSync(output)) {
      const notebook = await readNotebook(output);
      executed.push({ name, notebook });
      await writeFileAtomic(html, await toHtml(notebook, name));
    }
    reporter.line(partLine(title, `${name}  ${error === undefined ? "done" : "FAILED"} in ${formatDuration(seconds())}`));
    if (error !== undefined) reporter.line(error.replace(/^/gm, "    "));
    outcomes.push({ notebook: path, ok: error === undefined, seconds: seconds(), executed: output, html, error });
  }
  const grid = findSampleGrid(executed);
  const samples = grid && join(folder, "samples.png");
  if (grid && samples) await writeFileAtomic(samples, grid);
  return { ok: outcomes.every(({ ok }) => ok), folder, seconds: (performance.now() - start) / 1000, notebooks: outcomes, samples };
}

interface CellReporter {
  receive(event: NotebookEvent): void;
  /** Shows the time that has passed. */
  tick(): void;
}

/** Shows which cell runs, for how long, and the last line that it printed. */
function createCellReporter(name: string, title: string, reporter: Reporter): CellReporter {
  let stage = "starting the kernel";
  let printed = "";
  let start = performance.now();
  const tick = (): void => {
    const elapsed = formatDuration((performance.now() - start) / 1000);
    reporter.update(partLine(title, [name, stage, elapsed, printed].filter((part) => part !== "").join("  ")));
  };
  const receive = (event: NotebookEvent): void => {
    if (event.type === "cell-started") {
      stage = `cell ${event.done + 1} of ${event.total}`;
      printed = "";
      start = performance.now();
    }
    if (event.type === "message" && event.message.type === "stream") {
      const lines = stripAnsi(String(event.message.content.text)).split(/[\r\n]+/).filter((line) => line.trim() !== "");
      printed = lines.at(-1) ?? printed;
    }
    tick();
  };
  return { receive, tick };
}

/** Tag of the cell whose picture is the grid of samples. */
const SAMPLES_TAG = "samples";

/**
 * The picture of generated images among the outputs of executed notebooks: the last PNG of the cells tagged "samples", or
 * without such a cell the last PNG of the notebooks on sampling, NN-sample*.
 *
 * @returns undefined if there is no such picture
 */
export function findSampleGrid(executed: readonly { name: string; notebook: Notebook }[]): Buffer | undefined {
  const tagged = executed.flatMap(({ notebook }) => notebook.cells).filter((cell) => cell.metadata.tags?.includes(SAMPLES_TAG));
  const onSampling = executed.filter(({ name }) => /^\d\d-sample/.test(name)).flatMap(({ notebook }) => notebook.cells);
  return picturesOf(tagged).at(-1) ?? picturesOf(onSampling).at(-1);
}

function picturesOf(cells: readonly NotebookCell[]): Buffer[] {
  return cells.flatMap((cell) => cell.outputs ?? []).flatMap((output) => pngOf(output.data) ?? []);
}

function pngOf(data: unknown): Buffer | undefined {
  const base64 = (data as Record<string, string | string[]> | undefined)?.["image/png"];
  return base64 === undefined ? undefined : Buffer.from([base64].flat().join(""), "base64");
}

/** "2026-03-31-1405", in local time: a name for a folder. */
export function timestamp(date: Date): string {
  const [month, day, hours, minutes] = [date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes()].map((value) => String(value).padStart(2, "0"));
  return `${date.getFullYear()}-${month}-${day}-${hours}${minutes}`;
}
