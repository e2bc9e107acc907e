import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { readResults } from "../../src/model/comparison";
import { readMetrics, runPaths } from "../../src/model/run";
import { halfWrittenFiles, temporaryProject } from "./temporary-project";

describe("crossflow sweep in two processes", () => {
  const project = temporaryProject();
  const folder = join(project.folder, "runs", "comparisons", "small-400x4");
  const file = join(project.folder, "sweep.json");
  const broken = { learningRate: 1e30, matrixLearningRate: 1e30, warmupSteps: 0, clipNorm: 0 };
  writeFileSync(file, JSON.stringify({ name: "small", base: { trainCount: 64, compile: false, optimizer: "adamw", diagnosticsEvery: 0, checkpointEvery: 1000 }, variants: { diverging: broken, usual: {}, slow: { learningRate: 1e-5 } }, seeds: 1, budgets: [{ steps: 400, batchSize: 4 }], samples: 4 }));
  /** Names of the trainings that have begun; what failed before its first checkpoint is moved aside when it is tried again. */
  const keys = (): string[] => (existsSync(join(folder, "runs")) ? readdirSync(join(folder, "runs")).filter((name) => !name.endsWith(".previous")).sort() : []);
  /** Steps of each of them. */
  const steps = (): number[] => keys().map((key) => readMetrics(runPaths(key, join(folder, "runs")).metricsFile).length);
  const underWay = (least: number): boolean => steps().filter((count) => count >= least).length === 2;

  it("a variant that fails does not end the others, Ctrl-C keeps a checkpoint of each, and the same command goes on from there", async () => {
    const first = await project.interrupt(["sweep", file, "--processes", "2"], (printed) => /diverging, seed 0: FAILED: loss "pixel" became NaN/.test(printed) && underWay(3), { group: true });
    assert.equal(first.code, 130, first.stderr);
    assert.match(first.stderr, /Interrupted\. 0 trainings were finished now and are kept, and those under way have a checkpoint/);
    assert.ok(!/EPIPE|node:/.test(first.stderr), first.stderr);
    assert.deepEqual(readResults(join(folder, "results.jsonl")).map(({ variant, status }) => [variant, status]), [["diverging", "failed"]]);
    const before = steps();
    const checkpoints = (): string[] => keys().flatMap((key) => latestCheckpoint(join(folder, "runs", key, "checkpoints"))?.slice(-8) ?? []);
    assert.deepEqual(checkpoints(), before.filter((count) => count >= 2).map((count) => String(count).padStart(8, "0")));
    assert.deepEqual(halfWrittenFiles(project), []);
    // Now the signal reaches the command alone, as from another program.
    const second = await project.interrupt(["sweep", file, "--processes", "2"], () => steps().filter((count, index) => count > before[index]).length >= 2);
    assert.equal(second.code, 130, second.stderr);
    assert.ok(steps().every((count, index) => count >= before[index]), "nothing was begun anew");
    assert.deepEqual(halfWrittenFiles(project), []);
  });
});
