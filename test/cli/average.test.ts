import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { float32Values, readSafetensors } from "../../src/model/safetensors";
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

  it("beside mix, which makes the mean of several models' weights", async () => {
    const [early, last] = [join(project.folder, "early.safetensors"), join(folder, "model.safetensors")];
    const out = join(project.folder, "mixed.safetensors");
    const made = project.run(["mix", out, `${early}=0.25`, "first=0.75", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { mixture } = JSON.parse(made.stdout) as { mixture: { name: string; share: number }[] };
    assert.deepEqual(mixture.map(({ share }) => share), [0.25, 0.75]);
    const [a, b, both] = await Promise.all([early, last, out].map(async (file) => float32Values((await readSafetensors(file)).tensors["finalNorm.scale"], "finalNorm.scale")));
    both.forEach((value, index) => assert.ok(Math.abs(value - (0.25 * a[index] + 0.75 * b[index])) < 1e-6));
    const table = project.run(["mix", out, early, "first", "--precision", "F16"]);
    assert.match(table.stdout, /50 %\s+.*early\.safetensors[^]*50 %\s+.*model\.safetensors/);
    for (const [given, message] of [
      [[early], /a mixture needs at least two models, not 1/],
      [[`${early}=0.5`, "first"], /Either each model has a share or none: first has none/],
      [[`${early}=half`, "first=0.5"], /A share is a number, such as .*early\.safetensors=0\.5, not .*=half/],
      [["absent", "first"], /There is no model absent/],
    ] as const) {
      const { code, stderr } = project.run(["mix", join(project.folder, "none.safetensors"), ...given]);
      assert.notEqual(code, 0);
      assert.match(stderr.trim(), message);
    }
    assert.ok(!existsSync(join(project.folder, "none.safetensors")));
  });
});
