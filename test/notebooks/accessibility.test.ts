import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { readNotebook } from "../../src/kernel-helpers/notebook";
import { notebookToHtml } from "../../src/kernel-helpers/notebook-html";
import { progressBundle } from "../../src/kernel-helpers/progress-bar";
import { projectRoot } from "../../src/model/files";
import { axeViolations, launchChromium } from "../chromium";

const notebooks = join(projectRoot(), "notebooks");

describe("what axe finds in the outputs", () => {
  let folder: string;
  let browser: Browser;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-accessibility-"));
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function violations(html: string): Promise<string[]> {
    const file = join(folder, "page.html");
    await writeFile(file, html);
    const page = await browser.newPage();
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
    const found = await axeViolations(page);
    await page.close();
    return found;
  }

  for (const name of readdirSync(notebooks).filter((file) => file.endsWith(".ipynb"))) {
    test(`${name}, exported: figures, image grids, tables, equations and controls`, async () => {
      assert.deepEqual(await violations(await notebookToHtml(await readNotebook(join(notebooks, name)))), []);
    });
  }

  test("progress bars have their names without ARIA, which JupyterLab takes from untrusted outputs", async () => {
    const html = String(progressBundle([{ label: "training", total: 10, done: 4, elapsedSeconds: 2, secondsLeft: 3 }])["text/html"]);
    assert.ok(!html.includes("aria-"));
    assert.deepEqual(await violations(`<!doctype html><html lang="en"><head><title>progress</title></head><body><main><h1>progress</h1>${html}</main></body></html>`), []);
  });
});
