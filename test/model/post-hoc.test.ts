import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { TrainConfig } from "../../src/model/config";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { tf } from "../../src/model/engine/tf";
import { disposeModel, loadModel, saveModel } from "../../src/model/model";
import { postHocCoefficients, powerDecayAt, powerOfSpread, SNAPSHOT_SPREADS, updateEma, type PowerProfile } from "../../src/model/optimizer";
import { randomStream } from "../../src/model/random";
import { runPaths } from "../../src/model/run";
import { readSafetensors, writeSafetensors } from "../../src/model/safetensors";
import { postHocModel, snapshotSteps } from "../../src/model/snapshots";
import { train, type TrainOptions } from "../../src/model/trainer";
import { readGolden } from "./golden";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-post-hoc-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const golden = readGolden<{ gammas: Record<string, number>; cases: { stored: PowerProfile[]; wanted: PowerProfile; coefficients: number[]; profileError: number }[] }>("post_hoc");

/** The average of all weights by its definition: each step's count by the integral of the profile over that step. */
function exactAverage(weights: readonly ArrayLike<number>[], spread: number): Float64Array {
  const [power, last] = [powerOfSpread(spread) + 1, weights.length];
  const sum = new Float64Array(weights[0].length);
  weights.forEach((values, index) => {
    const share = ((index + 1) ** power - index ** power) / last ** power;
    for (let at = 0; at < sum.length; at++) sum[at] += share * values[at];
  });
  return sum;
}

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const distance = (one: ArrayLike<number>, other: ArrayLike<number>): number => largest(Array.from(one, (value, index) => value - other[index]));
const profilesAt = (steps: readonly number[]): PowerProfile[] => steps.flatMap((step) => SNAPSHOT_SPREADS.map((spread) => ({ step, spread })));

describe("postHocCoefficients", () => {
  golden.cases.forEach(({ stored, wanted, coefficients, profileError }) =>
    it(`finds NumPy's factors of ${stored.length} averages for a spread of ${wanted.spread} at step ${wanted.step}`, () => {
      const found = postHocCoefficients(stored, wanted);
      assert.ok(distance(found.coefficients, coefficients) < 1e-6 * largest(coefficients), `${found.coefficients} are not ${coefficients}`);
      assert.ok(Math.abs(found.profileError - profileError) < 1e-6, `${found.profileError} is not ${profileError}`);
    }),
  );

  it("takes the power of a spread as SciPy finds it", () => {
    for (const [spread, gamma] of Object.entries(golden.gammas)) assert.ok(Math.abs(powerOfSpread(Number(spread)) - gamma) < 1e-9 * gamma);
  });

  it("gives back a stored average, and keeps weights that never changed, however few are stored", () => {
    const { coefficients, profileError } = postHocCoefficients(profilesAt([10, 20, 30]), { step: 30, spread: 0.1 });
    assert.ok(distance(coefficients, [0, 0, 0, 0, 0, 1]) < 1e-9 && profileError < 1e-6);
    for (const spread of [0.02, 0.05, 0.2, 0.28]) {
      const { coefficients: few } = postHocCoefficients(profilesAt([100]), { step: 130, spread });
      assert.ok(Math.abs(few.reduce((sum, value) => sum + value, 0) - 1) < 1e-12);
    }
  });

  it("stays exact where hundreds of averages are stored, whose products are nearly dependent", () => {
    const { coefficients, profileError } = postHocCoefficients(profilesAt(Array.from({ length: 150 }, (_, index) => 1000 * (index + 1))), { step: 150_000, spread: 0.15 });
    assert.ok(profileError < 2e-4 && coefficients.every(Number.isFinite) && largest(coefficients) < 10);
  });

  it("refuses what can not be", () => {
    assert.throws(() => postHocCoefficients([], { step: 1, spread: 0.1 }), /at least one stored average/);
    assert.throws(() => postHocCoefficients(profilesAt([10]), { step: 9, spread: 0.1 }), /up to step 9 can not be made of one that ends in step 10/);
    assert.throws(() => postHocCoefficients(profilesAt([10]), { step: 10, spread: 0.3 }), /relative spread lies above 0 and is at most 0.2887, not 0.3/);
  });

  it("makes of the stored averages of a made-up way of the weights the exact average of all of them", () => {
    const [steps, size] = [120, 5];
    const stream = randomStream(3, "made-up weights");
    const way: Float32Array[] = [];
    for (let step = 0; step < steps; step++) way.push(Float32Array.from(stream.normal(size), (draw, at) => draw + (step === 0 ? 0 : way[step - 1][at])));
    const reach = largest(exactAverage(way, 0.15));
    for (const [every, tolerance] of [[1, 1e-4], [10, 1e-2]]) {
      const averages = SNAPSHOT_SPREADS.map(() => ({ w: tf.variable(tf.zeros([size])) }));
      const [stored, profiles]: [Float32Array[], PowerProfile[]] = [[], []];
      way.forEach((values, step) => {
        tf.tidy(() => averages.forEach((average, index) => updateEma(average, { w: tf.tensor1d(values) }, tf.scalar(powerDecayAt(step, SNAPSHOT_SPREADS[index])))));
        if ((step + 1) % every === 0) averages.forEach(({ w }, index) => stored.push(w.dataSync().slice() as Float32Array) && profiles.push({ step: step + 1, spread: SNAPSHOT_SPREADS[index] }));
      });
      tf.dispose(averages);
      for (const spread of [0.07, 0.12, 0.2]) {
        const { coefficients } = postHocCoefficients(profiles, { step: steps, spread });
        const made = Array.from({ length: size }, (_, at) => stored.reduce((sum, values, index) => sum + coefficients[index] * values[at], 0));
        const off = distance(made, exactAverage(way, spread)) / reach;
        assert.ok(off < tolerance, `snapshots every ${every} steps, spread ${spread}: off by ${off} of the largest weight`);
      }
    }
  });
});

const run = async (config: Partial<TrainConfig>, options: TrainOptions = {}, stopAfter = Infinity): Promise<void> => {
  for await (const { step } of train({ ...base, ...config }, { runsFolder: folder, resources, ...options })) if (step >= stopAfter) break;
};
const snapshotsOf = (name: string): string => runPaths(name, folder).snapshots;

describe("snapshots of a training", () => {
  it("give the exact average of all its weights, in compiled steps, up to any of its steps", async () => {
    const recorded: Record<string, Float32Array>[] = [];
    const onWeights: TrainOptions["onWeights"] = (step, parameters) => {
      if (step > 0) assert.equal(step, recorded.push(Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, tensor.dataSync().slice() as Float32Array]))));
    };
    await run({ name: "recorded", steps: 12, snapshotEvery: 1, snapshotPrecision: "float32" }, { onWeights });
    const checkpoint = await readSafetensors(join(latestCheckpoint(runPaths("recorded", folder).checkpoints)!, "tensors.safetensors"));
    for (const [name, values] of Object.entries(recorded[11])) assert.deepEqual(values, checkpoint.tensors[`parameters/${name}`].data, "what was recorded is what was trained");
    for (const { step, relativeSpread } of [{ step: 12, relativeSpread: 0.15 }, { step: 12, relativeSpread: 0.09 }, { step: 9, relativeSpread: 0.2 }]) {
      const before = tf.memory().numTensors;
      const { model, profileError, snapshots } = await postHocModel(snapshotsOf("recorded"), { relativeSpread, step });
      assert.equal(snapshots, step);
      for (const [name, tensor] of Object.entries(model.parameters)) {
        const way = recorded.slice(0, step).map((weights) => weights[name]);
        const [exact, moved] = [exactAverage(way, relativeSpread), distance(way[step - 1], way[0])];
        // Twelve snapshots leave the profile off by some percent, of which the weights, that move slowly, show far less.
        const off = distance(tensor.dataSync(), exact);
        assert.ok(off < 5e-3 * moved + 1e-7 * largest(exact), `${name}: off by ${off}, moved by ${moved}; profile off by ${profileError}`);
      }
      disposeModel(model);
      assert.equal(tf.memory().numTensors, before);
    }
  });

  for (const average of [{ emaKind: "half-life", emaHalfLife: 3 }, { emaKind: "power", emaRelativeSpread: 0.15 }]) {
    it(`those before an interruption count, with emaKind ${average.emaKind} (bit for bit)`, async () => {
      const [whole, parts] = [`whole-${average.emaKind}`, `parts-${average.emaKind}`];
      const config = { ...average, steps: 7, snapshotEvery: 2 };
      await run({ ...config, name: whole });
      await run({ ...config, name: parts }, {}, 3);
      assert.deepEqual(snapshotSteps(snapshotsOf(parts)), [2]);
      await run({ ...config, name: parts }, { existing: "resume" });
      assert.deepEqual(snapshotSteps(snapshotsOf(parts)), [2, 4, 6, 7]);
      const weights = async (file: string): Promise<unknown> => (await readSafetensors(file)).tensors;
      for (const file of readdirSync(snapshotsOf(whole))) assert.deepEqual(await weights(join(snapshotsOf(parts), file)), await weights(join(snapshotsOf(whole), file)), file);
      assert.deepEqual(await weights(runPaths(parts, folder).modelFile), await weights(runPaths(whole, folder).modelFile));
    });
  }

  it("are dropped where their steps are trained again, and made up for where a training was cut off before its snapshot", async () => {
    const config = { name: "cut", steps: 6, snapshotEvery: 2, compile: false };
    await run(config, {}, 4);
    const { snapshots } = runPaths("cut", folder);
    rmSync(join(snapshots, "step-00000004.safetensors"));
    cpSync(join(snapshots, "step-00000002.safetensors"), join(snapshots, "step-00000005.safetensors"));
    await run(config, { existing: "resume" });
    assert.deepEqual(snapshotSteps(snapshots), [2, 4, 6]);
  });

  it("lie in float16 in half of the bytes, close to those in float32", async () => {
    await run({ name: "half", snapshotEvery: 2, compile: false });
    await run({ name: "full", snapshotEvery: 2, compile: false, snapshotPrecision: "float32" });
    const file = "step-00000006.safetensors";
    const { tensors, metadata } = await readSafetensors(join(snapshotsOf("half"), file));
    const values = Object.values(tensors).reduce((sum, { data }) => sum + data.length, 0);
    assert.ok(Math.abs(statSync(join(snapshotsOf("full"), file)).size - statSync(join(snapshotsOf("half"), file)).size - 2 * values) < 1000);
    assert.equal(metadata.step, "6");
    const [half, full] = await Promise.all(["half", "full"].map((name) => postHocModel(snapshotsOf(name), { relativeSpread: 0.12 })));
    for (const [name, tensor] of Object.entries(half.model.parameters)) {
      const exact = full.model.parameters[name].dataSync();
      assert.ok(distance(tensor.dataSync(), exact) < 2 ** -9 * largest(exact) + 1e-7, name);
    }
    // A model of an average is a model: it is written, read and says what it is.
    await saveModel(join(folder, "average.safetensors"), half.model);
    const read = await loadModel(join(folder, "average.safetensors"));
    assert.deepEqual(read.provenance.average, { kind: "post-hoc", relativeSpread: 0.12, step: 6, snapshots: 3, profileError: half.profileError });
    [half.model, full.model, read].forEach(disposeModel);
  });

  it("errors say what is there and what to do", async () => {
    await run({ name: "without", steps: 2, compile: false });
    await assert.rejects(postHocModel(snapshotsOf("without"), { relativeSpread: 0.1 }), /there are no snapshots in .*: train with snapshotEvery above 0/);
    const { snapshots } = runPaths("half", folder);
    for (const step of [1, 7, 2.5]) await assert.rejects(postHocModel(snapshots, { relativeSpread: 0.1, step }), /are of steps 2 to 6; choose a whole number between them/);
    await assert.rejects(postHocModel(snapshots, { relativeSpread: 0.5 }), /at most 0.2887, not 0.5/);
    await assert.rejects(postHocModel(snapshots, { relativeSpread: 0.1, signal: AbortSignal.abort(new Error("enough")) }), /enough/);
    const broken = join(folder, "broken");
    cpSync(snapshots, broken, { recursive: true });
    const cut = join(broken, "step-00000004.safetensors");
    writeFileSync(cut, readFileSync(cut).subarray(0, 4000));
    const before = tf.memory().numTensors;
    await assert.rejects(postHocModel(broken, { relativeSpread: 0.1 }), /step-00000004.safetensors/);
    await writeSafetensors(cut, {}, { kind: "other" });
    await assert.rejects(postHocModel(broken, { relativeSpread: 0.1 }), /step-00000004.safetensors holds no snapshot \(its kind is "other"\)/);
    assert.equal(tf.memory().numTensors, before);
  });
});
