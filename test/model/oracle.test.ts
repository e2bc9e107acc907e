import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { lossNamed } from "../../src/model/losses";
import { pixelLoss } from "../../src/model/losses/pixel";
import { gaussianOracle, mixtureOracle, objectiveBias, oneStepImage, scoreObjective, type Oracle } from "../../src/model/oracle";
import { randomStream } from "../../src/model/random";

const near = (actual: readonly number[], expected: readonly number[], tolerance: number, what: string): void => actual.forEach((value, index) => assert.ok(Math.abs(value - expected[index]) <= tolerance, `${what}: ${actual} is not ${expected}`));
const points = [[-1.2, 0.3], [0.1, -0.4], [0.9, 1.5]];
const oracles: Oracle[] = [gaussianOracle(), mixtureOracle()];

describe("oracles", () => {
  for (const oracle of oracles)
    it(`${oracle.name}: the target field satisfies its equation along the trajectory`, () => {
      for (const [r, t] of [[0.3, 0.6], [0.5, 0.9], [0, 0.7]]) {
        for (const zT of points) {
          const h = 1e-4;
          const at = (time: number): number[] => oracle.averageImage(oracle.alongTrajectory(zT, t, time), r, time);
          const X = at(t);
          const expected = oracle.image(oracle.posteriorMean(zT, t)).map((value) => r * value);
          const sides = X.map((value, pixel) => r * value + t * (t - r) * ((at(t + h)[pixel] - at(t - h)[pixel]) / (2 * h)));
          near(sides, expected, 2e-6, `(${r}, ${t})`);
        }
      }
    });

  it("one normal component, by Runge-Kutta, equals the closed form", () => {
    const [mean, deviation] = [[0.4, -0.2], [0.6, 0.9]];
    const [closed, solved] = [gaussianOracle({ mean, deviation }), mixtureOracle({ components: [{ share: 1, mean, deviation }], odeSteps: 200, offset: [-0.1, 0.05, 0.1] })];
    for (const point of points) {
      near(solved.posteriorMean(point, 0.6), closed.posteriorMean(point, 0.6), 1e-12, "posterior mean");
      near(oneStepImage(solved, point), oneStepImage(closed, point), 1e-6, "one-step image");
      near(solved.averageImage(point, 0.2, 0.7), closed.averageImage(point, 0.2, 0.7), 1e-6, "target field");
    }
  });

  for (const oracle of oracles)
    it(`${oracle.name}: the one-step map carries noise to the data, and draws given z_t have the posterior's mean`, () => {
      const stream = randomStream(2, "oracle");
      const count = 4000;
      const mean = (rows: number[][], power = 1): number[] => rows[0].map((_, axis) => rows.reduce((sum, row) => sum + row[axis] ** power, 0) / rows.length);
      const data = Array.from({ length: count }, () => oracle.image(oracle.drawLatent(stream)));
      const mapped = Array.from({ length: count }, () => oneStepImage(oracle, Array.from(stream.normal(2))));
      // Five standard errors of a value whose deviation is below 1.
      near(mean(mapped), mean(data), 5 / Math.sqrt(count), "mean");
      near(mean(mapped, 2), mean(data, 2), 7 / Math.sqrt(count), "second moment");
      const given = Array.from({ length: count }, () => oracle.drawPosterior([0.3, 0.1], 0.5, stream));
      near(mean(given), oracle.posteriorMean([0.3, 0.1], 0.5), 5 / Math.sqrt(count), "posterior mean");
    });
});

describe("objectiveBias", () => {
  const few = { points: 3, draws: 800, times: [[0.3, 0.6], [0.5, 0.5]] as const };

  it("finds squared losses at rest at the exact field, and losses that draw to a median off it where the data is skewed", () => {
    const mixture = mixtureOracle();
    for (const weight of ["none", "t", "t^2/r"] as const) assert.equal(objectiveBias(pixelLoss({ weight, adaptivePower: 0 }), mixture, few).biased, false, weight);
    for (const loss of [lossNamed("pixel-paper"), pixelLoss({ adaptivePower: 0.5 })]) assert.ok(objectiveBias(loss, mixture, few).bias > 3 * objectiveBias(loss, mixture, few).noise);
    assert.equal(objectiveBias(lossNamed("pixel-paper"), gaussianOracle(), few).biased, false, "of a symmetric distribution mean and median agree");
  });

  it("finds a loss that draws to another picture biased, and leaks no tensor", () => {
    const before = tf.memory().numTensors;
    const halved = objectiveBias(({ F, x0 }) => tf.mean(tf.square(tf.sub(F, tf.mul(0.5, x0)))) as tf.Scalar, gaussianOracle(), few);
    assert.ok(halved.biased && halved.bias > 0.3);
    assert.equal(tf.memory().numTensors, before);
    assert.throws(() => objectiveBias(lossNamed("perceptual"), gaussianOracle(), few), /an oracle has no feature network/);
  });
});

describe("scoreObjective", () => {
  it("comes nearer to the exact map with training, the same way for the same seed, and leaks no tensor", () => {
    const before = tf.memory().numTensors;
    const score = (steps: number): number => scoreObjective({ loss: pixelLoss({ adaptivePower: 0 }) }, gaussianOracle(), { steps, batchSize: 64, samples: 200, width: 16, learningRate: 0.02 }).oneStep;
    const [short, long] = [score(5), score(120)];
    assert.ok(long < 0.5 * short && long < 0.4, `${short} and ${long}`);
    assert.equal(score(5), short);
    assert.equal(tf.memory().numTensors, before);
  });
});
