import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { compareAverages, readResults, type CompareAveragesOptions } from "../../src/model/comparison";
import { tf } from "../../src/model/engine/tf";
import { runPaths } from "../../src/model/run";
import { readSafetensors } from "../../src/model/safetensors";
import { postHocModel } from "../../src/model/snapshots";
import { disposeModel } from "../../src/model/model";
import { train } from "../../src/model/trainer";
import { resources } from "../model/tiny-training";
import { brightnessComparison } from "./brightness";

const folder = mkdtempSync(join(tmpdir(), "crossflow-averages-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const { options: shared, measured } = brightnessComparison(5);
const options: CompareAveragesOptions = { ...shared, name: "kept", comparisonsFolder: folder };
const averages = { usual: {}, none: { emaDecay: 0 }, powered: { emaKind: "power", emaRelativeSpread: 0.2 }, "post-hoc": { postHocSpread: 0.12 } };

test("one training a seed gives the averages that trainings of their own would, and what is done is not done again", async () => {
  const before = tf.memory().numTensors;
  const partly = await compareAverages(averages, { ...options, limit: 1 });
  assert.deepEqual(partly.results.map(({ variant, seed }) => [variant, seed]), Object.keys(averages).map((name) => [name, 0]));
  const found = await compareAverages(averages, options);
  assert.equal(measured(), 8);
  assert.equal(tf.memory().numTensors, before);
  assert.deepEqual(found.differences.map(({ variant, seeds }) => [variant, seeds]), [["none", 2], ["powered", 2], ["post-hoc", 2]]);

  const weightsOf = async (file: string): Promise<unknown> => (await readSafetensors(file)).tensors;
  const config = { ...shared.base, steps: 5, batchSize: 4, compile: false, seed: 1 };
  const fileOf = (variant: string): string => found.results.find((one) => one.variant === variant && one.seed === 1)!.model;
  for (const [variant, average] of Object.entries({ usual: {}, none: averages.none, powered: averages.powered })) {
    const paths = runPaths(variant, folder);
    for await (const { step } of train({ ...config, ...average, name: variant }, { resources, runsFolder: folder })) assert.ok(step <= 5);
    assert.deepEqual(await weightsOf(fileOf(variant)), await weightsOf(paths.modelFile), variant);
  }
  const paths = runPaths("snapshots", folder);
  for await (const { step } of train({ ...config, name: "snapshots", snapshotEvery: 1 }, { resources, runsFolder: folder })) assert.ok(step <= 5);
  const { model } = await postHocModel(paths.snapshots, { relativeSpread: 0.12 });
  const made = (await readSafetensors(fileOf("post-hoc"))).tensors;
  for (const [name, tensor] of Object.entries(model.parameters)) assert.deepEqual(made[name].data, tensor.dataSync(), name);
  disposeModel(model);

  const again = await compareAverages(averages, options);
  assert.equal(measured(), 8);
  assert.deepEqual(again.results, found.results);
  await compareAverages({ ...averages, short: { emaDecay: 0.5 } }, { ...options, seeds: 1 });
  assert.equal(measured(), 9, "another average needs its training anew, and alone is measured");
});

test("an abort in the middle of a training keeps its averages, and the next call goes on to the same end", async () => {
  const controller = new AbortController();
  const cut = { ...options, name: "cut", seeds: 1 };
  let steps = 0;
  await assert.rejects(compareAverages(averages, { ...cut, signal: controller.signal, onProgress: ({ label }) => {
    if (label === "comparing averages" && ++steps === 3) controller.abort(new Error("enough"));
  } }), /enough/);
  const progress: string[] = [];
  const found = await compareAverages(averages, { ...cut, onProgress: ({ label }) => progress.push(label) });
  assert.ok(progress.filter((label) => label === "comparing averages").length < 5 + 4, "it did not begin anew");
  const whole = await compareAverages(averages, { ...cut, comparisonsFolder: join(folder, "whole") });
  for (const { variant, model } of whole.results) assert.deepEqual((await readSafetensors(found.results.find((one) => one.variant === variant)!.model)).tensors, (await readSafetensors(model)).tensors, variant);
});

test("an abort keeps the finished trainings", async () => {
  const controller = new AbortController();
  const aborted = compareAverages(averages, { ...options, name: "aborted", signal: controller.signal, onResult: ({ variant, seed }) => {
    if (seed === 1 && variant === "usual") controller.abort(new Error("enough"));
  } });
  await assert.rejects(aborted, /enough/);
  assert.equal(readResults(join(folder, "aborted", "results.jsonl")).length, 5);
  const before = measured();
  const found = await compareAverages(averages, { ...options, name: "aborted" });
  assert.deepEqual([found.results.length, measured() - before], [8, 3]);
});

test("faults of all averages are listed before anything runs", async () => {
  const faulty = { a: { emaDecy: 0.9 }, b: { learningRate: 1 }, c: { postHocSpread: 0.4 }, d: { emaKind: "halflife" } };
  await assert.rejects(compareAverages(faulty as never, { ...options, name: "faulty" }), (error: Error) => {
    assert.match(error.message, /a: "emaDecy" is no option of an average; did you mean emaDecay/);
    assert.match(error.message, /b: "learningRate" is no option of an average: emaKind,/);
    assert.match(error.message, /c: .*at most 0\.2887.*not 0\.4/);
    assert.match(error.message, /d: .*emaKind must be one of constant, half-life, power.*did you mean half-life/);
    return true;
  });
  assert.ok(!existsSync(join(folder, "faulty")));
});
