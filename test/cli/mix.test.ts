import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { float32Values, readSafetensors } from "../../src/model/safetensors";
import { temporaryProject } from "./temporary-project";

const SMALL = ["--set", "trainCount=64", "--set", "batchSize=4", "--set", "sampleEvery=0", "--set", "compile=false", "--set", "optimizer=adamw"];

describe("crossflow mix", () => {
  const project = temporaryProject();
  const modelOf = (name: string): string => join(project.folder, "runs", name, "model.safetensors");

  it("makes the mean of several models' weights, by files or names of runs", async () => {
    for (const [name, ...flags] of [["first"], ["second", "--from", modelOf("first")]]) {
      const trained = project.run(["train", name, "--steps", "2", ...SMALL, ...flags]);
      assert.equal(trained.code, 0, trained.stderr);
    }
    const out = join(project.folder, "mixed.safetensors");
    const made = project.run(["mix", out, `${modelOf("first")}=0.25`, "second=0.75", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { mixture } = JSON.parse(made.stdout) as { mixture: { share: number; steps: number }[] };
    assert.deepEqual(mixture.map(({ share, steps }) => [share, steps]), [[0.25, 2], [0.75, 4]]);
    const [first, second, mixed] = await Promise.all([modelOf("first"), modelOf("second"), out].map(async (file) => float32Values((await readSafetensors(file)).tensors["classEmbedding"], "classEmbedding")));
    assert.ok(first.some((value, index) => value !== second[index]));
    mixed.forEach((value, index) => assert.ok(Math.abs(value - (0.25 * first[index] + 0.75 * second[index])) < 1e-6));
    const table = project.run(["mix", out, modelOf("first"), "second", "--precision", "F16"]);
    assert.match(table.stdout, /50 %\s+.*first.model\.safetensors[^]*50 %\s+.*second.model\.safetensors/);
    assert.ok(Object.values((await readSafetensors(out)).tensors).every(({ dtype }) => dtype === "F16"));
  });

  it("says what is wrong in one line, and writes nothing", () => {
    const out = join(project.folder, "none.safetensors");
    for (const [given, exit, message] of [
      [["first"], 1, /^a mixture needs at least two models, not 1$/],
      [["first=0.5", "second"], 2, /^Either each model has a share or none: second has none\.$/],
      [["first=half", "second=0.5"], 2, /^A share is a number, such as first=0\.5, not first=half\.$/],
      [["absent", "first"], 2, /^There is no model absent/],
    ] as const) {
      const { code, stderr } = project.run(["mix", out, ...given]);
      assert.deepEqual([code, stderr.trim().split("\n").length], [exit, 1], stderr);
      assert.match(stderr.trim(), message);
    }
    assert.ok(!existsSync(out));
  });
});
