import assert from "node:assert/strict";
import { test } from "node:test";
import { explainFailure, runCommand } from "../../src/setup/command";
import { SetupError } from "../../src/setup/errors";
import { downloadListener } from "../../src/setup/pip";

const node = process.execPath;

test("a program's standard output comes back, and every line is heard", async () => {
  const lines: string[] = [];
  const output = await runCommand(node, ["-e", "console.log('one'); console.error('two'); console.log('three')"], { onLine: (line) => lines.push(line) });
  assert.equal(output, "one\nthree");
  assert.deepEqual(lines.sort(), ["one", "three", "two"]);
});

test("a failed program is quoted with its last lines", async () => {
  await assert.rejects(runCommand(node, ["-e", "console.error('cannot frobnicate'); process.exit(3)"]), (error: unknown) => {
    assert.ok(error instanceof SetupError && !error.fatal);
    assert.match(error.message, /failed \(3\):\n {4}cannot frobnicate/);
    return true;
  });
});

test("a program that isn't there is named", async () => {
  await assert.rejects(runCommand("no-such-program", []), /no-such-program could not be started/);
});

test("an aborted program is ended, even if it won't listen", { timeout: 20_000 }, async () => {
  const abortion = new AbortController();
  const stubborn = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')";
  const running = runCommand(node, ["-e", stubborn], { signal: abortion.signal, onLine: () => abortion.abort(new Error("stopped by test")) });
  await assert.rejects(running, /stopped by test/);
});

test("the usual causes are said in words, and a full disk stops everything", () => {
  assert.equal(explainFailure("OSError: [Errno 28] No space left on device")?.fatal, true);
  assert.equal(explainFailure("npm ERR! code ENOSPC")?.fatal, true);
  const offline = [
    "WARNING: Retrying ... NewConnectionError('Failed to establish a new connection: [Errno -3] Temporary failure in name resolution')",
    "ERROR: No matching distribution found for jupyterlab==4.6.6",
  ].join("\n");
  assert.match(explainFailure(offline)?.message ?? "", /No network/);
  assert.match(explainFailure("ERROR: No matching distribution found for tensorflow-cpu==2.21.0")?.message ?? "", /no tensorflow-cpu==2\.21\.0 for this platform/);
  assert.equal(explainFailure("Segmentation fault"), undefined);
});

test("pip's raw progress becomes megabytes and time left", () => {
  const updates: string[] = [];
  let time = 0;
  const listen = downloadListener((text) => updates.push(text), () => time);
  listen("  Downloading tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl (274.0 MB)");
  listen("Progress 0 of 200000000");
  time = 2;
  listen("Progress 50000000 of 200000000");
  listen("Installing collected packages: tensorflow-cpu");
  assert.deepEqual(updates, ["fetching tensorflow_cpu: 0 of 200 MB", "fetching tensorflow_cpu: 50 of 200 MB, 6 s left", "unpacking"]);
});
