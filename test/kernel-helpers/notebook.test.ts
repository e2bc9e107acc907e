import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openKernel, type KernelConnection } from "../../src/kernel-helpers/kernel-client";
import { createMarkdownRenderer } from "../../src/kernel-helpers/markdown-html";
import { readNotebook, type Notebook, type NotebookCell } from "../../src/kernel-helpers/notebook";
import { notebookToHtml } from "../../src/kernel-helpers/notebook-html";
import { NotebookCellError, runNotebook } from "../../src/kernel-helpers/notebook-runner";

const code = (source: string, tags: string[] = []): NotebookCell => ({ cell_type: "code", source, metadata: { tags }, outputs: [{ output_type: "stream", name: "stdout", text: "stale" }], execution_count: 7 });
const text = (source: string): NotebookCell => ({ cell_type: "markdown", source, metadata: {} });
const notebookOf = (...cells: NotebookCell[]): Notebook => ({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 });

describe("running a notebook", () => {
  let folder: string;
  let kernel: KernelConnection;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-runner-"));
    kernel = await openKernel({ folder });
  });
  after(async () => {
    await kernel.shutdown();
    await rm(folder, { recursive: true });
  });

  const write = async (name: string, notebook: Notebook): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, JSON.stringify(notebook));
    return path;
  };

  test("stores outputs, the last state of what changes in place, and the kernel's name", async () => {
    const path = await write("good.ipynb", notebookOf(
      text("# Title"),
      code(`import { createLiveDisplay } from "crossflow/kernel";\nconst live = createLiveDisplay({ minimumIntervalMilliseconds: 0 });\nlive.update({ "text/plain": "first" });`),
      code(""),
      code(`live.update({ "text/plain": "last" });\nawait live.flush();\nconsole.log("one\\ntwo");`),
    ));
    const events: string[] = [];
    const { output } = await runNotebook({ notebook: path, output: join(folder, "out", "good.ipynb"), kernel, onEvent: ({ type }) => void (type !== "message" && events.push(type)) });
    const { cells, metadata } = await readNotebook(output);
    assert.deepEqual(cells[1].outputs, [{ output_type: "display_data", data: { "text/plain": "last" }, metadata: {} }]);
    assert.deepEqual(cells[2].outputs, []);
    assert.deepEqual(cells[3].outputs, [{ output_type: "stream", name: "stdout", text: ["one\n", "two\n"] }]);
    assert.deepEqual(cells.map((cell) => cell.execution_count), [undefined, 1, null, 2]);
    assert.equal((metadata.kernelspec as { name: string }).name, "crossflow");
    assert.deepEqual(events, ["kernel-ready", "cell-started", "cell-finished", "cell-started", "cell-finished"]);
    assert.equal((await readNotebook(path)).cells[1].execution_count, 7, "the source is untouched");
  });

  test("stops at a failing cell, whose error and all before it are in the file", async () => {
    const path = await write("bad.ipynb", notebookOf(code("console.log('before');"), code("1;\nthrow new Error('broken');"), code("'never'")));
    await assert.rejects(runNotebook({ notebook: path, kernel }), (error: Error) => error instanceof NotebookCellError && error.cell === 1 && /cell 2 failed: Error: broken\nCell \[\d+\], line 2:/.test(error.message));
    const { cells } = await readNotebook(path);
    assert.deepEqual(cells[0].outputs, [{ output_type: "stream", name: "stdout", text: ["before\n"] }]);
    assert.equal(cells[1].outputs?.[0].ename, "Error");
    assert.deepEqual(cells[2].outputs, []);
  });

  test("goes on behind a cell that is expected to fail", async () => {
    const path = await write("expected.ipynb", notebookOf(code("throw new Error('on purpose')", ["raises-exception"]), code("'reached'")));
    const { failedCells, notebook } = await runNotebook({ notebook: path, kernel });
    assert.deepEqual(failedCells, [0]);
    assert.deepEqual(notebook.cells[1].outputs?.[0].text, ["reached\n"]);
  });

  test("interrupts a cell that takes too long, and one that isn't wanted any more", async () => {
    const path = await write("slow.ipynb", notebookOf(code("console.log('started');\nfor (;;) await new Promise((resolve) => setTimeout(resolve, 20));")));
    await assert.rejects(runNotebook({ notebook: path, kernel, cellTimeoutSeconds: 1 }), /it took longer than 1 s/);
    const stop = new AbortController();
    const run = runNotebook({ notebook: path, kernel, signal: stop.signal, onEvent: ({ type }) => void (type === "message" && stop.abort(new Error("enough"))) });
    await assert.rejects(run, /enough/);
    assert.equal((await readNotebook(path)).cells[0].outputs?.at(-1)?.ename, "Interrupted");
    assert.equal((await kernel.execute("'the kernel lives'")).status, "ok");
  });

  test("names a file that is no notebook", async () => {
    const path = join(folder, "old.ipynb");
    await writeFile(path, JSON.stringify({ nbformat: 3, worksheets: [] }));
    await assert.rejects(runNotebook({ notebook: path, kernel }), /old\.ipynb is not a notebook of format 4/);
    await assert.rejects(runNotebook({ notebook: join(folder, "none.ipynb"), kernel }), /Could not read the notebook .*none\.ipynb/);
  });
});

test("a kernel that can't start says what it printed", async () => {
  const failing = [process.execPath, "-e", "console.error('no licence'); process.exit(3)"];
  await assert.rejects(openKernel({ command: failing }), /The kernel ended \(exit code 3\)\. It said:\nno licence/);
  await assert.rejects(openKernel({ command: ["/no/such/program"] }), /could not be started \(\/no\/such\/program\)/);
});

describe("a notebook as a page", () => {
  const figure = { data: [{ type: "scatter", name: "</script><script>alert(1)</script>", x: [1], y: [2] }], layout: {} };
  const display = (data: Record<string, unknown>) => ({ output_type: "display_data" as const, data, metadata: {} });

  test("holds Plotly once for all figures, and nothing from elsewhere", async () => {
    const cell = { ...code("draw()"), outputs: [display({ "application/vnd.plotly.v1+json": figure, "text/plain": "a \"figure\"" }), display({ "application/vnd.plotly.v1+json": figure })] };
    const html = await notebookToHtml(notebookOf(text("# A *title*"), cell));
    assert.equal(html.split("plotly.js v").length - 1, 1);
    assert.equal(html.split(`class="figure"`).length - 1, 2);
    assert.ok(html.includes("<title>A title</title>"));
    assert.ok(html.includes(`aria-label="a &quot;figure&quot;"`));
    const ownPart = html.slice(0, html.indexOf("plotly.js v"));
    assert.ok(!ownPart.includes("<script>alert"));
    assert.doesNotMatch(ownPart, /(?:src|href)="(?:https?:)?\/\//);
    assert.ok(!(await notebookToHtml(notebookOf(text("no figure")))).includes("plotly.js v"));
  });

  test("escapes code, outputs and errors", async () => {
    const cell = { ...code("const a = '<b>';"), outputs: [
      { output_type: "stream" as const, name: "stdout", text: ["<i>\n"] },
      { output_type: "error" as const, ename: "E", evalue: "", traceback: ["\u001b[31m<u>\u001b[39m"] },
      display({ "text/html": "<script>alert(1)</script>", "text/plain": "<plain>" }),
      display({ "text/html": `<p title="x">only html</p>` }),
      display({ "image/svg+xml": "<svg onload='alert(1)'/>", "text/plain": "drawing" }),
    ] };
    const html = await notebookToHtml(notebookOf(cell));
    for (const part of ["&lt;b&gt;", "&lt;i&gt;", "&lt;u&gt;", "&lt;plain&gt;", `<iframe sandbox="" srcdoc="&lt;p title=&quot;x&quot;&gt;only html`, `<img src="data:image/svg+xml;base64,`]) assert.ok(html.includes(part), part);
    for (const part of ["<script", "<i>", "<u>", "onload", "\u001b"]) assert.ok(!html.includes(part), part);
  });

  test("renders Markdown with equations, and lets no script through", async () => {
    const render = await createMarkdownRenderer();
    const html = render("Euler: $e^{i\\pi} = -1$\n\n$$\\frac{1}{2}$$\n\n| a |\n|---|\n| *b* |");
    assert.match(html, /<math[^>]*>[^]*<mfrac>/);
    assert.match(html, /<table>[^]*<em>b<\/em>/);
    const hostile = render("<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> <b onclick=alert(1)>x</b>\n\n[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) ![c](javascript:alert(1)) [d](data:text/html,x)\n\n<details open>\n<summary>Hint</summary>\nText\n</details>");
    assert.doesNotMatch(hostile, /<script|<img|<b |href=/i);
    assert.match(hostile, /<details open>\s*<summary>Hint<\/summary>/);
    assert.equal(render("[up](#part) and [web](https://example.org)").match(/href=/g)?.length, 2);
    assert.match(render("![p](attachment:a.png)", { attachments: { "a.png": { "image/png": "AAAA" } } }), /<img src="data:image\/png;base64,AAAA" alt="p">/);
  });
});
