import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { temporaryFolder } from "./temporary";

test("an interrupted set-up ends with 130, says how to go on, and leaves no half of anything", { timeout: 60_000 }, async () => {
  // With an empty cache something large has to be fetched: the set-up is interrupted in its middle.
  const cache = temporaryFolder();
  const child = spawn(process.execPath, [join(projectRoot(), "scripts", "run.mjs"), "setup"], {
    env: { ...process.env, CROSSFLOW_CACHE: cache },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const errors: string[] = [];
  createInterface(child.stderr).on("line", (line) => errors.push(line));
  createInterface(child.stdout).on("line", (line) => {
    // The first line of a part that is being installed; what waits for another set-up has not begun.
    if (/ \.\.\.$/.test(line) && !line.startsWith("Another")) child.kill("SIGINT");
  });
  const [code] = await once(child, "close");
  assert.equal(code, 130);
  assert.deepEqual(errors, ["Interrupted. Run it again: it goes on from here."]);
  assert.deepEqual(readdirSync(cache), [], "nothing half-made, and no lock");
  // Another test's set-up may have taken the project's lock meanwhile.
  const lock = join(projectRoot(), ".crossflow", "setup.lock");
  assert.notEqual(existsSync(lock) && JSON.parse(readFileSync(lock, "utf8")).pid, child.pid, "the project's lock is given back");
});
