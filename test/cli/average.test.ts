import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readSafetensors } from "../../src/model/safetensors";
import { temporaryProject } from "./temporary-project";

describe("crossflow average", () => {
  const project = temporaryProject();
  const folder = join(project.folder, "runs", "first");

  it("writes a model of any spread from a run's snapshots, by the run's name or folder", async () => {
    const trained = project.run(["train", "first", "--steps", "4", "--set", "trainCount=64", "--set", "batchSize=4", "--set", "sampleEvery=0", "--set", "compile=false", "--set", "optimizer=adamw", "--set", "snapshotEvery=2"]);
    assert.equal(trained.code, 0, trained.stderr);
    const made = project.run(["average", "first", "--relative-spread", "0.15", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { model, step, snapshots, profileError } = JSON.parse(made.stdout) as { model: string; step: number; snapshots: number; profileError: number };
    assert.deepEqual([model, step, snapshots], [join(folder, "average-0.15-step-4.safetensors"), 4, 2]);
    assert.ok(profileError > 0 && profileError < 1);
    assert.equal((await readSafetensors(model)).metadata.kind, "crossflow model");
    const out = join(project.folder, "early.safetensors");
    const early = project.run(["average", folder, "--step", "2", "--out", out, "--precision", "F16"]);
    assert.equal(early.code, 0, early.stderr);
    assert.match(early.stdout, /relative spread 0\.1 up to step 2, of 1 snapshots/);
    assert.ok(Object.values((await readSafetensors(out)).tensors).every(({ dtype }) => dtype === "F16"));
  });

  it("says what is wrong in one line, and writes nothing", () => {
    const out = join(project.folder, "none.safetensors");
    for (const [given, code, message] of [
      [["absent"], 2, /^There is no run absent .*--set snapshotEvery=100$/],
      [["first", "--relative-spread", "0.4"], 1, /^a relative spread lies above 0 and is at most 0\.2887, not 0\.4$/],
      [["first", "--step", "9"], 1, /snapshots in .* are of steps 2 to 4; choose a whole number between them$/],
    ] as const) {
      const { code: exit, stderr } = project.run(["average", ...given, "--out", out]);
      assert.deepEqual([exit, stderr.trim().split("\n").length], [code, 1], stderr);
      assert.match(stderr.trim(), message);
    }
    assert.ok(!existsSync(out));
  });
});
