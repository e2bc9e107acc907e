import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { kernelName } from "../../src/kernel-helpers/kernelspec";
import { readNotebook, writeNotebook, type Notebook, type NotebookCell } from "../../src/kernel-helpers/notebook";
import { notebookToHtml } from "../../src/kernel-helpers/notebook-html";
import { startJupyterLab, until, type JupyterLab, type OpenNotebook } from "./jupyterlab";

const cells = [
  `import { display, lineChart, liveChart, progressBar, showFigure } from "crossflow/kernel";
await showFigure(lineChart({ name: "parabola", y: [0, 1, 4, 9] }, { title: "A parabola" }));`,
  `const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const chart = liveChart({ title: "Loss", minimumIntervalMilliseconds: 300 });
for (let step = 1; step <= 40; step++) {
  chart.add(step, { loss: 1 / step });
  await pause(80);
}
await chart.finish();`,
  `for (let tick = 1; ; tick++) {
  if (tick === 3) console.log("three ticks");
  await pause(50);
}`,
];

const interactiveCells = [
  `import { interactive, slider } from "crossflow/kernel";
const plain = (red: number, blue: number) => ({ pixels: Uint8Array.from({ length: 8 * 8 * 3 }, (_, index) => [red, 0, blue][index % 3]), shape: [1, 8, 8, 3] as const });
await interactive({ "<colour>": ["red", "blue"], amount: slider(0, 1, 0.25) }, ({ "<colour>": colour, amount }) => plain(colour === "red" ? 255 * amount : 0, colour === "blue" ? 255 * amount : 0), { description: "A square" });`,
  `let drawn = 0;
await interactive({ colour: ["red", "blue"], amount: slider(0, 200, 1) }, ({ colour, amount }) => {
  drawn++;
  if (amount === 3) throw new RangeError("no <3>");
  return plain(colour === "red" ? amount : 0, colour === "blue" ? amount : 0);
}, { description: "A live square", live: true });`,
  `console.log("drawn " + drawn);`,
];

describe("JupyterLab in a browser", () => {
  let folder: string;
  let lab: JupyterLab;
  let notebook: OpenNotebook;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-browser-"));
    const codeCell = (source: string, index: number): NotebookCell & { id: string } => ({ id: `cell-${index}`, cell_type: "code", source, metadata: {}, outputs: [], execution_count: null });
    const kernelspec = { name: kernelName, display_name: "CrossFlow (TypeScript)", language: "typescript" };
    for (const [name, sources] of [["figures", cells], ["interactive", interactiveCells]] as const) {
      await writeNotebook(join(folder, `${name}.ipynb`), { cells: sources.map(codeCell), metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 });
    }
    lab = await startJupyterLab(folder);
    notebook = await lab.open("figures.ipynb");
  });

  after(async () => {
    await lab?.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  /** A copy of a saved notebook as somebody else would get it: one that this server hasn't signed. */
  async function send(name: string): Promise<OpenNotebook> {
    const saved = await readNotebook(join(folder, `${name}.ipynb`));
    const fromElsewhere: Notebook = { ...saved, cells: saved.cells.map((original) => ({ ...original, source: ["// sent\n", original.source].flat() })) };
    await writeFile(join(folder, `${name}-sent.ipynb`), JSON.stringify(fromElsewhere));
    const sent = await lab.open(`${name}-sent.ipynb`);
    assert.equal(await sent.page.evaluate("window.jupyterapp.shell.currentWidget.model.cells.get(0).trusted"), false);
    return sent;
  }

  test("shows the figure by Plotly's renderer", async () => {
    await notebook.idle();
    await notebook.command("runmenu:run-all");
    // The renderer of Plotly figures shows the picture that comes with one until somebody points at it.
    await notebook.codeCell(0).locator(".jp-RenderedPlotly .plot-img, .jp-RenderedPlotly .main-svg").first().waitFor();
  });

  test("moves the live chart in place and ends it as a Plotly figure", async () => {
    const pictures = new Set<string>();
    const picture = notebook.outputs(1).locator("img");
    await picture.waitFor();
    while ((await notebook.codeCell(1).locator(".jp-RenderedPlotly").count()) === 0) {
      if ((await picture.count()) > 0) pictures.add((await picture.getAttribute("src").catch(() => null)) ?? "");
      assert.equal(await notebook.outputs(1).count(), 1, "one display, changed in place");
      await delay(100);
    }
    assert.ok(pictures.size >= 3, `${pictures.size} different pictures seen`);
  });

  test("says busy while a queued cell runs, and its stop button ends the cell, but not the kernel", async () => {
    await notebook.outputs(2).filter({ hasText: "three ticks" }).waitFor();
    assert.equal(await notebook.kernelStatus(), "busy");
    await notebook.page.locator("[data-jp-item-name='interrupt']").click();
    await notebook.outputs(2).filter({ hasText: "Interrupted" }).waitFor();
    assert.match((await notebook.outputs(2).last().textContent()) ?? "", /Interrupted: [^]*Cell \[3\], line 3:/);
    await notebook.idle();
    await notebook.command("docmanager:save");
  });

  test("shows every picture when the notebook is opened again and isn't trusted", async () => {
    const path = join(folder, "figures.ipynb");
    await until(async () => (await readFile(path, "utf8")).includes("Interrupted"), () => "the notebook wasn't saved");
    const sent = await send("figures");
    for (const index of [0, 1]) await sent.outputs(index).locator(".main-svg, img").first().waitFor();
    await sent.page.close();
  });

  test("controls move drawn pictures by mouse and keys, and drive the kernel where the pictures are live", async () => {
    await notebook.page.close();
    notebook = await lab.open("interactive.ipynb");
    await notebook.idle();
    await notebook.command("runmenu:run-all");
    const [drawnImage, liveImage] = [0, 1].map((index) => notebook.codeCell(index).locator(".jp-OutputArea-output img"));
    await liveImage.waitFor();
    await notebook.idle();
    const description = async (): Promise<string | null> => drawnImage.getAttribute("alt");
    assert.equal(await description(), "A square; <colour>: red, amount: 0");
    const black = await drawnImage.getAttribute("src");
    await notebook.codeCell(0).locator("input[type=range]").focus();
    for (const key of ["ArrowRight", "ArrowUp", "End", "ArrowLeft"]) await notebook.page.keyboard.press(key);
    assert.equal(await description(), "A square; <colour>: red, amount: 0.75");
    await notebook.codeCell(0).locator("select").selectOption("blue");
    assert.equal(await description(), "A square; <colour>: blue, amount: 0.75");
    assert.notEqual(await drawnImage.getAttribute("src"), black);

    await notebook.codeCell(1).locator("select").selectOption("blue");
    const handle = notebook.codeCell(1).locator(".noUi-handle");
    await handle.focus();
    for (let press = 0; press < 3; press++) await notebook.page.keyboard.press("ArrowRight");
    await notebook.codeCell(1).locator("[role=alert]").filter({ hasText: "RangeError: no <3>" }).waitFor();
    await notebook.page.keyboard.press("ArrowRight");
    await notebook.codeCell(1).locator("img[alt='A live square; colour: blue, amount: 4']").waitFor();
    await notebook.screenshot("interactive");
    // The last cell was run before; it says now how often the kernel has drawn.
    await notebook.codeCell(2).locator(".jp-InputPrompt").click();
    await notebook.command("notebook:run-cell");
    await notebook.outputs(2).filter({ hasText: /drawn [2-9]/ }).waitFor();
    await notebook.command("docmanager:save");
    await until(async () => (await readFile(join(folder, "interactive.ipynb"), "utf8")).includes("widget-state+json"), () => "the widgets' state wasn't saved");
  });

  test("saved controls work without the kernel that made them, and leave a picture where scripts may not run", async () => {
    await notebook.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()");
    await notebook.page.close();
    const again = await lab.open("interactive.ipynb");
    await again.codeCell(0).locator("select").focus();
    await again.page.keyboard.press("ArrowDown");
    assert.equal(await again.codeCell(0).locator("img").getAttribute("alt"), "A square; <colour>: blue, amount: 0");
    await again.codeCell(1).locator("img[alt='A live square; colour: blue, amount: 4']").waitFor();
    await again.page.close();
    const sent = await send("interactive");
    await sent.codeCell(0).locator("div > img[alt='A square; <colour>: red, amount: 0']").waitFor();
    await sent.outputs(0).filter({ hasText: "trust this notebook" }).waitFor();
    assert.equal(await sent.codeCell(0).locator("select").count(), 0);
    await sent.codeCell(0).locator("summary").focus();
    await sent.page.keyboard.press("Space");
    await sent.codeCell(0).locator("details img[alt='A square; <colour>: blue, amount: 1']").waitFor();
    await sent.outputs(0).filter({ hasText: "amount: 0: as for <colour>: red, amount: 0" }).waitFor();
    await sent.codeCell(1).locator("img").waitFor();
    await sent.screenshot("interactive-untrusted");
  });

  test("the notebook's page draws the same figures, without a network", async () => {
    const path = join(folder, "page.html");
    await writeFile(path, await notebookToHtml(await readNotebook(join(folder, "figures.ipynb"))));
    const context = await lab.browser.newContext({ offline: true });
    const opened = await context.newPage();
    const problems: string[] = [];
    opened.on("pageerror", (error) => problems.push(String(error)));
    opened.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    await opened.goto(`file://${path}`);
    await opened.locator(".figure .main-svg").first().waitFor();
    await until(async () => (await opened.locator(".figure .gtitle").count()) === 2, () => "the page doesn't draw both figures");
    assert.deepEqual(await opened.locator(".figure .gtitle").allTextContents(), ["A parabola", "Loss"]);
    assert.deepEqual(problems, []);
  });
});
