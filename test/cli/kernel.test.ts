import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../setup/temporary";
import { runCli } from "./run";

test("the kernel is installed where it is told, and removed from there", () => {
  const prefix = temporaryFolder();
  const folder = join(prefix, "share", "jupyter", "kernels", "crossflow");
  const installed = runCli(["kernel", "install", "--prefix", prefix, "--json"]);
  assert.equal(installed.code, 0, installed.stderr);
  assert.deepEqual(JSON.parse(installed.stdout), { ok: true, folder });
  assert.equal(JSON.parse(readFileSync(join(folder, "kernel.json"), "utf8")).display_name, "CrossFlow (TypeScript)");

  assert.deepEqual(JSON.parse(runCli(["kernel", "uninstall", "--prefix", prefix, "--json"]).stdout), { ok: true, folder });
  assert.equal(existsSync(folder), false);
  const again = runCli(["kernel", "uninstall", "--prefix", prefix]);
  assert.equal(again.code, 0);
  assert.match(again.stdout, /nothing to remove/);
});

test("the project's own kernel is listed", () => {
  const { code, stdout } = runCli(["kernel", "list", "--json"]);
  assert.equal(code, 0);
  const kernels: { name: string; isOwn: boolean }[] = JSON.parse(stdout);
  assert.ok(kernels.some(({ name, isOwn }) => name === "crossflow" && isOwn), stdout);
});

test("a wrong place is an error in JSON too", () => {
  const { code, stdout } = runCli(["kernel", "install", "--user", "--prefix", temporaryFolder(), "--json"]);
  assert.equal(code, 1);
  assert.match(JSON.parse(stdout).error, /either user or prefix/);
});
