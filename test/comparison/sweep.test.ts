import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { expandSweep, planJobs, readResults, runSweep, type RunResult } from "../../src/model/comparison";
import { roomForProcesses } from "../../src/model/comparison/parallel";
import { defineSweepLosses } from "../../src/model/comparison/sweep-plan";
import { projectRoot } from "../../src/model/files";

const comparisonsFolder = mkdtempSync(join(tmpdir(), "crossflow-sweeps-"));
after(() => rmSync(comparisonsFolder, { recursive: true, force: true }));
const file = { name: "small", seeds: 2, budgets: [{ steps: 3, batchSize: 4 }] };

describe("expandSweep", () => {
  it("makes every combination of a grid, and draws a random search by its seed within its bounds", () => {
    const grid = expandSweep({ ...file, grid: { optimizer: ["muon", "adamw"], learningRate: [1e-3, 2e-3, 4e-3] } });
    assert.equal(Object.keys(grid.variants).length, 6);
    assert.deepEqual(grid.variants["optimizer=adamw learningRate=0.004"], { optimizer: "adamw", learningRate: 4e-3 });
    const random = { count: 20, seed: 3, options: { learningRate: { low: 1e-4, high: 1e-2, scale: "log" as const }, optimizer: ["muon", "adamw"], warmupSteps: { low: 0, high: 9, whole: true } } };
    const { variants } = expandSweep({ ...file, random });
    assert.deepEqual(expandSweep({ ...file, random }).variants, variants);
    const rates = Object.values(variants).map(({ learningRate }) => learningRate!);
    assert.ok(rates.every((rate) => rate >= 1e-4 && rate <= 1e-2));
    assert.ok(rates.filter((rate) => rate < 1e-3).length >= 4, "half of a logarithmic scale lies below its middle");
    assert.ok(Object.values(variants).every(({ warmupSteps, optimizer }) => Number.isInteger(warmupSteps) && ["muon", "adamw"].includes(optimizer!)));
  });

  it("lists every fault with near names", () => {
    const faulty = { ...file, seed: 3, base: { batchsize: 3 }, grid: { learningRat: [1], optimizer: [] }, pixelLosses: { mine: { distanc: "L1" } }, budgets: [{ steps: 3 }], learningRate: 1 };
    assert.throws(() => expandSweep(faulty), (error: Error) => {
      for (const part of ['no key "seed"; did you mean seeds', 'base: there is no option "batchsize"; did you mean batchSize', 'grid: there is no option "learningRat"; did you mean learningRate', "grid.optimizer must be a list", 'pixelLosses.mine "distanc"; did you mean distance', "a budget needs steps and batchSize", 'no key "learningRate"; options of the configuration stand in base']) assert.ok(error.message.includes(part), `${part}\n${error.message}`);
      return true;
    });
    assert.throws(() => expandSweep({ ...file, variants: { a: {} }, budgets: [{ steps: 3, batchSize: 4, stepCost: { a: 2 } }] }), /no key of a budget "stepCost"; did you mean stepCosts/);
    assert.throws(() => expandSweep({ ...file, variants: { a: {} }, baseline: "b" }), /baseline "b" is none of its variants: a/);
    assert.throws(() => expandSweep(file), /no variants/);
    assert.throws(() => expandSweep([]), /one JSON object/);
  });

  it("gives a variant whose steps cost more fewer of them", () => {
    const { variants, seeds, budgets } = expandSweep({ ...file, seeds: 1, variants: { cheap: {}, dear: { learningRate: 1e-4 } }, budgets: [{ steps: 300, batchSize: 4, stepCosts: { dear: 1.25 } }] });
    assert.deepEqual(planJobs(variants, { seeds, budget: budgets[0] }).map(({ config }) => config.steps), [300, 240]);
    for (const [stepCosts, expected] of [[{ deer: 2 }, /"deer" is none of the variants: cheap, dear/], [{ dear: 0 }, /stepCosts.dear must be a number above 0, not 0/]] as const) assert.throws(() => planJobs(variants, { seeds, budget: { ...budgets[0], stepCosts } }), expected);
  });

  for (const name of readdirSync(join(projectRoot(), "configs", "sweeps")))
    it(`takes the shipped ${name}`, () => {
      const sweep = expandSweep(JSON.parse(readFileSync(join(projectRoot(), "configs", "sweeps", name), "utf8")));
      defineSweepLosses(sweep);
      for (const budget of sweep.budgets) assert.ok(planJobs(sweep.variants, { ...sweep, budget }).length >= 2);
    });
});

describe("runSweep", () => {
  it("keeps what is finished, runs equal trainings once, goes on with the rest, and reports each budget", async () => {
    const sweep = expandSweep({ ...file, variants: { usual: {}, same: { losses: { pixel: 1 } }, slow: { learningRate: 1e-5 } }, budgets: [...file.budgets, { steps: 4, batchSize: 4 }], samples: 4 });
    const ran: string[] = [];
    const run: NonNullable<Parameters<typeof runSweep>[1]>["run"] = async (jobs, { onResult }) => {
      for (const placed of jobs) {
        const { key, variant, seed, config } = placed.job;
        ran.push(`${variant} ${seed} ${config.steps}`);
        const failed = variant === "slow" && seed === 1 && ran.length < 9;
        const result: RunResult = { key, variant, seed, samples: 4, status: failed ? "failed" : "done", ...(failed ? { error: "no luck" } : {}), metrics: failed ? {} : { classAccuracy: seed + config.learningRate }, curve: [], seconds: 1, model: "" };
        await onResult(placed, result);
      }
    };
    const partly = await runSweep(sweep, { comparisonsFolder, run, limit: 3 });
    assert.deepEqual([partly.planned, partly.done], [8, 3]);
    const whole = await runSweep(sweep, { comparisonsFolder, run });
    assert.deepEqual(ran.slice(3), ["slow 1 3", "usual 0 4", "slow 0 4", "usual 1 4", "slow 1 4"]);
    assert.equal(whole.done, 6, "two failed, and the others went on");
    const again = await runSweep(sweep, { comparisonsFolder, run });
    assert.deepEqual(ran.slice(8), ["slow 1 3", "slow 1 4"], "what failed is tried again");
    assert.deepEqual(again.comparisons.map(({ name, results }) => [name, results.length]), [["small-3x4", 6], ["small-4x4", 6]]);
    assert.ok(again.comparisons.every(({ results }) => results.every(({ status }) => status === "done")));
    assert.equal(readResults(join(again.comparisons[0].folder, "results.jsonl")).length, 5);
  });

  it("takes over what another sweep in the same folder has finished, and runs what two budgets share once", async () => {
    const model = join(comparisonsFolder, "model.safetensors");
    writeFileSync(model, "");
    const ran: string[] = [];
    const run: NonNullable<Parameters<typeof runSweep>[1]>["run"] = async (jobs, { onResult }) => {
      for (const placed of jobs) {
        const { key, variant, seed } = placed.job;
        ran.push(`${variant} ${seed}`);
        await onResult(placed, { key, variant, seed, samples: 4, status: "done", metrics: { classAccuracy: seed }, curve: [], seconds: 1, model, shareable: true });
      }
    };
    const folder = join(comparisonsFolder, "taking-over");
    const one = { ...file, name: "one", samples: 4, seeds: 1, variants: { usual: {}, slow: { learningRate: 1e-5 } }, budgets: [{ steps: 4, batchSize: 4 }, { steps: 8, batchSize: 4, stepCosts: { usual: 2 } }] };
    const first = await runSweep(expandSweep(one), { comparisonsFolder: folder, run });
    assert.deepEqual(ran, ["usual 0", "slow 0", "slow 0"], "usual takes four steps in both");
    assert.deepEqual([first.planned, first.done], [4, 4]);
    const heard: (string | undefined)[] = [];
    const second = await runSweep(expandSweep({ ...one, name: "two", variants: { same: {}, fast: { learningRate: 1e-2 } }, budgets: [{ steps: 4, batchSize: 4 }] }), { comparisonsFolder: folder, run, onResult: ({ takenFrom }) => heard.push(takenFrom) });
    assert.deepEqual(ran.slice(3), ["fast 0"]);
    assert.deepEqual([second.done, heard], [2, ["one-4x4", undefined]]);
  });

  it("starts no more processes than cores, memory and trainings have room for", () => {
    const gibibyte = 2 ** 30;
    assert.equal(roomForProcesses(10, 8, 100 * gibibyte), 8);
    assert.equal(roomForProcesses(10, 8, 7 * gibibyte), 2);
    assert.equal(roomForProcesses(2, 8, 100 * gibibyte), 2);
    assert.equal(roomForProcesses(10, 8, gibibyte), 1);
  });
});
