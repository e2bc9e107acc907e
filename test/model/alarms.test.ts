import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { collapseAlarms, describeAlarm, type Alarm, type Diagnostics } from "../../src/model/diagnostics";
import { createRegionSums } from "../../src/model/diagnostics/regions";
import { train } from "../../src/model/trainer";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-alarms-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** The paper's way to draw times, for a latent whose shift is 1. */
const times: Partial<TrainConfig> = { velocity: "conditional", endShare: 0, boundaryShare: 0, minimumTime: 0.01 };

/** Trains the tiny network, and gives the alarms that it raised, each once. */
async function alarmsOf(name: string, config: Partial<TrainConfig>): Promise<Alarm[]> {
  const raised = new Map<string, Alarm>();
  for await (const { diagnostics } of train({ ...base, name, steps: 24, batchSize: 32, diagnosticsEvery: 12, compile: false, ...config }, { runsFolder: folder, resources })) for (const alarm of diagnostics?.alarms ?? []) raised.set(alarm.name, alarm);
  return [...raised.values()];
}

describe("collapse alarms", () => {
  it("L2 of the raw residual with tiny t: small times lead", async () => {
    const alarms = await alarmsOf("tiny-t", { ...times, losses: { "pixel-paper-l2": 1 }, minimumTime: 1e-3 });
    assert.deepEqual(alarms.map(({ name }) => name), ["small times lead"]);
    assert.match(describeAlarm(alarms[0]), /9\d %|100 %.*t < 0\.1.*ignores r and y.*minimumTime/);
  });

  it("the paper's raw weight in a small batch: the one-step region starves", async () => {
    const alarms = await alarmsOf("raw", { ...times, losses: { "pixel-paper": 1 } });
    assert.deepEqual(alarms.map(({ name }) => name), ["one-step region starves"]);
    assert.match(describeAlarm(alarms[0]), /r \/ t\^2.*batch of 32.*losses: \{ pixel: 1 \}/);
  });

  it("an unbounded, fast critic: too strong", async () => {
    const alarms = await alarmsOf("critic", { losses: { pixel: 1, adversarial: 0.5 }, criticLead: 0, criticChannels: 6, criticPenalty: 0, criticLearningRate: 0.01, warmupSteps: 0 });
    assert.deepEqual(alarms.map(({ name }) => name), ["critic too strong"]);
    assert.match(describeAlarm(alarms[0]), /criticLearningRate.*criticPenalty/);
  });

  it("a learning rate hundreds of times too high", async () => {
    const alarms = await alarmsOf("rate", { optimizer: "adamw", learningRate: 0.5, clipNorm: 0 });
    assert.deepEqual(alarms.map(({ name }) => name), ["learning rate too high"]);
    assert.match(describeAlarm(alarms[0]), /learningRate \(0\.5\)/);
  });

  it("nine in ten samples at r = 0 and none at the boundary: images drift, and samples at the boundary cure it", async () => {
    const drift: Partial<TrainConfig> = { steps: 400, diagnosticsEvery: 20, compile: true, warmupSteps: 10, finalRateShare: 1, velocity: "conditional", endShare: 0.9, diagonalShare: 0.1, boundaryShare: 0, noiseShare: 0 };
    const alarms = await alarmsOf("drift", drift);
    assert.deepEqual(alarms.map(({ name }) => name), ["images drift at r = 0"]);
    assert.match(describeAlarm(alarms[0]), /at r = 0 F misses its target by \d\.\d times as much as at r = t.*boundaryShare/);
    assert.deepEqual(await alarmsOf("drift-cured", { ...drift, boundaryShare: 1 }), []);
  });

  it("a residual that grows at r = 0 alone, without large updates: images drift (made-up diagnostics)", () => {
    const diagnostics = (atEnd: number, endOnly = false): Omit<Diagnostics, "alarms"> => {
      const sums = createRegionSums();
      const samples = Array.from({ length: 20 }, (_, index) => (endOnly ? 2 * index : index));
      sums.add(samples.map((index) => (index % 2 === 0 ? 0 : 0.5)), samples.map((index) => (index % 2 === 0 ? 0.9 : 0.5)), { gradient: samples.map(() => 1), residual: samples.map((index) => (index % 2 === 0 ? atEnd : 0.2)), derivative: samples.map(() => 1) });
      return { step: 50, steps: 50, regions: sums.maps(), residual: { start: 0.5, mean: (atEnd + 0.2) / 2 }, gradientNorm: 1, updateToWeight: { blocks: 0.01 }, sensitivity: { class: 1, noise: 1, r: 1 }, diagonal: { t: [0.1], psnr: [20] }, derivativeError: 0.001 };
    };
    assert.deepEqual(collapseAlarms([diagnostics(0.2), diagnostics(2)], resolveConfig({})).map(({ name }) => name), ["images drift at r = 0"]);
    assert.deepEqual(collapseAlarms([diagnostics(0.2), diagnostics(0.3)], resolveConfig({})), []);
    assert.deepEqual(collapseAlarms([diagnostics(0.002, true), diagnostics(0.02, true)], resolveConfig({})), [], "with every sample at r = 0 there is nothing to compare with");
  });

  it("healthy trainings raise none", async () => {
    assert.deepEqual(await alarmsOf("healthy", {}), []);
    assert.deepEqual(await alarmsOf("healthy-paper-times", times), []);
    assert.deepEqual(await alarmsOf("healthy-critic", { losses: { pixel: 1, adversarial: 0.5 }, criticLead: 0, criticChannels: 6 }), []);
  });
});
