import { readFile } from "node:fs/promises";
import { writeFileAtomic } from "../model/files";
import type { CellOutput } from "./cell-outputs";

/** A notebook file's content (nbformat 4), as far as it is used here; what else it holds is kept. */
export interface Notebook {
  cells: NotebookCell[];
  metadata: Record<string, unknown>;
  nbformat: number;
  nbformat_minor: number;
}

export interface NotebookCell {
  cell_type: "code" | "markdown" | "raw";
  source: string | string[];
  metadata: { tags?: string[]; [name: string]: unknown };
  attachments?: Record<string, Record<string, string>>;
  /** Code cells only. */
  outputs?: StoredOutput[];
  execution_count?: number | null;
}

/** An output as files hold it: texts may be split into lines. */
export type StoredOutput = { output_type: CellOutput["output_type"] } & Record<string, unknown>;

/**
 * Reads a notebook file.
 *
 * @throws Error naming the file if it isn't a notebook of format 4
 */
export async function readNotebook(path: string): Promise<Notebook> {
  let content: Partial<Notebook>;
  try {
    content = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new Error(`Could not read the notebook ${path}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  if (content.nbformat !== 4 || !Array.isArray(content.cells)) {
    throw new Error(`${path} is not a notebook of format 4: expected "nbformat": 4 and a list of "cells". Open it in JupyterLab and save it again.`);
  }
  return { ...content, cells: content.cells, metadata: content.metadata ?? {}, nbformat: 4, nbformat_minor: content.nbformat_minor ?? 5 };
}

/** Writes a notebook file whole or not at all. */
export async function writeNotebook(path: string, notebook: Notebook): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(notebook, null, 1)}\n`);
}

/** A text that files may hold as a list of lines. */
export function joinLines(text: string | readonly string[]): string {
  return typeof text === "string" ? text : text.join("");
}

/** Outputs as files hold them: printed text as a list of lines, so that a change shows as a change of lines. */
export function storedOutputs(outputs: readonly CellOutput[]): StoredOutput[] {
  return outputs.map((output) => (output.output_type === "stream" ? { ...output, text: output.text.split(/(?<=\n)/) } : { ...output }));
}
