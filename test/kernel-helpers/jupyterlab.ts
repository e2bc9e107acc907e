import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Browser, Locator, Page } from "playwright-core";
import { installKernel } from "../../src/kernel-helpers/kernelspec";
import { projectRoot } from "../../src/model/files";
import { launchChromium } from "../chromium";
import { environmentPython, pythonVariables } from "../../src/setup/python";

export const patienceMilliseconds = 90_000;
/** Where pictures of what the tests saw are left; not in the repository. */
export const screenshotFolder = join(projectRoot(), "test-artefacts");

/** A running JupyterLab and a browser that looks at it. */
export interface JupyterLab {
  browser: Browser;
  open(notebook: string): Promise<OpenNotebook>;
  close(): Promise<void>;
}

/** A notebook as it is open in the browser. */
export interface OpenNotebook {
  page: Page;
  /** A cell by its place among all cells, or among the code cells; and the outputs below it. */
  cell(index: number): Locator;
  codeCell(index: number): Locator;
  outputs(codeCell: number): Locator;
  /** Starts a command of JupyterLab, without waiting for its end: some end only when the cells they run do. */
  command(id: string, options?: object): Promise<void>;
  /** Resolves when no cell is running or waiting. */
  idle(): Promise<void>;
  kernelStatus(): Promise<string>;
  /** Leaves a picture of the whole page, or of a part, in the folder of screenshots. */
  screenshot(name: string, part?: Locator): Promise<Buffer>;
}

/** Starts JupyterLab with this project's kernel on a folder, and a browser. Its settings go to that folder too. */
export async function startJupyterLab(folder: string, variables: NodeJS.ProcessEnv = {}): Promise<JupyterLab> {
  const home = join(folder, ".jupyter");
  await installKernel({ prefix: home });
  const port = await freePort();
  const address = `http://127.0.0.1:${port}/lab`;
  const jupyterFolders = Object.fromEntries(["CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR"].map((name) => [`JUPYTER_${name}`, join(home, name)]));
  const settings = Object.fromEntries(["SETTINGS_DIR", "WORKSPACES_DIR"].map((name) => [`JUPYTERLAB_${name}`, join(home, name)]));
  const browser = await launchChromium();
  const server = spawn(
    environmentPython(projectRoot()),
    ["-m", "jupyter", "lab", "--no-browser", "--allow-root", "--expose-app-in-browser", `--port=${port}`, "--ServerApp.port_retries=0", "--IdentityProvider.token=", `--ServerApp.root_dir=${folder}`,
      "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"],
    { env: { ...pythonVariables(process.env), ...jupyterFolders, ...settings, ...variables, JUPYTER_PATH: join(home, "share", "jupyter") }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  server.stderr.on("data", (text: Buffer) => (log += text.toString("utf8")));
  const close = async (): Promise<void> => {
    await browser.close();
    if (server.exitCode !== null) return;
    server.kill("SIGTERM");
    await Promise.race([once(server, "exit"), delay(10_000, undefined, { ref: false })]);
    server.kill("SIGKILL");
  };
  try {
    await until(async () => (await fetch(address.replace(/lab$/, "api"))).ok, () => `JupyterLab didn't start:\n${log}`);
  } catch (error) {
    await close();
    throw error;
  }
  await mkdir(screenshotFolder, { recursive: true });

  return {
    browser,
    close,
    async open(notebook) {
      const page = await (await browser.newContext({ viewport: { width: 1200, height: 1400 } })).newPage();
      page.setDefaultTimeout(patienceMilliseconds);
      await page.goto(`${address}/workspaces/${notebook.replace(/\W/g, "-")}/tree/${notebook}`);
      await page.locator(".jp-Notebook .jp-Cell").first().waitFor();
      await page.waitForFunction("window.jupyterapp?.restored");
      // Until the file is there, an empty notebook stands in its place: one cell, and that is trusted.
      await page.waitForFunction(`window.jupyterapp.shell.currentWidget?.context?.path?.endsWith(${JSON.stringify(notebook)}) && window.jupyterapp.shell.currentWidget.context.isReady`);
      return openNotebook(page);
    },
  };
}

const kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel";

function openNotebook(page: Page): OpenNotebook {
  const codeCell = (index: number): Locator => page.locator(".jp-Notebook .jp-CodeCell").nth(index);
  return {
    page,
    codeCell,
    cell: (index) => page.locator(".jp-Notebook .jp-Cell").nth(index),
    outputs: (index) => codeCell(index).locator(".jp-OutputArea-output"),
    command: (id, options = {}) => page.evaluate(`void window.jupyterapp.commands.execute(${JSON.stringify(id)}, ${JSON.stringify(options)})`),
    async idle() {
      await page.waitForFunction(`${kernel}?.status === "idle"`);
      // A cell that waits its turn shows a star.
      await page.waitForFunction(`![...document.querySelectorAll(".jp-Notebook .jp-InputPrompt")].some((prompt) => prompt.textContent.includes("*")) && ${kernel}?.status === "idle"`);
    },
    kernelStatus: () => page.evaluate(`${kernel}?.status`),
    screenshot: (name, part) => (part ?? page).screenshot({ path: join(screenshotFolder, `${name}.png`) }),
  };
}

/** Asks again and again until the answer is yes; an answer that fails counts as no. */
export async function until(condition: () => Promise<boolean>, describeFailure: () => string): Promise<void> {
  const limit = Date.now() + patienceMilliseconds;
  while (!(await condition().catch(() => false))) {
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
