import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { chromium, type Browser, type Locator, type Page } from "playwright-core";
import { installKernel, kernelName } from "../../src/kernel-helpers/kernelspec";
import { readNotebook, writeNotebook, type Notebook, type NotebookCell } from "../../src/kernel-helpers/notebook";
import { notebookToHtml } from "../../src/kernel-helpers/notebook-html";
import { projectRoot } from "../../src/model/files";
import { findChromium, MISSING_CHROMIUM } from "../../src/setup/browser";
import { environmentPython, pythonVariables } from "../../src/setup/python";

const patienceMilliseconds = 90_000;

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

describe("JupyterLab in a browser", () => {
  let folder: string;
  let server: ChildProcess;
  let serverLog = "";
  let address: string;
  let browser: Browser;
  let page: Page;

  before(async () => {
    const executablePath = findChromium();
    assert.ok(executablePath, MISSING_CHROMIUM);
    folder = await mkdtemp(join(tmpdir(), "crossflow-browser-"));
    await installKernel({ prefix: folder });
    const codeCell = (source: string, index: number): NotebookCell & { id: string } => ({ id: `cell-${index}`, cell_type: "code", source, metadata: {}, outputs: [], execution_count: null });
    const kernelspec = { name: kernelName, display_name: "CrossFlow (TypeScript)", language: "typescript" };
    await writeNotebook(join(folder, "figures.ipynb"), { cells: cells.map(codeCell), metadata: { kernelspec }, nbformat: 4, nbformat_minor: 5 });

    const port = await freePort();
    address = `http://127.0.0.1:${port}/lab`;
    const jupyterFolders = Object.fromEntries(["CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"].map((name) => [`JUPYTER_${name}`, join(folder, name)]));
    const settings = Object.fromEntries(["SETTINGS_DIR", "WORKSPACES_DIR"].map((name) => [`JUPYTERLAB_${name}`, join(folder, name)]));
    server = spawn(
      environmentPython(projectRoot()),
      ["-m", "jupyter", "lab", "--no-browser", "--allow-root", "--expose-app-in-browser", `--port=${port}`, "--ServerApp.port_retries=0", "--IdentityProvider.token=", `--ServerApp.root_dir=${folder}`,
        "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
      { env: { ...pythonVariables(process.env), ...jupyterFolders, ...settings, JUPYTER_PATH: join(folder, "share", "jupyter") }, stdio: ["ignore", "ignore", "pipe"] },
    );
    server.stderr?.on("data", (text: Buffer) => (serverLog += text.toString("utf8")));
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"] });
    await until(async () => (await fetch(`${address.replace(/lab$/, "api")}`).then(({ ok }) => ok, () => false)), () => `JupyterLab didn't start:\n${serverLog}`);
    page = await open("figures.ipynb");
  });

  after(async () => {
    await browser?.close();
    if (server?.exitCode === null) {
      server.kill("SIGTERM");
      await Promise.race([once(server, "exit"), delay(10_000)]);
      server.kill("SIGKILL");
    }
    await rm(folder, { recursive: true, force: true });
  });

  async function open(notebook: string): Promise<Page> {
    const opened = await (await browser.newContext({ viewport: { width: 1200, height: 1400 } })).newPage();
    opened.setDefaultTimeout(patienceMilliseconds);
    await opened.goto(`${address}/workspaces/${notebook.replace(/\W/g, "-")}/tree/${notebook}`);
    await opened.locator(".jp-Notebook .jp-CodeCell").first().waitFor();
    await opened.waitForFunction("window.jupyterapp?.restored");
    return opened;
  }

  // Some commands end only when the cells they run do: nobody waits for them here.
  const command = (id: string): Promise<unknown> => page.evaluate(`void window.jupyterapp.commands.execute(${JSON.stringify(id)})`);
  const cell = (index: number): Locator => page.locator(".jp-Notebook .jp-CodeCell").nth(index);
  const outputs = (index: number): Locator => cell(index).locator(".jp-OutputArea-output");
  const isIdle = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'";

  test("shows the figure by Plotly's renderer", async () => {
    await page.waitForFunction(isIdle);
    await command("runmenu:run-all");
    // The renderer of Plotly figures shows the picture that comes with one until somebody points at it.
    await cell(0).locator(".jp-RenderedPlotly .plot-img, .jp-RenderedPlotly .main-svg").first().waitFor();
  });

  test("moves the live chart in place and ends it as a Plotly figure", async () => {
    const pictures = new Set<string>();
    const picture = outputs(1).locator("img");
    await picture.waitFor();
    while ((await cell(1).locator(".jp-RenderedPlotly").count()) === 0) {
      if ((await picture.count()) > 0) pictures.add((await picture.getAttribute("src").catch(() => null)) ?? "");
      assert.equal(await outputs(1).count(), 1, "one display, changed in place");
      await delay(100);
    }
    assert.ok(pictures.size >= 3, `${pictures.size} different pictures seen`);
  });

  test("says busy while a queued cell runs, and its stop button ends the cell, but not the kernel", async () => {
    await outputs(2).filter({ hasText: "three ticks" }).waitFor();
    assert.equal(await page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"), "busy");
    await page.locator("[data-jp-item-name='interrupt']").click();
    await outputs(2).filter({ hasText: "Interrupted" }).waitFor();
    assert.match((await outputs(2).last().textContent()) ?? "", /Interrupted: [^]*Cell \[3\], line 3:/);
    await page.waitForFunction(isIdle);
    await command("docmanager:save");
  });

  test("shows every picture when the notebook is opened again and isn't trusted", async () => {
    const path = join(folder, "figures.ipynb");
    await until(async () => (await readFile(path, "utf8")).includes("Interrupted"), () => "the notebook wasn't saved");
    const saved = await readNotebook(path);
    // A notebook that this server hasn't signed is one that came from elsewhere.
    const fromElsewhere: Notebook = { ...saved, cells: saved.cells.map((original) => ({ ...original, source: ["// sent\n", original.source].flat() })) };
    await writeFile(join(folder, "sent.ipynb"), JSON.stringify(fromElsewhere));
    page = await open("sent.ipynb");
    for (const index of [0, 1]) await outputs(index).locator(".main-svg, img").first().waitFor();
    assert.equal(await page.evaluate("window.jupyterapp.shell.currentWidget.model.cells.get(0).trusted"), false);
  });

  test("the notebook's page draws the same figures, without a network", async () => {
    const path = join(folder, "page.html");
    await writeFile(path, await notebookToHtml(await readNotebook(join(folder, "figures.ipynb"))));
    const context = await browser.newContext({ offline: true });
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

async function until(condition: () => Promise<boolean>, describeFailure: () => string): Promise<void> {
  const limit = Date.now() + patienceMilliseconds;
  while (!(await condition())) {
    if (Date.now() > limit) throw new Error(describeFailure());
    await delay(200);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
