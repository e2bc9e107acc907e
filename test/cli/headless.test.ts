import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { executeNotebooks, findSampleGrid, listNotebooks, timestamp } from "../../src/cli/headless";
import type { Notebook, NotebookCell } from "../../src/kernel-helpers/notebook";
import { temporaryFolder } from "../setup/temporary";

const PNG = Buffer.from("89504e470d0a1a0a", "hex");

function codeCell(source: string, tags: string[] = [], outputs?: NotebookCell["outputs"]): NotebookCell {
  return { cell_type: "code", source, metadata: { tags }, outputs, execution_count: null };
}

function notebook(cells: NotebookCell[]): Notebook {
  return { cells, metadata: {}, nbformat: 4, nbformat_minor: 5 };
}

test("notebooks are listed by number; others in the folder are not", () => {
  const folder = temporaryFolder();
  for (const name of ["10-last.ipynb", "02-b.ipynb", "01-a.ipynb", "scratch.ipynb", "03-c.txt"]) writeFileSync(join(folder, name), "");
  assert.deepEqual(listNotebooks(folder), ["01-a.ipynb", "02-b.ipynb", "10-last.ipynb"].map((name) => join(folder, name)));
  assert.deepEqual(listNotebooks(folder, ["02", "last"]), ["02-b.ipynb", "10-last.ipynb"].map((name) => join(folder, name)));
  assert.deepEqual(listNotebooks(join(folder, "missing")), []);
});

test("the grid of samples is the last picture of a cell tagged so, or of the notebook on sampling", () => {
  const picture = (bytes: Buffer) => ({ output_type: "display_data" as const, data: { "image/png": bytes.toString("base64") }, metadata: {} });
  const other = Buffer.from("other");
  const untagged = codeCell("", [], [picture(other)]);
  const tagged = codeCell("", ["samples"], [picture(other), picture(PNG)]);
  assert.deepEqual(findSampleGrid([{ name: "04-train", notebook: notebook([tagged, untagged]) }, { name: "05-sample", notebook: notebook([untagged]) }]), PNG);
  assert.deepEqual(findSampleGrid([{ name: "05-sample", notebook: notebook([codeCell("", [], [picture(PNG)])]) }, { name: "06-decoder", notebook: notebook([untagged]) }]), PNG);
  assert.equal(findSampleGrid([{ name: "06-decoder", notebook: notebook([untagged]) }]), undefined);
});

test("a notebook that fails is reported, and the others run in the real kernel", async () => {
  const folder = temporaryFolder();
  const write = (name: string, cells: NotebookCell[]): string => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify(notebook(cells)));
    return path;
  };
  const paths = [
    write("01-fails.ipynb", [codeCell("throw new Error('broken on purpose')")]),
    write("02-works.ipynb", [codeCell("const answer: number = 6 * 7;"), codeCell("console.log(answer)")]),
  ];
  const lines: string[] = [];
  const run = await executeNotebooks({
    notebooks: paths,
    folder: join(folder, "out"),
    cellTimeoutSeconds: 60,
    toHtml: async (content, title) => `<h1>${title}</h1>${content.cells.length}`,
    reporter: { line: (text) => lines.push(text), update: () => undefined },
    signal: new AbortController().signal,
  });
  assert.deepEqual(run.notebooks.map(({ ok }) => ok), [false, true]);
  assert.match(run.notebooks[0].error ?? "", /cell 1 failed: .*broken on purpose/s);
  assert.equal(run.ok, false);
  const executed: Notebook = JSON.parse(readFileSync(run.notebooks[1].executed, "utf8"));
  assert.deepEqual(executed.cells[1].outputs, [{ output_type: "stream", name: "stdout", text: ["42\n"] }]);
  assert.equal(readFileSync(run.notebooks[1].html, "utf8"), "<h1>02-works</h1>2");
  assert.ok(lines.some((line) => line.includes("01-fails  FAILED")) && lines.some((line) => line.includes("02-works  done")));
  assert.equal(existsSync(join(folder, "out", "samples.png")), false);
});

test("the folder of a run is named after its minute", () => {
  assert.equal(timestamp(new Date(2026, 2, 9, 4, 5)), "2026-03-09-0405");
});
