import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import sharp from "sharp";
import { datasetConfig } from "../../src/cli/data";
import { writeBytes, writeColour } from "../data/small-images";
import { runCli } from "./run";
import { halfWrittenFiles, temporaryProject } from "./temporary-project";

describe("crossflow data", () => {
  const root = mkdtempSync(join(tmpdir(), "crossflow-cli-data-"));
  const images = join(root, "images");
  before(async () => {
    for (let number = 0; number < 11; number++) {
      await writeColour(join(images, "red", `${number}.png`), [255, 0, 0]);
      await writeColour(join(images, "black", `${number}.png`), [0, 0, 0]);
    }
    writeBytes(join(images, "red", "broken.png"), "nothing");
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it("shows counts, colours and what was skipped", async () => {
    const { code, stdout } = runCli(["data", "folder", images, "--size", "4", "--test-share", "0"]);
    assert.equal(code, 0);
    assert.match(stdout, /^images: 2 classes, images of 4 x 4$/m);
    assert.match(stdout, /^train +22 +0\.500 0\.000 0\.000 +0\.500 0\.000 0\.000 +1 /m);
    assert.match(stdout, /^test +0 +- - - +- - - +0 /m);
    assert.match(stdout, /^red +11 +0$/m);
    assert.match(stdout, /red\/broken\.png: it is no PNG, JPEG or WebP image/);
  });

  it("prints one JSON value and writes a preview, a row a class", async () => {
    const preview = join(root, "preview.png");
    const { code, stdout } = runCli(["data", "folder", images, "--size", "4", "--json", "--preview", preview]);
    assert.equal(code, 0);
    const { ok, classes, splits } = JSON.parse(stdout);
    assert.deepEqual([ok, classes, splits.length, splits[0].images + splits[1].images], [true, ["black", "red"], 2, 22]);
    const { data, info } = await sharp(preview).raw().toBuffer({ resolveWithObject: true });
    const redAt = (row: number, column: number): number => data[(Math.floor(row * info.height) * info.width + Math.floor(column * info.width)) * 3];
    assert.deepEqual([redAt(0.25, 0.05), redAt(0.75, 0.05)], [0, 255]);
  });

  it("fails with one clear line, or with JSON if that was asked for", async () => {
    const nowhere = join(root, "nowhere");
    const { code, stderr } = runCli(["data", "folder", nowhere]);
    assert.deepEqual([code, stderr.trim().split("\n").length], [1, 1]);
    assert.match(stderr, /There is no folder .*nowhere/);
    const { stdout } = runCli(["data", "folder", nowhere, "--json"]);
    assert.equal(JSON.parse(stdout).ok, false);
    assert.equal(runCli(["data", "fodler", images]).code, 2);
    assert.equal(runCli(["data", "folder", images, "--preview", "x.gif"]).code, 1);
  });

  it("makes the loader's options of the command line's", () => {
    assert.deepEqual(datasetConfig("avatars", undefined, { size: 64, count: 600 }), { name: "avatars", imageSize: 64, trainCount: 600, testCount: 100, seed: undefined });
    assert.deepEqual(datasetConfig("mnist", "digits", { emnist: "letters", testCount: 5 }), { name: "mnist", path: "digits", imageSize: undefined, trainCount: undefined, testCount: 5, emnistSplit: "letters" });
    assert.throws(() => datasetConfig("cifar10", undefined, {}), /Where is the data\? Give its folder: npx crossflow data cifar10 <path>/);
    assert.throws(() => datasetConfig("avatars", "somewhere", {}), /take no path/);
    assert.throws(() => datasetConfig("cifar", undefined, {}), /Did you mean cifar10\?/);
  });

  it("stops rendering at Ctrl-C with exit code 130, keeps what is drawn, and goes on from there", async () => {
    const project = temporaryProject();
    const rendered = (): string[] => readdirSync(join(project.folder, "data"), { recursive: true, encoding: "utf8" }).filter((name) => /^avatars-16-.*\.safetensors$/.test(name)).sort();
    const command = ["data", "avatars", "--size", "16", "--count", "1300", "--test-count", "8"];
    const { code, stderr } = await project.interrupt(command, () => rendered().length > 0);
    assert.equal(code, 130, stderr);
    assert.match(stderr, /Interrupted\. What is rendered is kept: the same command goes on from there\./);
    assert.deepEqual(halfWrittenFiles(project), []);
    const [first, ...further] = rendered();
    const before = readFileSync(join(project.folder, "data", first));
    assert.ok(further.length <= 1, "the held-out images were not begun");
    assert.equal(project.run(command).code, 0);
    assert.deepEqual([readFileSync(join(project.folder, "data", first)).equals(before), rendered().length], [true, 3]);
  });
});
