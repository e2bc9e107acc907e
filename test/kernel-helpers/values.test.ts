import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import sharp from "sharp";
import { display } from "../../src/kernel-helpers/display";
import { lineChart } from "../../src/kernel-helpers/figures/charts";
import { thinned } from "../../src/kernel-helpers/figures/thinned";
import { table } from "../../src/kernel-helpers/table";
import { defineRenderer, displayMethod, rendered, renderValue } from "../../src/kernel-helpers/values/renderers";
import { resolveConfig } from "../../src/model/config";
import { createDataset } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import { runPaths } from "../../src/model/run";

const text = async (value: unknown): Promise<string> => String((await renderValue(value))?.bundle["text/plain"]);
const types = async (value: unknown): Promise<string[]> => Object.keys((await renderValue(value))?.bundle ?? {});

describe("a tensor shows itself", () => {
  test("as images with shape and range, in the colours that it holds", async () => {
    // Three images: black, white, red, in [-1, 1].
    const colours = [[-1, -1, -1], [1, 1, 1], [1, -1, -1]];
    const images = tf.tensor4d(colours.flatMap((colour) => Array.from({ length: 64 }, () => colour).flat()), [3, 8, 8, 3]);
    const { bundle } = (await renderValue(images))!;
    assert.match(String(bundle["text/plain"]), /^Tensor of shape \[3, 8, 8, 3\], float32; from -1 to 1, mean -0\.111, deviation 0\.994\n3 images of 8x8 pixels$/);
    const { data, info } = await sharp(Buffer.from(bundle["image/png"] as Uint8Array)).raw().toBuffer({ resolveWithObject: true });
    const seen = new Set(Array.from({ length: info.width * info.height }, (_, index) => data.subarray(index * info.channels, index * info.channels + 3).join()));
    for (const colour of ["0,0,0", "255,0,0"]) assert.ok(seen.has(colour), colour);
    images.dispose();
  });

  test("as a table where it is short, as a histogram where it is long, as text where there is little to see", async () => {
    const [matrix, long, none, scalar] = [tf.tensor2d([[1, 2.5], [3, 4]]), tf.linspace(0, 1, 100), tf.tensor1d([]), tf.scalar(3)];
    assert.deepEqual(await types(matrix), ["text/html", "text/markdown", "text/plain"]);
    assert.match(await text(matrix), /row {3}0 {4}1\n-+ +-+ +-+\n0 {5}1 {2}2\.5\n1 {5}3 {4}4$/);
    assert.deepEqual(await types(long), ["application/vnd.plotly.v1+json", "image/png", "text/plain"]);
    assert.match(await text(long), /^Tensor of shape \[100\], float32; from 0 to 1, mean 0\.5, deviation 0\.292;/);
    assert.equal(await text(none), "Tensor of shape [0], float32");
    assert.equal(await text(scalar), "Tensor of shape [], float32: 3");
    tf.dispose([matrix, long, none]);
    scalar.dispose();
    assert.match(await text(scalar), /disposed/);
  });

  test("with its values that are not numbers counted, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    const tensor = tf.tensor1d([NaN, 1, Infinity, ...new Array<number>(50).fill(3)]);
    assert.match(await text(tensor), /from 1 to 3, .*; 2 not finite/);
    tensor.dispose();
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("values of the project show themselves", () => {
  test("a run as learning curves, before its first step as text", async () => {
    const folder = await mkdtemp(join(tmpdir(), "crossflow-values-"));
    const run = runPaths("mine", folder);
    assert.match(await text(run), /no step has been trained yet/);
    const { mkdir } = await import("node:fs/promises");
    await mkdir(run.folder, { recursive: true });
    await writeFile(run.metricsFile, [1, 2, 3].map((step) => JSON.stringify({ step, losses: { pixel: 1 / step, ...(step > 1 && { adversarial: 0.7 }) } })).join("\n"));
    const description = await text(run);
    assert.match(description, /^Run mine: 3 steps; x: step; y: loss\npixel: 3 points, first 1, last 0\.3333, [^\n]+\nadversarial: 2 points/);
    await rm(folder, { recursive: true });
  });

  test("a configuration as a table, what was changed first", async () => {
    const lines = (await text(resolveConfig({ steps: 300 }))).split("\n");
    assert.match(lines[0], /^Configuration: 1 of \d+ options differ from their default$/);
    assert.match(lines[3], /^steps +300 +steps +1200$/);
  });

  test("a data set as a table of its classes", async () => {
    const data = createDataset({ name: "dots", split: "test", classes: ["a", "b"], imageSize: 1, pixels: new Uint8Array(9), labels: Int32Array.of(0, 1, 1) });
    assert.match(await text(data), /^dots \(test\): 3 images of 1 x 1, [^]*\n0 +a +1\n1 +b +2$/);
  });

  test("figures, bundles and objects with a display method; other values are left to be printed", async () => {
    assert.deepEqual(await types(lineChart({ name: "a", y: [1, 2] })), ["application/vnd.plotly.v1+json", "image/png", "text/plain"]);
    assert.match(await text(table([{ a: 1 }])), /^a\n-\n1$/);
    assert.equal(await text({ [displayMethod]: async () => ({ "text/plain": "myself" }) }), "myself");
    assert.equal(displayMethod, Symbol.for("Jupyter.display"));
    for (const value of [undefined, null, 1, "text", {}, [1], { "text/plain": "x", other: 1 }]) assert.equal(await renderValue(value), undefined);
  });

  test("a renderer of one's own is asked first, and may be replaced", async () => {
    for (const answer of ["first", "second"]) {
      defineRenderer<{ celsius: number }>({ name: "temperature", matches: (value) => "celsius" in value, render: ({ celsius }) => ({ bundle: { "text/plain": `${answer}: ${celsius} degrees` } }) });
    }
    assert.equal(await text({ celsius: 20 }), "second: 20 degrees");
  });
});

test("in Deno's kernel displays go out by its own function", () => {
  const sent: unknown[] = [];
  const place = globalThis as { Deno?: unknown };
  place.Deno = { jupyter: { broadcast: async (...message: unknown[]) => void sent.push(message) } };
  display({ "image/png": new Uint8Array([1, 2, 3]), "text/plain": "picture" }, { id: "x", update: true });
  delete place.Deno;
  assert.deepEqual(sent, [["update_display_data", { data: { "image/png": "AQID", "text/plain": "picture" }, metadata: { "image/png": { alt: "picture" } }, transient: { display_id: "x" } }]]);
});

test("a long line is thinned without losing its spikes or its ends", () => {
  const x = Array.from({ length: 5000 }, (_, index) => index);
  const y = x.map((value) => Math.sin(value / 50));
  y[1234] = 9;
  y[4321] = -9;
  const thin = thinned(x, y);
  assert.ok(thin.x.length <= 602);
  assert.deepEqual([thin.x[0], thin.x.at(-1)], [0, 4999]);
  assert.ok(thin.y.includes(9) && thin.y.includes(-9));
  assert.ok(thin.x.every((value, index) => thin.y[index] === y[value] && (index === 0 || value > thin.x[index - 1])));
});

test("a value shows itself by the method that Deno's kernel asks for, its bytes as base64", async () => {
  const shown = await rendered(lineChart({ name: "a", y: [1, 2] }))[displayMethod]();
  assert.deepEqual(Object.keys(shown), ["application/vnd.plotly.v1+json", "image/png", "text/plain"]);
  assert.equal((await sharp(Buffer.from(String(shown["image/png"]), "base64")).metadata()).width, 720);
  assert.equal(displayMethod, Symbol.for("Jupyter.display"));
  assert.deepEqual(await rendered({ plain: 1 })[displayMethod](), { "text/plain": "{ plain: 1 }" });
  assert.deepEqual(await types(rendered(tf.tensor1d([1, 2]))), ["text/html", "text/markdown", "text/plain"]);
});
