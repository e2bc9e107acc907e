import assert from "node:assert/strict";
import type { Locator } from "playwright-core";
import sharp from "sharp";
import { until, type OpenNotebook } from "../kernel-helpers/jupyterlab";

/** Controls whose pictures were drawn beforehand, and live ones, which the kernel draws for. */
type Kind = "drawn" | "live";

const elements: Readonly<Record<Kind, string>> = {
  drawn: "[data-interactive] select, [data-interactive] input[type=range]",
  live: ".jupyter-widgets select, .jupyter-widgets .noUi-handle",
};

/**
 * Moves each control of one kind by its keys, twice forth and twice back, and asks after each press whether the picture
 * beside it has changed, in its pixels and in its words.
 *
 * @returns how many controls there are
 */
export async function moveControls(notebook: OpenNotebook, kind: Kind, label: string): Promise<number> {
  let count = 0;
  for (const index of await cellsWith(notebook, kind)) {
    const outputs = await inView(notebook, index);
    await outputs.locator(elements[kind]).first().waitFor();
    for (const output of await outputs.all()) {
      for (const control of await output.locator(elements[kind]).all()) {
        await moveOne(control, output.locator("img"), `${label}: cell ${index + 1}, ${kind} control ${++count}`);
      }
    }
    await notebook.screenshot(`notebook-${label}-${kind}`, notebook.cell(index).locator(".jp-OutputArea").last());
  }
  return count;
}

/** Opens by a key each fold of pictures that stands where the controls may not run. @returns how many there are */
export async function openFolds(notebook: OpenNotebook, label: string): Promise<number> {
  let count = 0;
  for (const index of await cellsWith(notebook, "drawn")) {
    const folds = (await inView(notebook, index)).locator("details");
    await folds.first().waitFor();
    for (const fold of await folds.all()) {
      const [summary, images] = [fold.locator("summary"), fold.locator("img")];
      const announced = Number(/All (\d+) pictures/.exec((await summary.textContent()) ?? "")?.[1]);
      assert.equal(await images.count(), announced, "none of the notebooks' pictures is the same as another");
      assert.equal(await images.first().isVisible(), false);
      await summary.focus();
      await notebook.page.keyboard.press("Space");
      await images.last().waitFor();
      const words = await images.evaluateAll((all) => all.map((image) => image.getAttribute("alt")));
      assert.equal(new Set(words).size, announced, "each picture has its own text alternative");
      count++;
    }
    await notebook.screenshot(`notebook-${label}-fold`);
  }
  return count;
}

/** The places of the cells that show controls of that kind. */
async function cellsWith({ page }: OpenNotebook, kind: Kind): Promise<number[]> {
  const isWanted = `/interactive\\(\\{/.test(text) && /live: true/.test(text) === ${kind === "live"}`;
  return page.evaluate(`[...window.jupyterapp.shell.currentWidget.model.cells].flatMap((cell, index) => { const text = cell.sharedModel.getSource(); return cell.type === "code" && ${isWanted} ? [index] : []; })`);
}

async function inView(notebook: OpenNotebook, index: number): Promise<Locator> {
  // JupyterLab makes a cell's outputs when they come into view.
  await notebook.page.evaluate(`window.jupyterapp.shell.currentWidget.content.scrollToItem(${index}, "start")`);
  return notebook.cell(index).locator(".jp-OutputArea-output");
}

async function moveOne(control: Locator, picture: Locator, name: string): Promise<void> {
  const isList = await control.evaluate(({ tagName }) => tagName === "SELECT");
  const [forward, back] = isList ? ["ArrowDown", "ArrowUp"] : ["ArrowRight", "ArrowLeft"];
  const first = await look(picture);
  let before = first;
  await control.focus();
  for (const key of [forward, forward, back, back]) {
    await control.page().keyboard.press(key);
    await until(async () => (await picture.getAttribute("alt")) !== before.text, () => `${name}: ${key} doesn't reach the picture (${before.text})`);
    const now = await look(picture);
    assert.ok(!now.pixels.equals(before.pixels) && !now.screen.equals(before.screen), `${name}: ${key} leaves the picture as it was (${before.text}, ${now.text})`);
    before = now;
  }
  assert.equal(before.text, first.text, `${name}: back where it began`);
  assert.ok(before.pixels.equals(first.pixels), `${name}: another picture where it began (${first.text})`);
}

/** A picture's text alternative, its pixels as they are stored, and as they stand on the screen, where they may be scaled. */
async function look(picture: Locator): Promise<{ text: string; pixels: Buffer; screen: Buffer }> {
  const [text, source] = [await picture.getAttribute("alt"), await picture.getAttribute("src")];
  const png = Buffer.from((source ?? "").replace(/^data:image\/png;base64,/, ""), "base64");
  return { text: text ?? "", pixels: await sharp(png).removeAlpha().raw().toBuffer(), screen: await picture.screenshot() };
}
