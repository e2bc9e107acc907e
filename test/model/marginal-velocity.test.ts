import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { latentReference, marginalVelocity } from "../../src/model/marginal-velocity";
import { randomStream } from "../../src/model/random";
import { latentAt, velocity } from "../../src/model/trajectory";

const SHAPE: [number, number, number] = [2, 2, 3];
const SIZE = 12;

/** E[eps - z | z_t, y] by its definition, in float64. */
function definedVelocity(point: ArrayLike<number>, t: number, label: number, latents: Float32Array, labels: Int32Array): number[] {
  const members = Array.from(labels.keys()).filter((index) => labels[index] === label);
  const logits = members.map((index) => {
    let square = 0;
    for (let axis = 0; axis < SIZE; axis++) square += (point[axis] - (1 - t) * latents[index * SIZE + axis]) ** 2;
    return -square / (2 * t * t);
  });
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return Array.from({ length: SIZE }, (_, axis) => {
    const mean = members.reduce((sum, index, position) => sum + (weights[position] / total) * latents[index * SIZE + axis], 0);
    return (point[axis] - mean) / t;
  });
}

describe("marginalVelocity", async () => {
  await startEngine();
  const stream = randomStream(3, "marginal velocity");
  const count = 40;
  const latents = stream.normal(count * SIZE);
  const labels = Int32Array.from({ length: count }, (_, index) => index % 3);

  it("equals its definition, class by class, from nearly clean latents to noise", () => {
    const times = [0.05, 0.3, 0.6, 0.9, 0.98, 1];
    const y = [0, 1, 2, 0, 1, 2];
    const points = stream.normal(times.length * SIZE);
    const reference = latentReference(latents, labels);
    const result = marginalVelocity(tf.tensor4d(points, [times.length, ...SHAPE]), tf.tensor1d(times), tf.tensor1d(y, "int32"), reference);
    assert.deepEqual(result.shape, [times.length, ...SHAPE]);
    const values = result.dataSync();
    times.forEach((t, row) => {
      const expected = definedVelocity(points.subarray(row * SIZE, (row + 1) * SIZE), t, y[row], latents, labels);
      expected.forEach((value, axis) => assert.ok(Math.abs(values[row * SIZE + axis] - value) < 1e-3 * (1 + Math.abs(value)), `t ${t}, axis ${axis}: ${values[row * SIZE + axis]} and ${value}`));
    });
  });

  it("is the conditional velocity where the point tells its latent", () => {
    const reference = latentReference(latents, labels);
    const z = tf.tensor4d(latents.slice(0, 3 * SIZE), [3, ...SHAPE]);
    const eps = tf.tensor4d(stream.normal(3 * SIZE), [3, ...SHAPE]);
    const t = tf.fill([3], 0.02) as tf.Tensor1D;
    const difference = tf.max(tf.abs(tf.sub(marginalVelocity(latentAt(z, eps, t), t, tf.tensor1d([0, 1, 2], "int32"), reference), velocity(z, eps)))).dataSync()[0];
    assert.ok(difference < 1e-2, `largest difference ${difference}`);
  });

  it("comes near the closed form of Gaussian latents: v = (z_t - (1 - t) s^2 z_t / ((1 - t)^2 s^2 + t^2)) / t", () => {
    const [samples, deviation, t] = [40_000, 0.8, 0.7];
    const reference = latentReference(stream.normal(samples).map((value) => value * deviation), new Int32Array(samples));
    const points = [-1.2, -0.3, 0, 0.5, 1.4];
    const values = marginalVelocity(tf.tensor4d(points, [5, 1, 1, 1]), tf.fill([5], t) as tf.Tensor1D, tf.zeros([5], "int32") as tf.Tensor1D, reference).dataSync();
    points.forEach((point, index) => {
      const expected = (point - ((1 - t) * deviation ** 2 * point) / ((1 - t) ** 2 * deviation ** 2 + t ** 2)) / t;
      assert.ok(Math.abs(values[index] - expected) < 0.03, `z_t ${point}: ${values[index]} and ${expected}`);
    });
  });

  it("leaks no tensor", () => {
    const before = tf.memory().numTensors;
    const reference = latentReference(latents, labels);
    const inputs = [tf.zeros([2, ...SHAPE]), tf.fill([2], 0.5), tf.zeros([2], "int32")] as const;
    const result = marginalVelocity(inputs[0] as tf.Tensor4D, inputs[1] as tf.Tensor1D, inputs[2] as tf.Tensor1D, reference);
    tf.dispose([result, ...inputs, { ...reference }]);
    assert.equal(tf.memory().numTensors, before);
  });
});
