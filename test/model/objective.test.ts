import assert from "node:assert/strict";
import { test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { correctionFactor, reconstructionPrediction, residualOf, trajectoryDerivative } from "../../src/model/objective";
import { initializeParameters, network, parameterShapes } from "../../src/model/network";
import { networkConfig } from "../../src/model/config";
import { randomStream } from "../../src/model/random";
import { summarize } from "../../src/model/summary";
import { sampleTimes } from "../../src/model/trajectory";

// One latent number z ~ N(m, s^2), image = a z + b. The marginal flow keeps the standard score k of z_t, and the field equation
// r X + t (t - r) dX/dt = r E[x0 | z_t] is solved, along a trajectory, by X = (1/c) integral of E[x0 | z_u]; at r = 0 by the end point, at r = t by the posterior mean.
const [m, s, a, b] = [0.7, 0.5, -1.3, 0.2];
const sigma = (t: number): number => Math.hypot((1 - t) * s, t);
const posteriorZ = (x: number, t: number): number => m + (((1 - t) * s * s) / sigma(t) ** 2) * (x - (1 - t) * m);
const posteriorEps = (x: number, t: number): number => (t / sigma(t) ** 2) * (x - (1 - t) * m);
const marginalVelocity = (x: number, t: number): number => posteriorEps(x, t) - posteriorZ(x, t);

const tensor = (value: number): tf.Tensor4D => tf.tensor4d([value], [1, 1, 1, 1]);
const time = (value: number): tf.Tensor1D => tf.tensor1d([value]);

test("at r = 0 the end of the trajectory has residual zero in expectation (linear-Gaussian closed form)", () => {
  const endPoint = (x: number, t: number): number => a * (m + (s * (x - (1 - t) * m)) / sigma(t)) + b;
  for (const [x, t] of [[0.3, 0.8], [-1.2, 0.5], [2, 1]]) {
    const h = 1e-5;
    const v = marginalVelocity(x, t);
    const dXdt = (endPoint(x + h * v, Math.min(t + h, 1)) - endPoint(x - h * v, t - h)) / (Math.min(t + h, 1) - (t - h));
    if (t < 1) assert.ok(Math.abs(dXdt) < 1e-6, "the end point does not change along the trajectory");
    const residual = residualOf(tensor(endPoint(x, t)), tensor(5), tensor(0), time(0), time(t)).dataSync()[0];
    assert.ok(Math.abs(residual) < 1e-6);
  }
});

test("the average image solves the field equation, and x_hat has the posterior mean (linear-Gaussian closed form)", () => {
  // Along a trajectory z_t = (1-t) m + sigma_t k. X is the solution of the linear equation dX/dt = r (E[x0|z_t] - X) / (t (t - r)),
  // X(r, r) = E[x0 | z_r]: integrated here from t = r by its integrating factor in small steps.
  const [r, end, k] = [0.25, 0.9, -0.8];
  const image = (t: number): number => a * posteriorZ((1 - t) * m + sigma(t) * k, t) + b;
  // With g(t) = (t - r) / t, (g X)' = g' E[x0 | z_t], so X = (1/g) integral of (r / u^2) E[x0 | z_u] du from r to t.
  const average = (t: number): number => {
    const steps = 4000;
    let sum = 0;
    for (let index = 0; index < steps; index++) {
      const u = r + ((index + 0.5) / steps) * (t - r);
      sum += ((r / u ** 2) * image(u) * (t - r)) / steps;
    }
    return (sum * t) / (t - r);
  };
  const h = 1e-4;
  const dXdt = (average(end + h) - average(end - h)) / (2 * h);
  const posterior = image(end);
  assert.ok(Math.abs(r * average(end) + end * (end - r) * dXdt - r * posterior) < 1e-5, "the field equation holds");
  const xHat = reconstructionPrediction(tensor(average(end)), tensor(dXdt), time(r), time(end)).dataSync()[0];
  assert.ok(Math.abs(xHat - posterior) < 1e-5);
  const residual = residualOf(tensor(average(end)), tensor(posterior), tensor(dXdt), time(r), time(end)).dataSync()[0];
  assert.ok(Math.abs(residual) < 1e-5);
});

test("beyond the limit, and at r = 0, x_hat is F alone", () => {
  assert.equal(reconstructionPrediction(tensor(2), tensor(7), time(0), time(0.5), 10).dataSync()[0], 2);
  assert.equal(reconstructionPrediction(tensor(2), tensor(7), time(0.01), time(0.9), 1).dataSync()[0], 2);
  assert.ok(Math.abs(correctionFactor(time(0.3), time(0.7)).dataSync()[0] - (0.7 * 0.4) / 0.3) < 1e-6);
});

for (const head of ["linear", "convolution"] as const) {
  test(`dF/dt of the real network agrees with a central difference (${head} head) and is zero on the diagonal`, () => {
    const config = { ...networkConfig("tiny", { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 3 }), width: 32, depth: 2, heads: 2, head, headChannels: 16 };
    const parameters = initializeParameters(parameterShapes(config), randomStream(0, "weights"));
    const stream = randomStream(1, "test");
    for (const variable of Object.values(parameters)) variable.assign(tf.add(variable, tf.tensor(stream.normal(variable.size), variable.shape).mul(0.1)));
    const shape: [number, number, number, number] = [3, 4, 4, 2];
    const [zT, v] = [tf.tensor4d(stream.normal(96), shape), tf.tensor4d(stream.normal(96), shape)];
    const [r, y] = [tf.tensor1d([0, 0.2, 0.5]), tf.tensor1d([0, 2, 3], "int32")];
    const field = (z: tf.Tensor4D, times: tf.Tensor1D, labels: tf.Tensor1D): tf.Tensor4D => network(config, parameters, z, times, labels);
    const derivative = trajectoryDerivative(field, zT, v, r, y, 2, [16, 16, 3]);
    const h = 3e-3;
    const difference = field(zT.add(v.mul(h)) as tf.Tensor4D, r, y).sub(field(zT.sub(v.mul(h)) as tf.Tensor4D, r, y)).div(2 * h);
    const error = derivative.slice(0, 2).sub(difference.slice(0, 2)).norm().div(difference.slice(0, 2).norm()).dataSync()[0];
    assert.ok(error < 5e-3, `relative difference ${error}`);
    assert.equal(derivative.slice(2).abs().max().dataSync()[0], 0);
    assert.equal(summarize(config).parameters, Object.values(parameters).reduce((sum, variable) => sum + variable.size, 0));
    tf.dispose(parameters);
  });
}

test("times keep their order, ranges and shares", () => {
  const options = { minimumTime: 0.02, diagonalShare: 0.5, endShare: 0.35, noiseShare: 0.4, boundaryShare: 0.25, timeShift: 0.25 };
  const { r, t, atEnd, offDiagonal } = sampleTimes(randomStream(0, "times"), 80, options);
  assert.deepEqual([atEnd, offDiagonal], [28, 40]);
  assert.equal(t.filter((value) => value === 1).length, 11);
  r.forEach((value, index) => {
    assert.ok(value <= t[index]);
    if (index < atEnd) assert.equal(value, 0);
    if (index >= offDiagonal) assert.equal(value, t[index]);
  });
  assert.ok(r.slice(70).every((value) => value < 1e-3));
});
