import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SetupError } from "../../src/setup/errors";
import { folderIsComplete, freeDiskSpace, installFolder, requireDiskSpace } from "../../src/setup/folders";
import { temporaryFolder } from "./temporary";

const fillWith = (content: string) => async (folder: string) => writeFileSync(join(folder, "library.so"), content);

test("a download that was cut off is removed, and the folder is made anew", async () => {
  const cache = temporaryFolder();
  const target = join(cache, "tensorflow");
  // What a killed process leaves: a temporary folder with half of a file.
  mkdirSync(`${target}.partial-999999`);
  writeFileSync(join(`${target}.partial-999999`, "library.so"), "half");
  assert.equal(folderIsComplete(target), false);

  await installFolder({ target, files: ["library.so"], fill: fillWith("whole") });
  assert.equal(folderIsComplete(target), true);
  assert.equal(readFileSync(join(target, "library.so"), "utf8"), "whole");
  assert.deepEqual(readdirSync(cache), ["tensorflow"]);
});

test("an unstamped, truncated or thinned-out folder is not complete and gets replaced", async () => {
  const target = join(temporaryFolder(), "runtime");
  mkdirSync(target);
  writeFileSync(join(target, "library.so"), "whole");
  assert.equal(folderIsComplete(target), false, "no stamp");

  for (const damage of [() => truncateSync(join(target, "library.so"), 2), () => unlinkSync(join(target, "library.so"))]) {
    await installFolder({ target, files: ["library.so"], fill: fillWith("whole") });
    assert.equal(folderIsComplete(target), true);
    damage();
    assert.equal(folderIsComplete(target), false);
  }
});

test("a failed attempt keeps the folder that was there and leaves nothing behind", async () => {
  const cache = temporaryFolder();
  const target = join(cache, "weights");
  await installFolder({ target, files: ["library.so"], fill: fillWith("old") });
  const interrupted = installFolder({
    target,
    files: ["library.so"],
    fill: async (folder) => {
      writeFileSync(join(folder, "library.so"), "n");
      throw new Error("interrupted");
    },
  });
  await assert.rejects(interrupted, /interrupted/);
  assert.equal(readFileSync(join(target, "library.so"), "utf8"), "old");
  assert.equal(folderIsComplete(target), true);
  assert.deepEqual(readdirSync(cache), ["weights"]);
});

test("an installation without a required file is refused by the file's name", async () => {
  const target = join(temporaryFolder(), "weights");
  await assert.rejects(installFolder({ target, files: ["network.pth"], fill: fillWith("x") }), /lacks network\.pth/);
  assert.equal(folderIsComplete(target), false);
});

test("too full a disk is a fatal error that says how much is needed and where", async () => {
  const folder = join(temporaryFolder(), "not", "there", "yet");
  const free = await freeDiskSpace(folder);
  await requireDiskSpace(folder, 1, "nothing");
  await assert.rejects(requireDiskSpace(folder, free + 1e12, "TensorFlow"), (error: unknown) => {
    assert.ok(error instanceof SetupError && error.fatal);
    assert.match(error.message, /disk is too full: TensorFlow needs [\d.]+ GB in .*CROSSFLOW_CACHE/);
    return true;
  });
});
