import assert from "node:assert/strict";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Locator } from "playwright-core";
import sharp from "sharp";
import { joinLines, readNotebook } from "../../src/kernel-helpers/notebook";
import { projectRoot } from "../../src/model/files";
import { startJupyterLab, until, type JupyterLab, type OpenNotebook } from "../kernel-helpers/jupyterlab";
import { moveControls, openFolds } from "./controls";

const source = join(projectRoot(), "notebooks");
const names = readdirSync(source).filter((name) => name.endsWith(".ipynb")).sort();
/** A notebook may train for minutes where the processor is shared. */
const runMilliseconds = 400_000;
/** How many displays with controls drawn beforehand a notebook has, how many controls they have, and how many are live. */
const noControls = { displays: 0, drawn: 0, live: 0 };
const controls: Readonly<Record<string, typeof noControls>> = { "02-trajectory.ipynb": { displays: 1, drawn: 2, live: 2 }, "05-sample.ipynb": { displays: 2, drawn: 5, live: 4 } };

// Each notebook as a reader meets it: opened in JupyterLab, run in the real kernel from the first cell to the last, and looked at.
describe("the notebooks in JupyterLab", () => {
  let folder: string;
  let lab: JupyterLab;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-lab-"));
    for (const name of names) await cp(join(source, name), join(folder, name));
    // Short trainings, and runs where nothing of the reader's lies.
    lab = await startJupyterLab(folder, { CROSSFLOW_SETTING: "FAST" });
  });

  after(async () => {
    await lab?.close();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  });

  for (const name of names) {
    test(`${name}: run all, every picture is drawn, a figure answers the pointer`, { timeout: runMilliseconds + 60_000 }, async () => {
      const notebook = await openCleared(name);
      const moved = watchProgress(notebook);
      await notebook.command("runmenu:run-all");
      await screenshotWhileTraining(notebook, name.slice(0, 2));
      await finished(notebook);
      assert.deepEqual(await notebook.page.locator(".jp-OutputArea [data-mime-type='application/vnd.jupyter.error']").allTextContents(), []);
      assert.ok((await lookAtPictures(notebook, name.slice(0, 2))) > 0, "no picture at all");
      if ((await notebook.page.evaluate(`${cellsText}.some((text) => text.includes("watchTraining("))`)) === true) {
        assert.ok((await moved()) >= 3, "the progress bar moves while the training runs");
      }
      const { drawn, live } = controls[name] ?? noControls;
      assert.deepEqual([await moveControls(notebook, "drawn", name.slice(0, 2)), await moveControls(notebook, "live", name.slice(0, 2))], [drawn, live]);
      await notebook.page.close();
    });
  }

  test("restart and run all works", { timeout: runMilliseconds + 60_000 }, async () => {
    const [shortest] = names;
    const notebook = await openCleared(shortest);
    await notebook.command("runmenu:run-all");
    await finished(notebook);
    await notebook.command("notebook:restart-run-all");
    await notebook.page.locator(".jp-Dialog .jp-mod-accept").click();
    await until(async () => (await promptNumbers(notebook)).some((prompt) => prompt.includes("*") || prompt.trim() === ""), () => "the cells weren't run anew");
    await finished(notebook);
    assert.equal((await promptNumbers(notebook))[0].trim(), "[1]:", "counted from the start");
    assert.deepEqual(await notebook.page.locator("[data-mime-type='application/vnd.jupyter.error']").allTextContents(), []);
    await notebook.page.close();
  });

  test("the stop button ends a training, the kernel and its variables stay, and the next cell resumes", { timeout: 240_000 }, async () => {
    const training = (existing: string, stop: string): string =>
      `for await (const event of watchTraining((watch) => train({ name: "stopped", trainCount: 64, batchSize: 8, steps: 1000, losses: { pixel: 1 }, sampleEvery: 0 }, { ...watch, existing: "${existing}", runsFolder: process.cwd() + "/runs" }))) {\n  steps.push(event.step);\n  ${stop}\n}`;
    const sources = [
      `import { train } from "crossflow";\nimport { watchTraining } from "crossflow/kernel";\nconst steps: number[] = [];`,
      training("replace", ""),
      `console.log("kept " + steps.length);`,
      training("resume", "break;"),
      `console.log("went on at " + steps.at(-1));`,
    ];
    const cells = sources.map((text, index) => ({ id: `cell-${index}`, cell_type: "code", source: text, metadata: {}, outputs: [], execution_count: null }));
    const { metadata } = await readNotebook(join(source, names[0]));
    await writeFile(join(folder, "stop.ipynb"), JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }));
    const notebook = await lab.open("stop.ipynb");
    await notebook.idle();
    const runCell = async (index: number): Promise<void> => {
      await notebook.codeCell(index).locator(".jp-InputPrompt").click();
      await notebook.command("notebook:run-cell");
    };
    await runCell(0);
    await notebook.idle();
    await runCell(1);
    await notebook.outputs(1).filter({ hasText: /\b(?:[2-9]|\d\d+)\/1000/ }).first().waitFor();
    const pressed = Date.now();
    await notebook.page.locator("[data-jp-item-name='interrupt']").click();
    await notebook.outputs(1).filter({ hasText: "Interrupted" }).waitFor();
    await notebook.idle();
    const seconds = (Date.now() - pressed) / 1000;
    assert.ok(seconds < 10, `it took ${seconds} s`);
    await notebook.screenshot("stopped-training");
    await runCell(2);
    await notebook.outputs(2).filter({ hasText: /kept \d+/ }).waitFor();
    const kept = Number(/\d+/.exec((await notebook.outputs(2).first().textContent()) ?? "")?.[0]);
    assert.ok(kept >= 1, "what the loop had collected is still there");
    await runCell(3);
    await notebook.idle();
    await runCell(4);
    await notebook.outputs(4).filter({ hasText: /went on at \d+/ }).waitFor();
    const last = Number(/\d+/.exec((await notebook.outputs(4).first().textContent()) ?? "")?.[0]);
    assert.ok(last > kept, `${kept} steps, then step ${last}`);
    await notebook.page.close();
  });

  test("opened from elsewhere, untrusted, every notebook still shows its pictures", { timeout: 90_000 * names.length }, async () => {
    for (const name of names) {
      const saved = await readNotebook(join(source, name));
      const cells = saved.cells.map((cell) => (cell.cell_type === "code" ? { ...cell, source: ["// sent\n", joinLines(cell.source)] } : cell));
      await writeFile(join(folder, `sent-${name}`), JSON.stringify({ ...saved, cells }));
      const notebook = await lab.open(`sent-${name}`);
      assert.equal(await notebook.page.evaluate("[...window.jupyterapp.shell.currentWidget.model.cells].every(({ type, trusted }) => type !== 'code' || !trusted)"), true);
      assert.ok((await lookAtPictures(notebook, `${name.slice(0, 2)}-untrusted`)) > 0, name);
      const { displays, drawn } = controls[name] ?? noControls;
      assert.equal(await openFolds(notebook, `${name.slice(0, 2)}-untrusted`), displays);
      if (displays > 0) {
        await notebook.command("notebook:trust");
        await notebook.page.locator(".jp-Dialog .jp-mod-accept").click();
        assert.equal(await moveControls(notebook, "drawn", `${name.slice(0, 2)}-trusted`), drawn, "no cell has been run, and the controls work");
      }
      await notebook.page.close();
    }
  });

  async function openCleared(name: string): Promise<OpenNotebook> {
    const notebook = await lab.open(name);
    await notebook.idle();
    await notebook.command("notebook:clear-all-cell-outputs");
    return notebook;
  }
});

const cellsText = "[...window.jupyterapp.shell.currentWidget.model.cells].map((cell) => cell.sharedModel.getSource())";
const cellPrompts = "[...window.jupyterapp.shell.currentWidget.model.cells].filter(({ type }) => type === 'code').map(({ executionCount, executionState }) => ({ executionCount, executionState }))";

async function promptNumbers({ page }: OpenNotebook): Promise<string[]> {
  return page.evaluate(`${cellPrompts}.map(({ executionCount, executionState }) => (executionState === "running" ? "[*]:" : executionCount === null ? " " : "[" + executionCount + "]:"))`);
}

/** Waits until every code cell with a text has been run, or one has failed. */
async function finished({ page }: OpenNotebook): Promise<void> {
  const done = `(() => {
    const widget = window.jupyterapp.shell.currentWidget;
    const code = [...widget.model.cells].filter((cell) => cell.type === "code" && cell.sharedModel.getSource().trim() !== "");
    const failed = code.some((cell) => [...Array(cell.outputs.length).keys()].some((index) => cell.outputs.get(index).type === "error"));
    return failed || (code.every((cell) => cell.executionCount !== null && cell.executionState !== "running") && widget.sessionContext.session.kernel.status === "idle");
  })()`;
  await page.waitForFunction(done, undefined, { timeout: runMilliseconds, polling: 500 });
}

/** Where a notebook watches a training: leaves a picture of that cell with its bars, losses and samples, as soon as they are there. */
async function screenshotWhileTraining(notebook: OpenNotebook, label: string): Promise<void> {
  const { page } = notebook;
  const index: number = await page.evaluate(`${cellsText}.findIndex((text) => /^for await .*watchTraining\\(/m.test(text))`);
  if (index < 0) return;
  const seen = `(() => {
    const { outputs } = window.jupyterapp.shell.currentWidget.model.cells.get(${index});
    const all = [...Array(outputs.length).keys()].map((place) => outputs.get(place));
    return all.some(({ type }) => type === "error") || all.filter(({ data }) => "image/png" in data).length >= 2;
  })()`;
  await page.waitForFunction(seen, undefined, { timeout: runMilliseconds, polling: 500 });
  await page.evaluate(`window.jupyterapp.shell.currentWidget.content.scrollToItem(${index}, "start")`);
  await notebook.cell(index).locator(".jp-OutputArea-output").first().waitFor();
  await notebook.screenshot(`notebook-${label}-training`);
}

/** Counts the states that a progress bar passes through, until it is asked. */
function watchProgress({ page }: OpenNotebook): () => Promise<number> {
  const begin = page.evaluate(`(() => {
    const seen = (window.seenProgress = new Set());
    setInterval(() => document.querySelectorAll(".jp-OutputArea progress").forEach((bar) => seen.add(bar.closest("label").textContent + bar.value)), 100);
  })()`);
  return async () => {
    await begin;
    return page.evaluate("window.seenProgress.size");
  };
}

/**
 * Brings each picture of a notebook into view and asks whether its pixels differ; the first interactive figure is pointed
 * at until it shows a label. @returns how many pictures there were
 */
async function lookAtPictures(notebook: OpenNotebook, label: string): Promise<number> {
  const { page } = notebook;
  const count: number = await page.evaluate("window.jupyterapp.shell.currentWidget.model.cells.length");
  let pictures = 0;
  let pointed = false;
  for (let index = 0; index < count; index++) {
    const expected: string[] = await page.evaluate(`(() => {
      const cell = window.jupyterapp.shell.currentWidget.model.cells.get(${index});
      return cell.type === "code" ? [...Array(cell.outputs.length).keys()].flatMap((place) => Object.keys(cell.outputs.get(place).data ?? {})).filter((type) => type === "image/png") : [];
    })()`);
    if (expected.length === 0) continue;
    // JupyterLab makes a cell's outputs when they come into view.
    await page.evaluate(`window.jupyterapp.shell.currentWidget.content.scrollToItem(${index}, "start")`);
    const drawn = notebook.cell(index).locator(".jp-OutputArea-output").filter({ has: page.locator("img, .main-svg") });
    await until(async () => (await drawn.count()) >= expected.length, () => `${label}: cell ${index + 1} shows fewer than ${expected.length} pictures`);
    for (let place = 0; place < expected.length; place++) {
      // A figure that was pointed at keeps its still picture, hidden.
      const picture = drawn.nth(place).locator("img:visible, .main-svg:visible").first();
      await picture.waitFor();
      await picture.scrollIntoViewIfNeeded();
      await until(() => isDrawn(picture), () => `${label}: a picture of cell ${index + 1} is blank`);
      const [shown, room] = [await picture.boundingBox(), await drawn.nth(place).boundingBox()];
      assert.ok(shown!.width <= room!.width + 1, `${label}: a picture of cell ${index + 1} is ${shown!.width} pixels wide, in room for ${room!.width}`);
      pictures++;
      if (!pointed && (await isFigure(picture))) {
        pointed = true;
        await answersPointer(picture, label);
        await notebook.screenshot(`notebook-${label}-figure`);
        // A figure that scrolls under the pointer would begin to change.
        await page.mouse.move(2, 2);
      }
    }
    const cell = notebook.cell(index);
    if ((await cell.locator("input[type=range]").count()) > 0) {
      await notebook.screenshot(`notebook-${label}-controls`, cell.locator(".jp-OutputArea").last());
    }
    if (pictures === expected.length) await notebook.screenshot(`notebook-${label}`);
  }
  return pictures;
}

const isFigure = async (picture: Locator): Promise<boolean> => (await picture.locator("xpath=ancestor-or-self::*[contains(@class, 'jp-RenderedPlotly')]").count()) > 0;

/** Whether the pixels of what is shown differ from one another. */
async function isDrawn(picture: Locator): Promise<boolean> {
  const { channels } = await sharp(await picture.screenshot()).stats();
  return channels.some(({ stdev }) => stdev > 2);
}

/** Points at a figure, which makes it interactive, and moves over it until a label appears. */
async function answersPointer(picture: Locator, label: string): Promise<void> {
  const output = picture.locator("xpath=ancestor-or-self::*[contains(@class, 'jp-RenderedPlotly')]").first();
  await output.hover();
  // The plotting area takes the pointer on a layer of its own.
  const area = output.locator(".nsewdrag").first();
  await area.waitFor({ state: "attached" });
  const page = output.page();
  const [columns, rows] = [24, 9];
  let step = 0;
  await until(async () => {
    const box = await area.boundingBox();
    if (!box) return false;
    // A path over the whole plotting area, from its middle row on: some point of it is near a line, a bar or a cell.
    const [across, down] = [(step % columns) + 0.5, ((Math.floor(step / columns) * 5 + 4) % rows) + 0.5];
    step++;
    const [x, y] = [box.x + (box.width * across) / columns, box.y + (box.height * down) / rows];
    await page.mouse.move(x, y);
    await page.mouse.move(x + 2, y);
    return (await output.locator(".hoverlayer .hovertext").count()) > 0;
  }, () => `${label}: the figure shows no label where it is pointed at`);
}
