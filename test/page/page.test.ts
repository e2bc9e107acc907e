import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { runCommandLine } from "../../src/cli";
import { imagesToPixels } from "../../src/model/data/image-batch";
import { projectRoot } from "../../src/model/files";
import { disposeModel, loadModel, type Model } from "../../src/model/model";
import { float32FromFloat16 } from "../../src/model/safetensors-format";
import { sample } from "../../src/model/sampler";
import { float16FromFloat32 } from "../../src/model/float16";
import { scriptJson } from "../../src/kernel-helpers/html";
import { axeViolations, launchChromium } from "../chromium";

const file = join(projectRoot(), "checkpoints", "avatars.safetensors");
const artefacts = process.env.CROSSFLOW_SCREENSHOTS;

// The tests run in Node, what they hand to the browser in a page.
interface PageWindow {
  document: any;
  innerWidth: number;
}

describe("the page of a model", () => {
  let folder: string;
  let address: string;
  let browser: Browser;
  let model: Model;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-page-"));
    const out = join(folder, "page.html");
    assert.equal(await runCommandLine(["page", file, "--out", out, "--title", `Avatars </script> & "friends"`]), 0);
    address = pathToFileURL(out).href;
    model = await loadModel(file);
    browser = await launchChromium();
  });

  after(async () => {
    await browser?.close();
    if (model) disposeModel(model);
    await rm(folder, { recursive: true, force: true });
  });

  /** The page without a network, painted; `problems` collects whatever goes wrong in it. */
  async function open(options: BrowserContextOptions): Promise<{ page: Page; problems: string[]; requests: string[] }> {
    const context = await browser.newContext({ offline: true, ...options });
    // Not by a script element, which the page's policy forbids.
    await context.addInitScript({ content: readFileSync(require.resolve("axe-core/axe.min.js"), "utf8") });
    const page = await context.newPage();
    const [problems, requests]: string[][] = [[], []];
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
    page.on("request", (request) => requests.push(request.url()));
    await page.goto(address);
    await painted(page);
    return { page, problems, requests };
  }

  const painted = (page: Page, state = ""): Promise<void> => page.locator(state ? `body[data-painted*='${state}']` : "body[data-painted]").waitFor({ state: "attached", timeout: 30_000 });
  const picture = (page: Page): Promise<number[]> =>
    page.evaluate(() => {
      const canvas = (globalThis as unknown as PageWindow).document.getElementById("picture");
      return Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data as Uint8ClampedArray).filter((_, index) => index % 4 !== 3);
    });
  async function expected(label: number, seed: number, r = 0): Promise<Uint8ClampedArray> {
    const images = sample(model, [label], { seed, r });
    const pixels = await imagesToPixels(images);
    images.dispose();
    return pixels;
  }

  function assertSamePicture(shown: readonly number[], wanted: Uint8ClampedArray): void {
    assert.equal(shown.length, wanted.length);
    const differences = shown.map((value, index) => Math.abs(value - wanted[index]));
    // 16-bit weights and another order of additions: a step or two of 255.
    assert.ok(Math.max(...differences) <= 4, `up to ${Math.max(...differences)}`);
    assert.ok(differences.reduce((sum, value) => sum + value, 0) / differences.length < 0.5);
  }

  test("is one file of 1 MB and three bytes a weight at most, whose title is text", async () => {
    const weights = Object.values(model.parameters).reduce((sum, { size }) => sum + size, 0);
    assert.ok((await stat(join(folder, "page.html"))).size < 1e6 + 3 * weights);
    assert.ok(!scriptJson({ a: "</script>" }).includes("<"));
  });

  test("draws what the same model draws in Node, without a network, and is driven by the keyboard alone", async () => {
    const { page, problems, requests } = await open({ viewport: { width: 1200, height: 1000 } });
    assert.equal(await page.locator("h1").textContent(), `Avatars </script> & "friends"`);
    assertSamePicture(await picture(page), await expected(0, 310));
    assert.match((await page.locator("#time").textContent()) ?? "", /^\d+ ms$/);

    await page.locator("#classes input").first().focus();
    for (let step = 0; step < 3; step++) await page.keyboard.press("ArrowRight");
    await painted(page, `"label":3`);
    assertSamePicture(await picture(page), await expected(3, 310));
    await page.locator("#input-r").focus();
    await page.keyboard.press("End");
    await painted(page, `"r":1,`);
    assertSamePicture(await picture(page), await expected(3, 310, 1));
    assert.equal(await page.locator("#picture").getAttribute("aria-label"), `Generated picture: ${model.classNames[3]}, noise 310, r = 1.00`);
    await page.keyboard.press("Home");
    await page.locator("#strip-blend button").last().focus();
    await page.keyboard.press("Enter");
    await painted(page, `"blend":1,"r":0`);
    assertSamePicture(await picture(page), await expected(3, 700));

    await page.locator("#play").focus();
    await page.keyboard.press("Space");
    await page.locator("#caption", { hasText: /[1-9]\d? %/ }).waitFor();
    await page.keyboard.press("Space");
    assert.equal(await page.locator("#play").getAttribute("aria-pressed"), "false");
    const download = page.waitForEvent("download");
    await page.locator("#save").click();
    assert.match((await download).suggestedFilename(), /\.png$/);
    if (artefacts) await page.screenshot({ path: join(artefacts, "page.png") });

    assert.deepEqual(problems, []);
    assert.deepEqual(requests.filter((url) => url !== address && !/^(?:blob|data):/.test(url)), []);
    await page.context().close();
  });

  test("has no violation that axe finds, light or dark, wide or narrow, and never scrolls sideways", async () => {
    for (const options of [{ viewport: { width: 1200, height: 1000 }, colorScheme: "light" }, { viewport: { width: 390, height: 844 }, colorScheme: "dark" }] as const) {
      const { page } = await open(options);
      assert.deepEqual(await axeViolations(page), []);
      assert.equal(await page.evaluate(() => (globalThis as unknown as PageWindow).document.documentElement.scrollWidth), options.viewport.width);
      if (artefacts) {
        // The picture is for the documentation, which needs no title that tries to break out.
        await page.evaluate(`document.querySelector("h1").textContent = "Avatars"`);
        await page.screenshot({ path: join(artefacts, `page-${options.viewport.width}.png`) });
      }
      await page.context().close();
    }
  });

  test("says what to do in a browser without WebAssembly, and still shows the gallery", async () => {
    const context = await browser.newContext({ offline: true });
    const page = await context.newPage();
    const out = join(folder, "old.html");
    // As in a browser that lacks SIMD: the worker's test program doesn't validate.
    const html = readFileSync(join(folder, "page.html"), "utf8").replace(/(<script type="text\/plain" id="program">)[^<]+/, "$1not a program");
    await writeFile(out, html);
    await page.goto(pathToFileURL(out).href);
    await page.locator("#status.error").waitFor();
    assert.match((await page.locator("#status").textContent()) ?? "", /^The generator could not start: .+ The pictures below were drawn beforehand\.$/);
    assert.ok(await page.locator("#shuffle").isDisabled());
    assert.ok(await page.locator(".gallery img").evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth > 100));
    await context.close();
  });
});

describe("16-bit floating-point numbers", () => {
  test("keep every number that they hold", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits).filter((bits) => (bits & 0x7c00) !== 0x7c00 || (bits & 0x3ff) === 0);
    assert.deepEqual(float16FromFloat32(float32FromFloat16(all)), all);
    assert.ok(Number.isNaN(float32FromFloat16(float16FromFloat32(Float32Array.of(NaN)))[0]));
  });

  test("are the nearest, the even one where two are", () => {
    const values = Float32Array.from([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65_519, 65_520, 2 ** -25, 3 * 2 ** -25, -0.1]);
    assert.deepEqual(Array.from(float32FromFloat16(float16FromFloat32(values))), [1, 1 + 2 ** -9, 65_504, Infinity, 0, 2 ** -23, -0.0999755859375]);
  });
});
