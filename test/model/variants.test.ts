import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { tf } from "../../src/model/engine/tf";
import { defineLoss, evaluateLoss, LossError, ofClasses, type CriticScore, type Loss, type Terms } from "../../src/model/losses";
import { adaptivelyWeighted } from "../../src/model/losses/adaptive-weight";
import { adversarialLoss, criticLoss } from "../../src/model/losses/adversarial";
import { DISTANCES } from "../../src/model/losses/distances";
import { GATES } from "../../src/model/losses/gates";
import { perceptualLoss } from "../../src/model/losses/perceptual";
import { pixelLoss } from "../../src/model/losses/pixel";
import { REGION_WEIGHTS } from "../../src/model/losses/region-weights";
import { randomStream } from "../../src/model/random";
import { runPaths } from "../../src/model/run";
import { defineRamp, defineTimeSampler, drawTimes, lossShareAt, rampNamed } from "../../src/model/schedules";
import { train, type StepEvent } from "../../src/model/trainer";
import { sampleTimes } from "../../src/model/trajectory";
import { base, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-variants-"));
after(() => rmSync(folder, { recursive: true, force: true }));

async function run(config: Partial<TrainConfig>, options: { existing?: "resume"; leaveAfter?: number; onProgress?: (event: { label: string; done: number }) => void } = {}): Promise<StepEvent[]> {
  const events: StepEvent[] = [];
  for await (const event of train({ ...base, ...config }, { runsFolder: folder, resources, existing: options.existing, onProgress: options.onProgress })) {
    events.push(event);
    if (event.step === options.leaveAfter) break;
  }
  return events;
}

const near = (actual: number, expected: number, tolerance = 1e-5): void => assert.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);
const values = (tensor: tf.Tensor): number[] => Array.from(tensor.dataSync());
const draw = (name: string, shape: [number, number, number, number]): tf.Tensor4D => tf.tensor(randomStream(9, name).normal(shape.reduce((product, size) => product * size, 1)), shape);
const softplus = (x: number): number => Math.log1p(Math.exp(x));

describe("terms of losses", () => {
  it("distances have the derivatives of their definitions", () => {
    const x = [-2, -0.1, -0.02, 0.05, 0.3, 1];
    const delta = 0.1;
    const derivatives: Record<keyof typeof DISTANCES, (value: number) => number> = {
      L1: Math.sign,
      L2: (value) => 2 * value,
      Huber: (value) => Math.max(-delta, Math.min(delta, value)),
      "pseudo-Huber": (value) => value / Math.sqrt(1 + (value / delta) ** 2),
    };
    for (const [name, distance] of Object.entries(DISTANCES)) {
      const gradient = values(tf.grad((input) => tf.sum(distance(input, delta)))(tf.tensor1d(x)));
      x.forEach((value, index) => near(gradient[index], derivatives[name as keyof typeof DISTANCES](value)));
      assert.deepEqual(values(distance(tf.tensor1d([0]), delta)), [0], name);
    }
  });

  it("region weights and gates follow their formulas, at r = 0 too", () => {
    const [r, t] = [tf.tensor1d([0, 0, 0.2, 0.5, 0.05]), tf.tensor1d([1, 0.4, 0.2, 0.6, 0.9])];
    values(REGION_WEIGHTS["t^2/r"](r, t)).forEach((weight, index) => near(weight, [10, 10, 0.2, 0.72, 10][index]));
    assert.deepEqual(values(REGION_WEIGHTS.none(r, t)), [1, 1, 1, 1, 1]);
    const counted = (gate: keyof typeof GATES, limit = 1): number[] => values(GATES[gate](r, t, limit));
    assert.deepEqual(counted("bounded correction"), [0, 0, 1, 1, 0]);
    assert.deepEqual(counted("diagonal"), [0, 0, 1, 0, 0]);
    assert.deepEqual(counted("end"), [1, 1, 0, 0, 0]);
    assert.deepEqual(counted("near the end", 0.5), [0, 1, 0, 0, 0]);
    assert.deepEqual(counted("every pair"), [1, 1, 1, 1, 1]);
  });

  it("the adaptive weight scales each sample's gradient by 1 / (loss + c)^p, and is itself a constant", () => {
    const losses = [0.25, 1, 4];
    const gradient = values(tf.grad((loss) => tf.sum(adaptivelyWeighted(loss as tf.Tensor1D, 0.75, 0.5)))(tf.tensor1d(losses)));
    losses.forEach((loss, index) => near(gradient[index], 1 / (loss + 0.5) ** 0.75));
  });

  it("a gated pixel loss gives the other pairs no gradient", () => {
    const [F, residual] = [draw("F", [3, 2, 2, 3]), draw("R", [3, 2, 2, 3])];
    const terms = { r: tf.tensor1d([0, 0.3, 0.5]), t: tf.tensor1d([0.5, 0.6, 0.5]), residual };
    const gradient = tf.grad((prediction) => pixelLoss({ gate: "diagonal" })({ ...terms, F: prediction } as unknown as Terms))(F);
    const norms = values(tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])));
    assert.deepEqual(norms.map((norm) => norm > 0), [false, false, true]);
  });

  it("the perceptual loss on one-step samples counts r = 0 with t small, from the front of the batch", () => {
    const [F, x0] = [draw("F", [4, 4, 4, 3]), draw("x0", [4, 4, 4, 3])];
    const terms = { x0, r: tf.tensor1d([0, 0, 0.2, 0.2]), t: tf.tensor1d([1, 0.3, 0.2, 0.9]), correctionLimit: 1, features: (input: tf.Tensor4D) => [tf.square(input)] };
    const gradient = tf.grad((images) => perceptualLoss({ on: "F", gate: "near the end", gateLimit: 0.5, samples: 3 })({ ...terms, F: images } as unknown as Terms))(F);
    assert.deepEqual(values(tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3]))).map((norm) => norm > 0), [false, true, false, false]);
  });
});

describe("adversarial variants", () => {
  const direction = draw("direction", [1, 4, 4, 3]);
  const linear: CriticScore = (x) => {
    const whole = tf.sum(tf.mul(x, direction), [1, 2, 3]).reshape([-1, 1]) as tf.Tensor2D;
    return { whole, patches: tf.mul(whole, 0.5) };
  };
  const [real, fake] = [draw("real", [3, 4, 4, 3]), draw("fake", [3, 4, 4, 3])];
  const y = tf.tensor1d([0, 1, 1], "int32");
  const [onReal, onFake] = [values(linear(real, y).whole), values(linear(fake, y).whole)];
  /** Sum over both scores of the mean over the images counted. */
  const both = (each: (index: number, factor: number) => number, counted = [0, 1, 2]): number => [1, 0.5].reduce((sum, factor) => sum + counted.reduce((total, index) => total + each(index, factor), 0) / counted.length, 0);

  it("the non-saturating losses are those of Goodfellow et al.", () => {
    const terms = { F: fake, critic: linear, samples: { images: fake, real, y } } as unknown as Terms;
    near(values(adversarialLoss("non-saturating")(terms))[0], both((index, factor) => softplus(-factor * onFake[index])), 1e-4);
    near(values(criticLoss("non-saturating", linear, real, fake, y))[0], both((index, factor) => softplus(-factor * onReal[index]) + softplus(factor * onFake[index])), 1e-4);
  });

  it("on x_hat only pairs with a bounded correction count, for the network and for the critic", () => {
    const [r, t] = [tf.tensor1d([0, 0.4, 0.05]), tf.tensor1d([0.5, 0.6, 0.9])];
    const terms = (xHat: tf.Tensor4D): Terms => ({ F: fake, xHat, x0: real, r, t, y, correctionLimit: 1, critic: linear }) as unknown as Terms;
    for (const kind of ["hinge", "relativistic", "non-saturating"] as const) {
      const { value, grad } = tf.valueAndGrad((images) => adversarialLoss(kind, "xHat")(terms(images as tf.Tensor4D)))(fake);
      const expected = { hinge: (index: number, factor: number) => -factor * onFake[index], relativistic: (index: number, factor: number) => softplus(factor * (onReal[index] - onFake[index])), "non-saturating": (index: number, factor: number) => softplus(-factor * onFake[index]) };
      near(values(value)[0], both(expected[kind], [1]), 1e-4);
      assert.deepEqual(values(tf.sqrt(tf.sum(tf.square(grad), [1, 2, 3]))).map((norm) => norm > 0), [false, true, false], kind);
    }
    near(values(criticLoss("hinge", linear, real, fake, y, tf.tensor1d([0, 1, 0])))[0], both((index, factor) => Math.max(0, 1 - factor * onReal[index]) + Math.max(0, 1 + factor * onFake[index]), [1]), 1e-4);
  });

  it("every variant trains, and R1 and R2 add up to the penalty on both", async () => {
    const critic: Partial<TrainConfig> = { steps: 1, criticLead: 0, criticChannels: 3, adversarialRamp: 0, compile: false };
    for (const name of ["adversarial-non-saturating", "adversarial-x-hat", "adversarial-hinge-x-hat", "adversarial-non-saturating-x-hat"]) {
      const [event] = await run({ ...critic, name, losses: { pixel: 1, [name]: 0.5 }, accumulation: 2 });
      assert.ok(Number.isFinite(event.losses[name]) && event.losses.critic > 0, name);
    }
    const penalties: Partial<TrainConfig>[] = [{ criticPenaltyOn: "both" }, { criticPenaltyOn: "real" }, { criticPenaltyOn: "samples" }, { criticPenalty: 0 }];
    const [together, r1, r2, none] = await Promise.all(penalties.map(async (penalty, index) => (await run({ ...critic, ...penalty, name: `penalty-${index}`, losses: { pixel: 1, adversarial: 1 } }))[0].losses.critic));
    near(together - none, r1 - none + (r2 - none), 1e-4);
    assert.ok(r1 > none && r2 > none);
    await assert.rejects(run({ name: "two-critics", losses: { pixel: 1, adversarial: 1, "adversarial-hinge": 1 } }), /one critic.*adversarial and adversarial-hinge/);
  });
});

describe("schedules", () => {
  it("samplers draw from their distributions", () => {
    const count = 20_000;
    const options = { timeMean: -0.4, timeSpread: 1.5 };
    const logits = drawTimes("logit-normal", randomStream(3, "times"), count, options).map((time) => Math.log(time / (1 - time)));
    const mean = logits.reduce((sum, logit) => sum + logit, 0) / count;
    near(mean, -0.4, 0.05);
    near(Math.sqrt(logits.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / count), 1.5, 0.03);
    assert.deepEqual(drawTimes("uniform", randomStream(3, "times"), 5, options), randomStream(3, "times").uniform(5));
  });

  it("a sampler of one's own feeds the pairs; its faults are named", () => {
    const times = { minimumTime: 0.02, diagonalShare: 0, endShare: 0, boundaryShare: 0, noiseShare: 0, timeShift: 1 };
    defineTimeSampler("halves", (stream, count) => stream.uniform(count).map((u) => 0.5 + u / 2));
    assert.ok(sampleTimes(randomStream(0, "times"), 50, { ...times, timeSampler: "halves" }).r.every((r) => r >= 0.5));
    defineTimeSampler("outside", (_, count) => new Float32Array(count).fill(1.5));
    assert.throws(() => sampleTimes(randomStream(0, "times"), 4, { ...times, timeSampler: "outside" }), /time sampler "outside" drew 1\.5: times lie between 0 and 1/);
    defineTimeSampler("short", () => new Float32Array(1));
    assert.throws(() => sampleTimes(randomStream(0, "times"), 4, { ...times, timeSampler: "short" }), /"short" must return a Float32Array of 4 times, not 1/);
  });

  it("ramps have their closed forms, from the staged start on", () => {
    const shares = (ramp: string): number[] => [9, 10, 11, 13, 20].map((step) => lossShareAt(step, { start: 10, rampSteps: 4, ramp }));
    assert.deepEqual(shares("linear"), [0, 0.25, 0.5, 1, 1]);
    [0, (1 - Math.SQRT1_2) / 2, 0.5, 1, 1].forEach((share, index) => near(shares("cosine")[index], share));
    [0, Math.exp(-5 * 0.75 ** 2), Math.exp(-5 / 4), 1, 1].forEach((share, index) => near(shares("warm-up")[index], share));
    assert.deepEqual(shares("fade"), [0, 0.75, 0.5, 0, 0]);
    assert.equal(lossShareAt(3, { start: 3, rampSteps: 0, ramp: "linear" }), 1);
    assert.throws(() => rampNamed("cosin"), /Unknown ramp "cosin". Did you mean cosine\?/);
  });

  it("a ramp weighs the loss without another program, and resumes bit for bit", async () => {
    defineRamp("stairs", (progress) => Math.floor(progress * 2) / 2);
    const config: Partial<TrainConfig> = { losses: { pixel: 1, "pixel-huber": 2 }, lossRampSteps: { "pixel-huber": 4 }, lossRamp: { "pixel-huber": "stairs" }, timeSampler: "logit-normal" };
    let compiled = 0;
    const whole = await run({ ...config, name: "ramp" }, { onProgress: ({ label, done }) => void (compiled += Number(label.includes("compiling") && done === 1)) });
    assert.ok(compiled <= 1, `${compiled} programs`);
    whole.forEach(({ losses, total }, index) => near(total, losses.pixel + 2 * [0, 0.5, 0.5, 1, 1, 1][index] * losses["pixel-huber"]));
    const parts = [...(await run({ ...config, name: "ramp-parts" }, { leaveAfter: 2 })), ...(await run({ ...config, name: "ramp-parts" }, { existing: "resume" }))];
    assert.deepEqual(parts.map(({ total, gradientNorm }) => [total, gradientNorm]), whole.map(({ total, gradientNorm }) => [total, gradientNorm]));
    const tensors = (name: string): Buffer => readFileSync(join(latestCheckpoint(runPaths(name, folder).checkpoints)!, "tensors.safetensors"));
    assert.ok(tensors("ramp").equals(tensors("ramp-parts")));
  });
});

describe("losses of some classes", () => {
  it("have the value of the whole, and pull at the images of these classes alone, as hard as without", () => {
    const [F, x0, y] = [draw("F", [4, 2, 2, 3]), draw("x0", [4, 2, 2, 3]), tf.tensor1d([0, 2, 1, 2], "int32")];
    // One function of each of the images that a loss may look at.
    const looks: Record<string, (terms: Terms) => tf.Scalar> = {
      F: ({ F: images }) => tf.mean(tf.square(tf.sub(images, x0))),
      residual: ({ residual }) => tf.mean(tf.square(residual)),
      xHat: ({ xHat }) => tf.mean(tf.square(xHat)),
      samples: ({ samples }) => tf.mean(tf.square(samples.images)),
    };
    for (const [name, loss] of Object.entries(looks)) {
      const at = (images: tf.Tensor4D): Terms => ({ F: images, residual: tf.sub(images, x0), xHat: tf.add(images, x0), y, samples: { images: tf.slice(images, 0, 3), real: x0, y: tf.slice(y, 0, 3) } }) as unknown as Terms;
      const whole = tf.valueAndGrad((images: tf.Tensor) => loss(at(images as tf.Tensor4D)))(F);
      const part = tf.valueAndGrad((images: tf.Tensor) => loss(ofClasses(at(images as tf.Tensor4D), [2, 0])))(F);
      assert.deepEqual(values(part.value), values(whole.value), name);
      const [pulled, wanted] = [values(part.grad), values(whole.grad)];
      pulled.forEach((pull, index) => near(pull, Math.floor(index / 12) === 2 ? 0 : wanted[index], 1e-7));
      assert.ok(wanted.some((pull, index) => Math.floor(index / 12) === 2 && pull !== 0), `${name}: the class left out is pulled without the option`);
    }
  });

  it("train compiled as step by step, leave no tensor, and refuse classes and losses that there are not", async () => {
    const config: Partial<TrainConfig> = { losses: { pixel: 1, "pixel-edges": 1 }, lossClasses: { "pixel-edges": ["second"] }, steps: 3 };
    const before = tf.memory().numTensors;
    const [compiled, eager, whole] = [await run({ ...config, name: "of-second" }), await run({ ...config, name: "of-second-eager", compile: false }), await run({ ...config, name: "of-all", lossClasses: {} })];
    compiled.forEach(({ total, gradientNorm }, step) => [near(total, eager[step].total, 1e-4), near(gradientNorm, eager[step].gradientNorm, 1e-3)]);
    near(compiled[0].total, whole[0].total);
    assert.ok(Math.abs(compiled[0].gradientNorm - whole[0].gradientNorm) > 1e-3 * whole[0].gradientNorm);
    await assert.rejects(run({ ...config, name: "no-class", lossClasses: { pixel: ["first", "third"] } }), /lossClasses of "pixel" names "third", and the classes of noise are first, second/);
    await assert.rejects(run({ ...config, name: "no-loss", lossClasses: { pixle: ["first"] } }), /there is no loss "pixle"/);
    assert.throws(() => resolveConfig({ lossClasses: { pixel: [] } }), /lossClasses must be lists of class names, none of them empty, by loss name, not {"pixel":\[\]}/);
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("faults", () => {
  it("an unknown name is an error with near ones, before anything is trained", async () => {
    assert.throws(() => resolveConfig({ timeSampler: "logit-norm", lossRamp: { pixel: "cosin" }, preset: "tinny" }), (error: Error) => [/timeSampler must be one of .*did you mean logit-normal/, /lossRamp must be a ramp .*did you mean cosine/, /preset must be .*did you mean tiny/].every((pattern) => pattern.test(error.message)));
    await assert.rejects(run({ name: "misspelt", losses: { pixle: 1 } }), /there is no loss "pixle". There are: pixel,/);
    await assert.rejects(run({ name: "misspelt", lossStart: { adversarail: 3 } }), /there is no loss "adversarail". There are: adversarial,/);
  });

  it("a wrong shape, a failure inside and a value that is not finite name the loss and the step; nothing broken is saved", async () => {
    const faulty: [string, Loss, RegExp][] = [
      ["vector", ({ F }) => tf.mean(F, [1, 2, 3]) as unknown as tf.Scalar, /loss "vector" must return a scalar tensor, not shape \[8\].*\(step 1\)/],
      ["misshapen", ({ F, zT }) => tf.mean(tf.sub(F, zT)) as tf.Scalar, /^loss "misshapen" failed: .*[Ss]hapes.* \(step 1\)$/],
      ["no-critic", ({ critic, F, y }) => tf.mean(critic(F, y).whole) as tf.Scalar, /loss "no-critic" failed: this training has no critic: .*begins with "adversarial".*\(step 1\)/],
    ];
    for (const [name, loss, message] of faulty) {
      defineLoss(name, loss);
      for (const compile of [true, false]) await assert.rejects(run({ name, losses: { pixel: 1, [name]: 1 }, compile }), (error: Error) => error instanceof LossError && message.test(error.message));
    }
    defineLoss("negative-root", ({ F }) => tf.mean(tf.sqrt(tf.sub(-1, tf.square(F)))) as tf.Scalar);
    await assert.rejects(run({ name: "not-finite", losses: { pixel: 1, "negative-root": 1 }, lossStart: { "negative-root": 3 }, checkpointEvery: 2 }), /loss "negative-root" became NaN in step 4: .*Nothing of this step is saved/);
    assert.match(latestCheckpoint(runPaths("not-finite", folder).checkpoints)!, /step-00000002$/);
    // |x|^0.5 has a finite value and no finite derivative at 0.
    defineLoss("steep", ({ F }) => tf.mean(tf.sqrt(tf.abs(tf.mul(F, 0)))) as tf.Scalar);
    await assert.rejects(run({ name: "steep", losses: { steep: 1 } }), /the gradient of "steep" became NaN in step 1/);
    assert.throws(() => evaluateLoss("vector", { F: draw("F", [2, 2, 2, 3]) } as unknown as Terms), LossError);
  });
});
