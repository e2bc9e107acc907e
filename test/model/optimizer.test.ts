import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { adamW, clipByGlobalNorm, learningRateAt, muon, updateEma, type AdamWOptions, type MuonOptions, type ScheduleOptions } from "../../src/model/optimizer";
import { assertMatches, readGolden, unpack, unpackAll, type Packed } from "./golden";

interface Descent<Options> {
  options: Options;
  start: Packed;
  rates: number[];
  gradients: Packed[];
  /** The parameter after each step. */
  weights: Packed[];
}

const golden = readGolden<{
  adamw: Descent<Partial<AdamWOptions>>[];
  muon: Descent<Partial<MuonOptions>>[];
  clipping: { limit: number; before: Record<string, Packed>; norm: number; after: Record<string, Packed> }[];
  average: { decay: number; start: Packed; weights: Packed[]; average: Packed }[];
  schedule: (ScheduleOptions & { rates: number[] })[];
}>("optimizers");

const TOLERANCE = 1e-5; // of the largest number: float32 against double precision
const zeros = (shape: number[]): tf.Variable => tf.variable(tf.zeros(shape));

describe("optimisers, against PyTorch", () => {
  golden.adamw.forEach(({ options, start, rates, gradients, weights }) =>
    it(`AdamW steps as torch.optim.AdamW does (${JSON.stringify(options)})`, () => {
      const [variable, first, second] = [tf.variable(unpack(start)), zeros(start.shape), zeros(start.shape)];
      gradients.forEach((gradient, step) => {
        adamW(variable, unpack(gradient), first, second, tf.scalar(rates[step]), tf.scalar(step + 1), options);
        assertMatches(variable, weights[step], TOLERANCE, `step ${step + 1}`);
      });
    }),
  );

  golden.muon.forEach(({ options, start, rates, gradients, weights }) =>
    it(`Muon steps as torch.optim.Muon does, for a matrix [${start.shape}] (${JSON.stringify(options)})`, () => {
      const [variable, velocity] = [tf.variable(unpack(start)), zeros(start.shape)];
      gradients.forEach((gradient, step) => {
        muon(variable, unpack(gradient), velocity, tf.scalar(rates[step]), options);
        assertMatches(variable, weights[step], TOLERANCE, `step ${step + 1}`);
      });
    }),
  );

  golden.clipping.forEach(({ limit, before, norm, after }) =>
    it(`gradients of norm ${norm.toPrecision(3)} are clipped to ${limit} as clip_grad_norm_ does`, () => {
      const clipped = clipByGlobalNorm(unpackAll(before), limit);
      assert.ok(Math.abs(clipped.norm.dataSync()[0] - norm) < 1e-5 * norm);
      for (const [name, gradient] of Object.entries(clipped.gradients)) assertMatches(gradient, after[name], TOLERANCE, name);
    }),
  );

  golden.average.forEach(({ decay, start, weights, average }) =>
    it("averages move as swa_utils' do", () => {
      const moved = { weight: tf.variable(unpack(start)) };
      for (const weight of weights) updateEma(moved, { weight: unpack(weight) }, tf.scalar(decay));
      assertMatches(moved.weight, average, TOLERANCE, "average");
    }),
  );

  golden.schedule.forEach(({ rates, ...options }) =>
    it(`the rate rises for ${options.warmupSteps} steps and falls as LinearLR and CosineAnnealingLR do`, () => {
      rates.forEach((rate, step) => assert.ok(Math.abs(learningRateAt(step, options) - rate) < 1e-12, `step ${step}: ${learningRateAt(step, options)}, not ${rate}`));
    }),
  );
});
