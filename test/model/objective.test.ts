import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jvp } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { pixelLoss, type PixelLossOptions } from "../../src/model/losses/pixel";
import { network, initializeParameters, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { fieldAlongTrajectory, objectiveTerms, reconstructionPrediction, residualOf } from "../../src/model/objective";
import { randomStream } from "../../src/model/random";
import { latentAt, sampleTimes, timeShiftFor } from "../../src/model/trajectory";
import type { Terms } from "../../src/model/losses";

// z ~ N(m, s^2) in one dimension and image = a z + b: everything below has a closed form.
const [m, s, a, b] = [0.4, 0.6, 0.8, -0.1];
const variance = (t: number): number => ((1 - t) * s) ** 2 + t ** 2;
const posteriorLatent = (zT: number, t: number): number => m + (((1 - t) * s ** 2) / variance(t)) * (zT - (1 - t) * m);
const posteriorNoise = (zT: number, t: number): number => (t / variance(t)) * (zT - (1 - t) * m);
const marginalVelocity = (zT: number, t: number): number => posteriorNoise(zT, t) - posteriorLatent(zT, t);
const alongTrajectory = (zT: number, t: number, r: number): number => (1 - r) * m + Math.sqrt(variance(r) / variance(t)) * (zT - (1 - t) * m);
const image = (z: number): number => a * z + b;
/** X = r t / (t - r) times the integral of E[x0 | z_tau] / tau^2 over [r, t]; for a Gaussian the image of the chord's point at time 0. */
const averageImage = (zT: number, r: number, t: number): number => (r === t ? image(posteriorLatent(zT, t)) : image((t * alongTrajectory(zT, t, r) - r * zT) / (t - r)));

const pixel = (values: number[]): tf.Tensor4D => tf.tensor4d(values, [values.length, 1, 1, 1]);
const near = (actual: number, expected: number, tolerance: number, what: string): void => assert.ok(Math.abs(actual - expected) <= tolerance, `${what}: ${actual} is not ${expected}`);
const pairs: [number, number][] = [[0.1, 0.3], [0.2, 0.9], [0.5, 0.6], [0.7, 0.95], [0.4, 0.4]];
const latents = [-1.5, -0.3, 0.2, 0.9, 2];

/** Classical Runge-Kutta for the marginal velocity, from time t to r. */
function integrate(z: number, t: number, r: number, speed: (z: number, t: number) => number, steps = 400): number {
  const h = (r - t) / steps;
  for (let step = 0; step < steps; step++) {
    const time = t + step * h;
    const k1 = speed(z, time);
    const k2 = speed(z + (h / 2) * k1, time + h / 2);
    const k3 = speed(z + (h / 2) * k2, time + h / 2);
    const k4 = speed(z + h * k3, time + h);
    z += (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
  }
  return z;
}

describe("the target field of a Gaussian", () => {
  it("has the closed-form trajectory that the marginal velocity integrates to", () => {
    for (const [r, t] of pairs) for (const z of latents) near(integrate(z, t, r, marginalVelocity), alongTrajectory(z, t, r), 1e-9, `z from ${t} to ${r}`);
  });

  it("is constant along the trajectory at r = 0, where it is the image of the trajectory's end", () => {
    for (const z of latents) {
      const end = image(alongTrajectory(z, 0.9, 0));
      for (const t of [0.8, 0.5, 0.1]) near(averageImage(alongTrajectory(z, 0.9, t), 0, t), end, 1e-12, `X at r = 0, t = ${t}`);
    }
  });

  it("tends to the posterior mean of the image as r approaches t", () => {
    for (const z of latents) near(averageImage(z, 0.6 - 1e-6, 0.6), image(posteriorLatent(z, 0.6)), 1e-5, "X near the diagonal");
  });

  it("makes the conditional mean of the residual zero and that of x_hat the posterior mean", () => {
    for (const [r, t] of pairs) {
      // Residual and x_hat are affine in (x0, v), so their conditional means are their values at the conditional means of x0 and v.
      const [zT, v] = [pixel(latents), pixel(latents.map((z) => marginalVelocity(z, t)))];
      const x0 = pixel(latents.map((z) => image(posteriorLatent(z, t))));
      const field = (z: tf.Tensor, time: tf.Tensor): tf.Tensor => {
        const centred = tf.sub(z, tf.mul(tf.sub(1, time), m));
        const spread = tf.add(tf.square(tf.mul(tf.sub(1, time), s)), tf.square(time));
        const slope = r === t ? tf.div(tf.mul(tf.sub(1, time), s * s), spread) : tf.div(tf.sub(tf.mul(time, tf.sqrt(tf.div(variance(r), spread))), r), tf.sub(time, r));
        return tf.add(tf.mul(a, tf.add(m, tf.mul(slope, centred))), b);
      };
      const time = tf.scalar(t);
      const { value: F, tangent: dFdt } = jvp(field, [zT, time], [v, tf.scalar(1)]);
      const [rs, ts] = [tf.fill([latents.length], r), tf.fill([latents.length], t)] as tf.Tensor1D[];
      F.dataSync().forEach((value, index) => near(value, averageImage(latents[index], r, t), 3e-6, `X(${r}, ${t})`));
      residualOf(F as tf.Tensor4D, x0, dFdt as tf.Tensor4D, rs, ts).dataSync().forEach((value) => near(value, 0, 2e-5, `E[R | z_t] at (${r}, ${t})`));
      const expected = x0.dataSync();
      reconstructionPrediction(F as tf.Tensor4D, dFdt as tf.Tensor4D, rs, ts).dataSync().forEach((value, index) => near(value, expected[index], 2e-5, `E[x_hat | z_t] at (${r}, ${t})`));
    }
  });
});

describe("the target field of a Gaussian mixture", () => {
  const components = [{ share: 0.3, mean: -1, deviation: 0.2 }, { share: 0.7, mean: 0.8, deviation: 0.4 }];
  const posterior = (zT: number, t: number): number => {
    const parts = components.map(({ share, mean, deviation }) => {
      const spread = ((1 - t) * deviation) ** 2 + t ** 2;
      const gap = zT - (1 - t) * mean;
      return { weight: (share / Math.sqrt(spread)) * Math.exp((-gap * gap) / (2 * spread)), z: mean + (((1 - t) * deviation ** 2) / spread) * gap };
    });
    return parts.reduce((sum, { weight, z }) => sum + weight * z, 0) / parts.reduce((sum, { weight }) => sum + weight, 0);
  };
  const speed = (zT: number, t: number): number => (zT - posterior(zT, t)) / t; // v = eps - z and z_t = z + t v
  /** The average of E[x0 | z_tau] along the trajectory with weight 1 / tau^2, by Simpson's rule. */
  const average = (zT: number, r: number, t: number): number => {
    const count = 64;
    const h = (t - r) / count;
    let [z, sum] = [zT, 0];
    for (let index = count; index >= 0; index--) {
      const tau = r + index * h;
      sum += (index === 0 || index === count ? 1 : index % 2 === 1 ? 4 : 2) * (posterior(z, tau) / tau ** 2);
      if (index > 0) z = integrate(z, tau, tau - h, speed, 8);
    }
    return ((r * t) / (t - r)) * (h / 3) * sum;
  };

  it("satisfies r X + t (t - r) dX/dt = r E[x0 | z_t] along the trajectory, so that the residual's mean vanishes", () => {
    for (const [r, t] of [[0.3, 0.6], [0.5, 0.9], [0.4, 0.5]]) {
      for (const z of [-1, -0.1, 0.7]) {
        const h = 1e-4;
        const X = average(z, r, t);
        const dXdt = (average(integrate(z, t, t + h, speed, 4), r, t + h) - average(integrate(z, t, t - h, speed, 4), r, t - h)) / (2 * h);
        near(r * X + t * (t - r) * dXdt, r * posterior(z, t), 1e-6, `field equation at (${r}, ${t})`);
        const [residual] = residualOf(pixel([X]), pixel([posterior(z, t)]), pixel([dXdt]), tf.tensor1d([r]), tf.tensor1d([t])).dataSync();
        near(residual, 0, 1e-5, "residual");
      }
    }
  });
});

describe("training a linear field with the pixel loss", () => {
  const count = 512;
  const stream = randomStream(3, "linear field");
  const z = tf.tensor4d(stream.normal(count).map((value) => m + s * value), [count, 1, 1, 1]);
  const eps = tf.tensor4d(stream.normal(count), [count, 1, 1, 1]);
  const x0 = tf.add(tf.mul(a, z), b) as tf.Tensor4D;

  /** The (w, c) at which sum R = 0 and sum z_t R = 0 over the sample: where the semi-gradient vanishes. */
  function stationary(r: number, t: number): [number, number] {
    const [zs, es] = [Array.from(z.dataSync()), Array.from(eps.dataSync())];
    const [p, q] = [r / t ** 2, 1 - r / t];
    const rows = zs.map((clean, index) => ({ zT: (1 - t) * clean + t * es[index], v: es[index] - clean, x: a * clean + b }));
    const sum = (of: (row: (typeof rows)[number]) => number): number => rows.reduce((total, row) => total + of(row), 0);
    const [a11, a12, b1] = [sum(({ zT, v }) => p * zT + q * v), p * count, sum(({ x }) => p * x)];
    const [a21, a22, b2] = [sum(({ zT, v }) => zT * (p * zT + q * v)), sum(({ zT }) => p * zT), sum(({ zT, x }) => p * x * zT)];
    const determinant = a11 * a22 - a12 * a21;
    return [(b1 * a22 - a12 * b2) / determinant, (a11 * b2 - a21 * b1) / determinant];
  }

  function trained(r: number, t: number, options: Partial<PixelLossOptions>, rate: number): [number, number] {
    const [w, c] = [tf.variable(tf.scalar(0)), tf.variable(tf.scalar(0))];
    const optimizer = tf.train.sgd(rate);
    const loss = pixelLoss({ distance: "L2", adaptivePower: 0, ...options });
    const [rs, ts] = [tf.fill([count], r), tf.fill([count], t)] as tf.Tensor1D[];
    const y = tf.zeros([count], "int32") as tf.Tensor1D;
    const field = (latent: tf.Tensor4D): tf.Tensor4D => tf.add(tf.mul(w, latent), c);
    for (let step = 0; step < 150; step++)
      tf.tidy(() => {
        optimizer.minimize(() => loss(objectiveTerms(field, { x0, z, eps, r: rs, t: ts, y }, { offDiagonal: r < t ? count : 0 }) as Terms), false, [w, c]);
      });
    const result: [number, number] = [w.dataSync()[0], c.dataSync()[0]];
    tf.dispose([w, c, rs, ts, y]);
    return result;
  }

  for (const weight of ["none", "t", "t^2/r"] as const)
    for (const through of ["residual", "prediction"] as const)
      it(`reaches the field whose mean residual is zero, with weight ${weight} through the ${through}`, () => {
        for (const [r, t] of [[0.6, 0.6], [0.5, 0.7]]) {
          const factor = { none: 1, t, "t^2/r": t ** 2 / r }[weight];
          const rate = 0.6 / (through === "residual" ? (factor * r / t ** 2) ** 2 : factor * (r / t ** 2));
          const [expected, actual] = [stationary(r, t), trained(r, t, { weight, through }, rate)];
          near(actual[0], expected[0], 2e-4, `slope at (${r}, ${t})`);
          near(actual[1], expected[1], 2e-4, `offset at (${r}, ${t})`);
        }
      });

  it("gives r = 0 a gradient through the prediction and none through the residual", () => {
    assert.deepEqual(trained(0, 0.8, { weight: "none", through: "residual" }, 0.1), [0, 0]);
    const gradient = (through: "residual" | "prediction"): number => {
      const terms = (F: tf.Tensor4D): Terms => ({ F, residual: residualOf(F, pixel([0]), pixel([2]), tf.tensor1d([0]), tf.tensor1d([0.5])), r: tf.tensor1d([0]), t: tf.tensor1d([0.5]) }) as unknown as Terms;
      return tf.grad((F) => pixelLoss({ through, adaptivePower: 0 })(terms(F as tf.Tensor4D)))(pixel([0.3])).dataSync()[0];
    };
    assert.equal(gradient("residual"), 0);
    near(gradient("prediction"), 2 * 0.5 * 2, 1e-6, "2 t R with R = dF/dt");
  });
});

describe("fieldAlongTrajectory", () => {
  const sizes: NetworkConfig = { imageSize: 8, latentSize: 4, latentChannels: 2, classes: 3, patchSize: 2, width: 16, depth: 1, heads: 2, bottleneck: 0, classTokens: 1, timeTokens: 1, head: "linear", headChannels: 16 };
  for (const head of ["linear", "convolution"] as const)
    it(`agrees with a central difference of the network with the ${head} head, and is zero on the diagonal`, () => {
      const config = { ...sizes, head };
      const shapes = Object.fromEntries(Object.entries(parameterShapes(config)).map(([name, shape]) => [name, { ...shape, start: shape.start === "ones" ? ("ones" as const) : 0.2 }]));
      const parameters = initializeParameters(shapes, randomStream(1, "weights"));
      const stream = randomStream(2, "latents");
      const draw = (): tf.Tensor4D => tf.tensor4d(stream.normal(96), [3, 4, 4, 2]);
      const [zT, v, r, y] = [draw(), draw(), tf.tensor1d([0, 0.2, 0.7]), tf.tensor1d([0, 2, 1], "int32")];
      const field = (latent: tf.Tensor4D, times: tf.Tensor1D, labels: tf.Tensor1D): tf.Tensor4D => network(config, parameters, latent, times, labels);
      const { F, dFdt: actual } = fieldAlongTrajectory(field, zT, v, r, y, 2);
      const h = 5e-3;
      const expected = tf.div(tf.sub(field(tf.add(zT, tf.mul(h, v)), r, y), field(tf.sub(zT, tf.mul(h, v)), r, y)), 2 * h);
      const head2 = (tensor: tf.Tensor): tf.Tensor => tf.slice(tensor, 0, 2);
      const scale = tf.max(tf.abs(head2(expected))).dataSync()[0];
      assert.ok(scale > 0.01, "the derivative is not trivially zero");
      assert.ok(tf.max(tf.abs(tf.sub(head2(actual), head2(expected)))).dataSync()[0] < 5e-3 * scale);
      assert.equal(tf.max(tf.abs(tf.slice(actual, 2))).dataSync()[0], 0);
      const distance = (one: tf.Tensor, other: tf.Tensor): number => tf.div(tf.max(tf.abs(tf.sub(one, other))), tf.max(tf.abs(other))).dataSync()[0];
      assert.ok(distance(F, field(zT, r, y)) < 1e-5, "the images are those of a plain evaluation");
      const weights = Object.values(parameters);
      const gradients = (images: () => tf.Tensor): tf.Tensor[] => Object.values(tf.variableGrads(() => tf.sum(tf.square(images())) as tf.Scalar, weights).grads);
      const plain = gradients(() => field(zT, r, y));
      for (const offDiagonal of [0, 2, 3])
        gradients(() => fieldAlongTrajectory(field, zT, v, r, y, offDiagonal).F).forEach((gradient, index) => assert.ok(distance(gradient, plain[index]) < 1e-4, `gradient ${index} with ${offDiagonal} off the diagonal`));
      assert.throws(() => field(tf.zeros([1, 2, 2, 2]), tf.tensor1d([0]), tf.tensor1d([0], "int32")), /\[B, 4, 4, 2\], not \[1,2,2,2\]/);
    });
});

describe("x_hat", () => {
  it("is F alone beyond the limit, and at r = 0", () => {
    const xHat = (r: number, t: number, limit: number): number => reconstructionPrediction(pixel([2]), pixel([7]), tf.tensor1d([r]), tf.tensor1d([t]), limit).dataSync()[0];
    assert.equal(xHat(0, 0.5, 10), 2);
    assert.equal(xHat(0.01, 0.9, 1), 2);
    near(xHat(0.3, 0.7, 1), 2 + (7 * 0.7 * 0.4) / 0.3, 1e-5, "within the limit");
  });
});

describe("sampleTimes and latentAt", () => {
  it("orders the shares as promised, within their ranges", () => {
    const { r, t, atEnd, offDiagonal } = sampleTimes(randomStream(5, "times"), 40, { minimumTime: 0.02, diagonalShare: 0.5, endShare: 0.25, noiseShare: 0.4, boundaryShare: 0.2, timeShift: 1 });
    assert.deepEqual([atEnd, offDiagonal], [10, 20]);
    r.forEach((start, index) => {
      assert.ok(start <= t[index] && t[index] > 0);
      if (index < 10) assert.equal(start, 0);
      else if (index < 20) assert.ok(start >= Math.fround(0.02) && t[index] <= Math.fround(0.98));
      else assert.equal(start, t[index]);
      if (index < 4) assert.equal(t[index], 1);
      if (index >= 36) assert.ok(t[index] < 0.001);
    });
  });

  it("shifts uniform times by s u / (1 + (s - 1) u)", () => {
    const uniform = randomStream(6, "times").uniform(8);
    const { t } = sampleTimes(randomStream(6, "times"), 8, { minimumTime: 1e-3, diagonalShare: 1, endShare: 0, noiseShare: 0, boundaryShare: 0, timeShift: 0.25 });
    t.forEach((time, index) => near(time, Math.min(Math.max((0.25 * uniform[index]) / (1 - 0.75 * uniform[index]), 1e-3), 0.999), 1e-6, "shifted time"));
    assert.equal(timeShiftFor(256), 0.25);
    assert.equal(timeShiftFor(4096), 1);
  });

  it("starts at the latent and ends at the noise", () => {
    const zT = latentAt(pixel([2, 2, 2]), pixel([-1, -1, -1]), tf.tensor1d([0, 0.25, 1]));
    assert.deepEqual(Array.from(zT.dataSync()), [2, 1.25, -1]);
  });
});
