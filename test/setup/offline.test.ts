import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import type { PartOutcome } from "../../src/setup";
import { temporaryFolder } from "./temporary";

test("a second start needs no network and no program but Node", () => {
  const folder = temporaryFolder();
  const preload = join(folder, "offline.cjs");
  // Every connection of the set-up fails, as without a network; what pip or npm would do shows as a program that isn't found.
  writeFileSync(preload, `require("node:net").Socket.prototype.connect = () => { throw new Error("there is no network"); };`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(projectRoot(), "scripts", "run.mjs"), "setup", "--json"], {
    encoding: "utf8",
    env: { ...process.env, PATH: folder, NODE_OPTIONS: `--require "${preload}"` },
  });
  assert.equal(status, 0, stderr);
  const { ok, parts } = JSON.parse(stdout) as { ok: boolean; parts: PartOutcome[] };
  assert.equal(ok, true);
  assert.deepEqual(parts.filter(({ outcome }) => outcome === "installed"), [], "nothing is installed again");
});
