import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { temporaryFolder } from "./temporary";

test("an interrupted set-up ends with 130, says how to go on, and leaves no half of anything", { timeout: 60_000 }, async () => {
  // With an empty cache something large has to be fetched: the set-up is interrupted in its middle.
  const cache = temporaryFolder();
  const child = spawn(process.execPath, [join(projectRoot(), "dist", "src", "setup", "main.js")], {
    env: { ...process.env, CROSSFLOW_CACHE: cache },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const errors: string[] = [];
  createInterface(child.stderr).on("line", (line) => errors.push(line));
  const lines = createInterface(child.stdout);
  lines.once("line", () => child.kill("SIGINT"));
  const [code] = await once(child, "close");
  assert.equal(code, 130);
  assert.deepEqual(errors, ["Interrupted. Run it again: it goes on from here."]);
  assert.deepEqual(readdirSync(cache), []);
});
