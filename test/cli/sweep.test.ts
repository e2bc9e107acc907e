import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, mock, test } from "node:test";
import { runCommandLine } from "../../src/cli";

const folder = mkdtempSync(join(tmpdir(), "crossflow-sweep-command-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command and gives its exit code and what it printed. */
async function run(...commandLine: string[]): Promise<{ code: number; printed: string }> {
  const log = mock.method(console, "log", () => undefined);
  const error = mock.method(console, "error", () => undefined);
  try {
    const code = await runCommandLine(commandLine);
    return { code, printed: [...log.mock.calls, ...error.mock.calls].map((call) => call.arguments.join(" ")).join("\n") };
  } finally {
    log.mock.restore();
    error.mock.restore();
  }
}

function sweepFile(content: object): string {
  const file = join(folder, "sweep.json");
  writeFileSync(file, JSON.stringify(content));
  return file;
}

test("an unknown key stops a sweep before it starts, with near names and the code for wrong usage", async () => {
  const { code, printed } = await run("sweep", sweepFile({ name: "mine", seeds: 1, budgets: [{ steps: 2, batchSize: 2 }], grid: { learningrate: [1e-3] } }));
  assert.equal(code, 2);
  assert.match(printed, /sweep\.json: the sweep can not begin: grid: there is no option "learningrate"; did you mean learningRate/);
  assert.equal((await run("sweep", sweepFile({ name: "mine", seeds: 1, budgets: [{ steps: 2, batchSize: 2 }], grid: { learningRate: [-1] } }))).code, 2);
  assert.equal((await run("sweep", join(folder, "none.json"))).code, 2);
});

test("a dry run lists the trainings, as JSON too, and trains nothing", async () => {
  const file = sweepFile({ name: "mine", seeds: 2, budgets: [{ steps: 2, batchSize: 2 }], grid: { optimizer: ["muon", "adamw"] } });
  const { code, printed } = await run("sweep", file, "--dry-run", "--json");
  assert.equal(code, 0);
  const { trainings } = JSON.parse(printed) as { trainings: unknown[] };
  assert.deepEqual(trainings[1], { variant: "optimizer=adamw", seed: 0, steps: 2, batchSize: 2 });
  assert.equal(trainings.length, 4);
  const table = await run("sweep", file, "--dry-run", "--seeds", "1");
  assert.equal(table.printed.split("\n").length, 3, "a heading and two trainings");
});
