import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { translate } from "../../src/model/critic";
import { tf } from "../../src/model/engine/tf";
import { criticLoss, gradientPenalty } from "../../src/model/losses/adversarial";
import { balanced } from "../../src/model/losses/balance";
import { perceptualLoss } from "../../src/model/losses/perceptual";
import type { CriticScore, Terms } from "../../src/model/losses";
import { networkConfig, PAPER_SETTINGS, resolveConfig, type TrainConfig } from "../../src/model/config";
import { clipByGlobalNorm, emaDecayAt, LARGEST_SPREAD, learningRateAt, muon, orthogonalize, powerOfSpread, spreadOfPower, updateEma } from "../../src/model/optimizer";
import { randomStream } from "../../src/model/random";
import { summarize } from "../../src/model/summary";

const near = (actual: number, expected: number, tolerance: number, what = "value"): void => assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not ${expected}`);
const values = (tensor: tf.Tensor): number[] => Array.from(tensor.dataSync());
const draw = (name: string, shape: number[]): tf.Tensor => tf.tensor(randomStream(4, name).normal(shape.reduce((product, size) => product * size, 1)), shape);

describe("random streams", () => {
  it("have the moments of their distributions", () => {
    const normal = randomStream(7, "moments").normal(50000);
    const mean = (power: number): number => normal.reduce((sum, value) => sum + value ** power, 0) / normal.length;
    [[1, 0, 0.02], [2, 1, 0.03], [3, 0, 0.08], [4, 3, 0.15]].forEach(([power, expected, tolerance]) => near(mean(power), expected, tolerance, `moment ${power}`));
    assert.deepEqual([...randomStream(7, "order").permutation(50)].sort((first, second) => first - second), Array.from({ length: 50 }, (_, index) => index));
  });

  it("go on from a stored position, and differ by name and seed", () => {
    const stream = randomStream(1, "noise");
    stream.normal(5);
    const state = stream.state();
    const expected = stream.uniform(9);
    stream.restore(state);
    assert.deepEqual(stream.uniform(9), expected);
    assert.notDeepEqual(randomStream(1, "noise").uniform(4), randomStream(1, "times").uniform(4));
    assert.notDeepEqual(randomStream(1, "noise").uniform(4), randomStream(2, "noise").uniform(4));
    assert.throws(() => stream.restore("12"), /32 hexadecimal digits/);
    assert.throws(() => randomStream(-1, "noise"), RangeError);
  });
});

describe("optimisers", () => {
  it("Muon steps along a matrix whose singular values are near 1, scaled by shape", () => {
    for (const shape of [[6, 4], [4, 6], [5, 5]] as [number, number][]) {
      const x = orthogonalize(draw("matrix", shape) as tf.Tensor2D, 10);
      const gram = shape[0] > shape[1] ? tf.matMul(x, x, true, false) : tf.matMul(x, x, false, true);
      const trace = values(tf.sum(tf.mul(gram, tf.eye(gram.shape[0]))))[0] / gram.shape[0];
      assert.ok(trace > 0.45 && trace < 1.6, `mean squared singular value ${trace}`);
      const off = tf.sub(gram, tf.mul(gram, tf.eye(gram.shape[0])));
      assert.ok(values(tf.max(tf.abs(off)))[0] < 0.45, "rows nearly orthogonal");
    }
    const gradient = draw("kernel", [1, 1, 3, 12]);
    const [kernel, velocity] = [tf.variable(tf.zeros([1, 1, 3, 12])), tf.variable(tf.zeros([1, 1, 3, 12]))];
    muon(kernel, gradient, velocity, tf.scalar(0.1), { momentum: 0 });
    const expected = values(tf.mul(-0.1 * 2, orthogonalize(gradient.reshape([3, 12]) as tf.Tensor2D))); // sqrt(12 / 3) = 2
    values(kernel).forEach((value, index) => near(value, expected[index], 1e-5));
  });

  it("schedule, average and clipping have their closed forms", () => {
    const schedule = { warmupSteps: 4, steps: 14, finalShare: 0.1 };
    assert.deepEqual([0, 3].map((step) => learningRateAt(step, schedule)), [0.25, 1]);
    near(learningRateAt(9, schedule), 0.55, 1e-12);
    near(learningRateAt(14, schedule), 0.1, 1e-12);
    const usual = resolveConfig({ emaDecay: 0.9 });
    assert.deepEqual([emaDecayAt(0, usual), emaDecayAt(1000, usual)], [0.1, 0.9]);
    const halved = resolveConfig({ emaKind: "half-life", emaHalfLife: 10, emaRampShare: 0.05 });
    near(Array.from({ length: 10 }, (_, step) => emaDecayAt(300 + step, halved)).reduce((product, decay) => product * decay), 0.5, 1e-12);
    near(emaDecayAt(99, halved), 0.5 ** (1 / 5), 1e-12);
    // The relative spreads of the paper's two averages, and their powers as it prints them.
    near(powerOfSpread(0.05), 16.97, 0.005);
    near(powerOfSpread(0.1), 6.94, 0.005);
    near(spreadOfPower(powerOfSpread(LARGEST_SPREAD)), LARGEST_SPREAD, 1e-9);
    for (const spread of [0, 0.3, NaN]) assert.throws(() => powerOfSpread(spread), /a relative spread lies above 0 and is at most 0.2887, not/);
    // What step k of n counts in the end: the part of the profile tau^gamma between k - 1 and k.
    const [count, gamma] = [40, powerOfSpread(0.2)];
    const power = resolveConfig({ emaKind: "power", emaRelativeSpread: 0.2 });
    for (const step of [1, 7, 40]) {
      const counts = Array.from({ length: count - step }, (_, later) => emaDecayAt(step + later, power)).reduce((product, decay) => product * decay, 1 - emaDecayAt(step - 1, power));
      near(counts, (step / count) ** (gamma + 1) - ((step - 1) / count) ** (gamma + 1), 1e-12);
    }
    const average = { w: tf.variable(tf.tensor1d([1])) };
    updateEma(average, { w: tf.tensor1d([3]) }, tf.scalar(0.75));
    near(values(average.w)[0], 1.5, 1e-6);
    const { gradients, norm } = clipByGlobalNorm({ a: tf.tensor1d([3]), b: tf.tensor1d([4]) }, 1);
    near(values(norm)[0], 5, 1e-6);
    near(values(gradients.a)[0], 0.6, 1e-5);
    near(values(clipByGlobalNorm({ a: tf.tensor1d([3]) }, 0).gradients.a)[0], 3, 0);
  });
});

describe("losses", () => {
  const y = tf.tensor1d([0, 1], "int32");
  const images = draw("images", [2, 4, 4, 3]) as tf.Tensor4D;

  it("balanced() keeps directions and relative sizes, and sets the mean norm to 2 / (sqrt(H W C) B)", () => {
    const score = (x: tf.Tensor4D): tf.Scalar => tf.sum(tf.mul(tf.pow(x, 3), 7)) as tf.Scalar;
    const plain = tf.grad((x) => score(x as tf.Tensor4D))(images);
    let evaluations = 0;
    const counted = (x: tf.Tensor4D): tf.Scalar => {
      evaluations++;
      return score(x);
    };
    const { value, grad: actual } = tf.valueAndGrad((x) => balanced(x as tf.Tensor4D, 2, counted))(images);
    assert.equal(evaluations, 1, "value and gradient come from one evaluation");
    near(values(value)[0], values(score(images))[0], 1e-6 * Math.abs(values(value)[0]) + 1e-6, "value");
    const norms = (gradient: tf.Tensor): number[] => values(tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])));
    const [before, after] = [norms(plain), norms(actual)];
    near((after[0] + after[1]) / 2, 2 / (Math.sqrt(48) * 2), 1e-5, "mean norm");
    const scale = after[0] / before[0];
    near(after[1] / before[1], scale, 1e-6 * scale + 1e-9, "relative size");
    near(values(tf.max(tf.abs(tf.sub(actual, tf.mul(plain, scale)))))[0], 0, 1e-6, "direction");
  });

  it("perceptualLoss leaves out r = 0 and pairs beyond the correction limit", () => {
    const [xHat, x0] = [draw("x hat", [3, 4, 4, 3]), draw("x0", [3, 4, 4, 3])] as tf.Tensor4D[];
    const gradient = tf.grad((x) => perceptualLoss()({ xHat: x, x0, r: tf.tensor1d([0, 0.1, 0.5]), t: tf.tensor1d([0.5, 0.9, 0.5]), features: (input: tf.Tensor4D) => [tf.square(input)], correctionLimit: 1 } as unknown as Terms))(xHat);
    const [atEnd, far, diagonal] = values(tf.sqrt(tf.sum(tf.square(gradient), [1, 2, 3])));
    assert.deepEqual([atEnd, far], [0, 0]);
    near(diagonal, 2 / (Math.sqrt(48) * 3), 1e-5, "the one that counts has the pixel loss's pull");
  });

  it("criticLoss and gradientPenalty give their formulas", () => {
    const direction = draw("direction", [1, 4, 4, 3]);
    const linear: CriticScore = (x) => {
      const whole = tf.sum(tf.mul(x, direction), [1, 2, 3]).reshape([-1, 1]) as tf.Tensor2D;
      return { whole, patches: tf.mul(whole, 2) };
    };
    const other = tf.neg(images) as tf.Tensor4D;
    const [real, fake] = [values(linear(images, y).whole), values(linear(other, y).whole)];
    const mean = (of: (index: number, factor: number) => number): number => [1, 2].reduce((sum, factor) => sum + (of(0, factor) + of(1, factor)) / 2, 0);
    near(values(criticLoss("hinge", linear, images, other, y))[0], mean((index, factor) => Math.max(0, 1 - factor * real[index]) + Math.max(0, 1 + factor * fake[index])), 1e-3);
    near(values(criticLoss("relativistic", linear, images, other, y))[0], mean((index, factor) => Math.log1p(Math.exp(factor * (fake[index] - real[index])))), 1e-3);
    const many = tf.tile(images, [1000, 1, 1, 1]) as tf.Tensor4D;
    const squaredNorm = values(tf.sum(tf.square(direction)))[0];
    const penalty = values(gradientPenalty(linear, many, draw("noise", [2000, 4, 4, 3]) as tf.Tensor4D, tf.zeros([2000], "int32"), 0.05))[0];
    near(penalty, 5 * squaredNorm, 0.12 * 5 * squaredNorm, "1 + 2^2 times the squared norm of the gradient");
  });

  it("translate() shifts each image and fills with zeros", () => {
    const [rows, columns] = [[1, -2], [0, 3]];
    const source = images.arraySync();
    const expected = source.map((picture, index) => picture.map((_, row) => picture.map((__, column) => picture[row - rows[index]]?.[column - columns[index]] ?? [0, 0, 0])));
    assert.deepEqual(translate(images, tf.tensor1d(rows, "int32"), tf.tensor1d(columns, "int32")).arraySync(), expected);
  });
});

describe("configuration and summary", () => {
  it("lists every fault at once, with near names", () => {
    assert.throws(() => resolveConfig({ batchsize: 3, steps: -1, emaDecay: 1 } as object), /"batchsize"; did you mean batchSize\?.*steps must be|steps must be.*"batchsize"; did you mean batchSize/);
    assert.throws(() => resolveConfig({ batchSize: -8 }), /batchSize must be a whole number of at least 1 \(images\), not -8/);
    assert.throws(() => resolveConfig({ batchSize: 8, accumulation: 3 }), /accumulation 3 does not divide batchSize 8/);
  });

  it("starts B, L and XL from the paper's settings, tiny and small from its own, and lets each be changed", () => {
    for (const preset of ["B", "L", "XL"]) for (const [key, value] of Object.entries(PAPER_SETTINGS)) assert.deepEqual(resolveConfig({ preset })[key as keyof TrainConfig], value, `${preset} ${key}`);
    for (const preset of ["tiny", "small"]) assert.deepEqual([resolveConfig({ preset }).losses, resolveConfig({ preset }).velocity], [{ pixel: 1 }, "marginal"]);
    assert.deepEqual([resolveConfig({ preset: "B", losses: { pixel: 2 } }).losses, resolveConfig({ ...PAPER_SETTINGS, preset: "tiny" }).losses], [{ pixel: 2 }, { "pixel-paper": 1 }]);
  });

  it("counts XL's parameters from the architecture, allocating nothing", () => {
    const before = tf.memory().numTensors;
    const [D, classes, tokens, hidden] = [1152, 1000, 256 + 12, 3072];
    const block = 2 * D + 3 * D * D + 2 * (D / 16) + D * D + D + 3 * D * hidden + D;
    const expected = 16 * 128 + 128 * D + D + tokens * D + (classes + 1) * D + 64 * D + D + D * D + D + 28 * block + D + D * 768 + 768;
    assert.equal(summarize(networkConfig("XL", { imageSize: 256, latentSize: 32, latentChannels: 4, classes })).parameters, expected);
    assert.equal(tf.memory().numTensors, before);
  });
});
