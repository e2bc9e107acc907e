import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { codeVersion, lossFingerprint } from "../../src/model/comparison/fingerprint";
import { compare, comparisonFolder, planJobs, readResults, type CompareOptions, type RunResult } from "../../src/model/comparison";
import { appendResult } from "../../src/model/comparison/results";
import { takeOverResults } from "../../src/model/comparison/shared-results";
import { tf } from "../../src/model/engine/tf";
import { defineLoss } from "../../src/model/losses";
import { pixelLoss } from "../../src/model/losses/pixel";
import { readMetrics } from "../../src/model/run";
import { resources } from "../model/tiny-training";
import { brightnessComparison } from "./brightness";

const comparisonsFolder = mkdtempSync(join(tmpdir(), "crossflow-comparisons-"));
after(() => rmSync(comparisonsFolder, { recursive: true, force: true }));

const { options: shared, measured } = brightnessComparison(3);
const options: CompareOptions = { ...shared, name: "first", comparisonsFolder };

defineLoss("darkening", ({ F }) => tf.mean(F) as tf.Scalar);
const variants = { usual: {}, dark: { losses: { darkening: 1 } } };

test("variants of one seed see the same data, noise, times and starting weights; finished runs are not run again", async () => {
  const found = await compare(variants, options);
  assert.deepEqual(found.results.map(({ variant, seed, status }) => [variant, seed, status]), [["usual", 0, "done"], ["dark", 0, "done"], ["usual", 1, "done"], ["dark", 1, "done"]]);
  // |t R| of the first step depends on data, noise, times and starting weights, and not on the loss.
  const first = (variant: string, seed: number): unknown => readMetrics(join(found.folder, "runs", found.results.find((one) => one.variant === variant && one.seed === seed)!.key, "metrics.jsonl"))[0].residual;
  assert.equal(first("usual", 0), first("dark", 0));
  assert.equal(first("usual", 1), first("dark", 1));
  assert.notEqual(first("usual", 0), first("usual", 1));
  assert.equal(found.differences.length, 1);
  assert.ok(readFileSync(join(found.folder, "table.md"), "utf8").includes("dark - usual"));
  assert.equal(measured(), 4);

  const again = await compare(variants, options);
  assert.equal(measured(), 4, "nothing was trained or measured again");
  assert.deepEqual(again.results, found.results);
  await compare(variants, { ...options, samples: 6 });
  assert.equal(measured(), 8, "another sample count measures anew");
  assert.equal(readMetrics(join(found.folder, "runs", found.results[0].key, "metrics.jsonl")).length, 3, "and trains nothing");
});

test("a training that another comparison has finished is not run again, and measured anew where it was measured by the caller's own means", async () => {
  const given = { ...options, comparisonsFolder: join(comparisonsFolder, "shared") };
  const first = await compare(variants, { ...given, name: "one" });
  const before = measured();
  const second = await compare(variants, { ...given, name: "two" });
  assert.equal(measured(), before + 4);
  assert.ok(!existsSync(join(second.folder, "runs")), "nothing was trained");
  assert.deepEqual(second.results.map(({ metrics: found, curve, model, shareable }) => [found, curve, model, shareable]), first.results.map(({ metrics: found, curve, model }) => [found, curve, model, false]));
  // The same names and configuration on other data: the key can not tell, the model can.
  const other = { ...resources, train: { ...resources.train, fingerprint: "other data" } };
  const third = await compare(variants, { ...given, name: "three", resources: other });
  assert.equal(readdirSync(join(third.folder, "runs")).length, 4);
  const fourth = await compare(variants, { ...given, name: "four", resources: { ...resources, encoder: { ...resources.encoder, fingerprint: "another" } } });
  assert.equal(readdirSync(join(fourth.folder, "runs")).length, 4);
});

test("only results that hold anywhere are taken over, of as many samples, with a model that is still there", async () => {
  const jobs = planJobs({ a: {}, b: { learningRate: 1e-3 } }, { seeds: [0], budget: { steps: 3, batchSize: 4 } });
  const all = join(comparisonsFolder, "taking");
  const model = join(comparisonsFolder, "there.safetensors");
  writeFileSync(model, "");
  const known: RunResult = { key: jobs[0].key, variant: "named otherwise", seed: 0, samples: 4, status: "done", metrics: { accuracy: 1 }, curve: [], seconds: 1, model, shareable: true };
  for (const [name, change] of Object.entries({ custom: { shareable: false }, older: { shareable: undefined }, count: { samples: 5 }, failed: { status: "failed" as const }, gone: { model: `${model}.gone` } })) {
    const folder = join(all, `not-${name}`);
    await appendResult(join(folder, "results.jsonl"), { ...known, ...change });
    assert.deepEqual(await takeOverResults(jobs, { folder: join(all, "mine"), samples: 4 }), [], name);
  }
  await appendResult(join(all, "theirs", "results.jsonl"), known);
  const taken = await takeOverResults(jobs, { folder: join(all, "mine"), samples: 4 });
  assert.deepEqual(taken, [{ ...known, variant: "a", takenFrom: "theirs" }]);
  assert.deepEqual(readResults(join(all, "mine", "results.jsonl")), taken);
  assert.deepEqual(await takeOverResults(jobs, { folder: join(all, "mine"), samples: 4 }), [], "once");
});

test("a variant that fails does not end the others, and is tried again", async () => {
  let broken = true;
  const fragile = ({ F }: { F: tf.Tensor4D }): tf.Scalar => {
    if (broken) throw new Error("broken on purpose");
    return tf.mean(tf.square(F)) as tf.Scalar;
  };
  defineLoss("fragile", fragile);
  const found = await compare({ fragile: { losses: { fragile: 1 } }, usual: {} }, { ...options, name: "failing", seeds: 1 });
  assert.deepEqual(found.results.map(({ status }) => status), ["failed", "done"]);
  assert.match(found.results[0].error!, /loss "fragile" failed: broken on purpose/);
  assert.match(readFileSync(join(found.folder, "table.md"), "utf8"), /fragile, seed 0: loss "fragile" failed/);
  broken = false;
  const mended = await compare({ fragile: { losses: { fragile: 1 } }, usual: {} }, { ...options, name: "failing", seeds: 1 });
  assert.deepEqual(mended.results.map(({ status }) => status), ["done", "done"]);
});

test("an abort keeps what is finished, and the next call goes on from the checkpoint to the same end", async () => {
  const controller = new AbortController();
  const slow = { ...options, name: "aborted", seeds: 1, budget: { steps: 5, batchSize: 4 } };
  const progress: number[] = [];
  await assert.rejects(
    compare(variants, { ...slow, signal: controller.signal, onProgress: ({ done }) => {
      progress.push(done);
      // The first variant is whole; the second has done two of its five steps.
      if (done >= 25 + 2) controller.abort(new Error("enough"));
    } }),
    /enough/,
  );
  const file = join(comparisonFolder("aborted", comparisonsFolder), "results.jsonl");
  assert.deepEqual(readResults(file).map(({ variant }) => variant), ["usual"]);
  const found = await compare(variants, slow);
  assert.deepEqual(found.results.map(({ status }) => status), ["done", "done"]);
  const whole = await compare(variants, { ...slow, comparisonsFolder: join(comparisonsFolder, "apart") });
  assert.deepEqual(found.results.map((one) => one.metrics), whole.results.map((one) => one.metrics));
  assert.ok(progress.every((done, index) => index === 0 || done >= progress[index - 1]));
});

test("a comparison leaks no tensor", async () => {
  const before = tf.memory().numTensors;
  await compare(variants, { ...options, comparisonsFolder: join(comparisonsFolder, "leak") });
  assert.equal(tf.memory().numTensors, before);
});

test("faults of all variants are listed before anything runs", async () => {
  await assert.rejects(compare({ a: { learningRat: 1 } as object, b: { losses: { pixl: 1 } }, c: { steps: 4 } }, { ...options, name: "faulty" }), (error: Error) => {
    assert.match(error.message, /a: .*no option "learningRat"; did you mean learningRate/);
    assert.match(error.message, /b: there is no loss "pixl". There are: pixel/);
    assert.match(error.message, /c: steps is the same for all variants; give it as budget\.steps/);
    return true;
  });
  assert.ok(!existsSync(comparisonFolder("faulty", comparisonsFolder)));
  assert.throws(() => planJobs({ a: {} }, { seeds: [1, 1], budget: { steps: 1, batchSize: 1 } }), /different seeds/);
  assert.throws(() => comparisonFolder("../up"), /can not name a comparison/);
});

test("a key changes with the configuration and with what a loss computes, not with names and checkpoints", () => {
  const keyOf = (variant: object): string => planJobs({ one: variant }, { seeds: [0], budget: { steps: 3, batchSize: 4 } })[0].key;
  assert.equal(keyOf({}), keyOf({ checkpointEvery: 7, losses: { pixel: 1 } }));
  assert.notEqual(keyOf({}), keyOf({ learningRate: 1e-4 }));
  // The same text of the function with another constant closed over is another loss.
  defineLoss("closing", pixelLoss({ distance: "Huber", huberDelta: 0.1 }));
  const first = lossFingerprint("closing");
  defineLoss("closing", pixelLoss({ distance: "Huber", huberDelta: 0.1 }));
  assert.equal(lossFingerprint("closing"), first);
  defineLoss("closing", pixelLoss({ distance: "Huber", huberDelta: 0.2 }));
  assert.notEqual(lossFingerprint("closing"), first);
  const before = tf.memory().numTensors;
  lossFingerprint("perceptual");
  assert.equal(tf.memory().numTensors, before, "a loss that needs a network is told by its text");
});

test("a key changes with the model that is started from, not only with its name", () => {
  const initialModel = join(mkdtempSync(join(comparisonsFolder, "model-")), "model.safetensors");
  const keyOf = (content: string): string => {
    writeFileSync(initialModel, content);
    return planJobs({ one: { initialModel } }, { seeds: [0], budget: { steps: 3, batchSize: 4 } })[0].key;
  };
  const first = keyOf("weights");
  assert.notEqual(keyOf("others"), first);
  assert.equal(keyOf("weights"), first);
});

test("the code's version changes with any model source, and not with what only compares", () => {
  const folder = mkdtempSync(join(comparisonsFolder, "code-"));
  const write = (file: string, text: string): void => {
    const { mkdirSync, writeFileSync }: typeof import("node:fs") = require("node:fs");
    mkdirSync(join(folder, file, ".."), { recursive: true });
    writeFileSync(join(folder, file), text);
  };
  write("losses/pixel.js", "1");
  write("comparison/report.js", "1");
  const first = codeVersion(folder);
  write("comparison/report.js", "2");
  assert.equal(codeVersion(folder), first);
  write("losses/pixel.js", "2");
  assert.notEqual(codeVersion(folder), first);
});

