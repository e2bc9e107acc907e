import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { cacheDirectory, describeFileError, portablePath, projectRoot, shownPath, writeFileAtomic } from "../../src/model/files";

const folder = mkdtempSync(join(tmpdir(), "crossflow-files-"));
after(() => rmSync(folder, { recursive: true, force: true }));

test("a path below the home folder is shown with ~, and no other", () => {
  assert.equal(shownPath("/home/ada/.cache/a.pth", "/home/ada"), "~/.cache/a.pth");
  assert.equal(shownPath("/home/adam/a.pth", "/home/ada"), "/home/adam/a.pth");
  assert.equal(shownPath("/srv/a.pth", ""), "/srv/a.pth");
});

test("a path that leaves the machine starts in the project's folder, or is a name", () => {
  assert.equal(portablePath("/home/ada/crossflow/runs/first/model.safetensors", "/home/ada/crossflow"), "runs/first/model.safetensors");
  assert.equal(portablePath("/home/ada/crossflow/..models/a.safetensors", "/home/ada/crossflow"), "..models/a.safetensors");
  assert.equal(portablePath("/home/ada/models/a.safetensors", "/home/ada/crossflow"), "a.safetensors");
  assert.equal(portablePath("", "/home/ada/crossflow"), "");
});

test("text, bytes and chunks arrive whole and leave no temporary file", async () => {
  await writeFileAtomic(join(folder, "new/deep/text.txt"), "première");
  await writeFileAtomic(join(folder, "new/deep/bytes.bin"), new Uint8Array([1, 2, 3]));
  await writeFileAtomic(join(folder, "new/deep/chunks.bin"), [new Uint8Array([1]), new Uint8Array([2, 3])]);
  assert.equal(readFileSync(join(folder, "new/deep/text.txt"), "utf8"), "première");
  assert.deepEqual([...readFileSync(join(folder, "new/deep/bytes.bin"))], [1, 2, 3]);
  assert.deepEqual([...readFileSync(join(folder, "new/deep/chunks.bin"))], [1, 2, 3]);
  assert.deepEqual(readdirSync(join(folder, "new/deep")).sort(), ["bytes.bin", "chunks.bin", "text.txt"]);
});

test("a failed write keeps what was there and names the file", async () => {
  const blocked = join(folder, "blocked");
  mkdirSync(join(blocked, "child"), { recursive: true });
  await assert.rejects(writeFileAtomic(blocked, "x"), (error: Error) => error.message.includes(blocked));
  assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".tmp")), []);
  assert.deepEqual(readdirSync(blocked), ["child"]);
});

test("concurrent writers leave one of their contents, never a mixture", async () => {
  const path = join(folder, "contested.txt");
  const contents = ["a", "b", "c", "d"].map((letter) => letter.repeat(100_000));
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
  assert.ok(contents.includes(readFileSync(path, "utf8")));
});

test("a full disk and missing rights are said in words", () => {
  assert.match(describeFileError(Object.assign(new Error("write"), { code: "ENOSPC" })), /disk is full/);
  assert.match(describeFileError(Object.assign(new Error("open"), { code: "EACCES" })), /no permission/);
});

test("the project's folder is found from below and refused elsewhere", () => {
  assert.equal(JSON.parse(readFileSync(join(projectRoot(), "package.json"), "utf8")).name, "crossflow");
  mkdirSync(join(folder, "project/sub"), { recursive: true });
  writeFileSync(join(folder, "project/package.json"), '{"name": "crossflow"}');
  assert.equal(projectRoot(join(folder, "project/sub")), join(folder, "project"));
  assert.throws(() => projectRoot(join(folder, "new")), /No CrossFlow project/);
});

test("CROSSFLOW_CACHE overrides the platform's cache folder", () => {
  assert.equal(cacheDirectory({ CROSSFLOW_CACHE: "/somewhere" }), "/somewhere");
  assert.match(cacheDirectory({}), /crossflow/);
});
