import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { followFlow, perSample } from "../../src/model/trajectory";

const from = (values: number[]): tf.Tensor4D => tf.tensor4d(values, [values.length, 1, 1, 1]);

describe("following a flow", () => {
  /** The flow dz/dt = z, whose points at the time r are z_t exp(r - t); two samples with times of their own. */
  const errorOf = (steps: number, spacing?: number): number[] =>
    tf.tidy(() => {
      const end = followFlow((z) => z, from([1, -2]), tf.tensor1d([1, 0.8]), tf.tensor1d([0, 0.2]), steps, spacing);
      const exact = from([Math.exp(-1), -2 * Math.exp(-0.6)]);
      return Array.from(tf.abs(tf.sub(end, exact)).dataSync());
    });

  for (const spacing of [1, 1.5]) {
    it(`comes twice as near to the exact end with twice the steps: spacing ${spacing}`, () => {
      const [coarse, fine] = [errorOf(20, spacing), errorOf(40, spacing)];
      coarse.forEach((error, sample) => assert.ok(Math.abs(error / fine[sample] / 2 - 1) < 0.1, `${error} and ${fine[sample]} of sample ${sample}`));
    });
  }

  it("takes equal steps unless something else is asked for", () => {
    assert.ok(Math.abs(errorOf(5)[0] - Math.abs(0.8 ** 5 - Math.exp(-1))) < 1e-6, "five steps of z - z / 5");
  });

  it("evaluates once a step, at times that lie closer together towards the end, and is exact where the velocity is constant", () => {
    const times: number[][] = [];
    const [start, way] = [[0.9, 0.5], [0.8, 0.5]];
    const end = tf.tidy(() => {
      const velocityAt = (z: tf.Tensor4D, t: tf.Tensor1D): tf.Tensor4D => {
        times.push(Array.from(t.dataSync()));
        return tf.fill(z.shape, 3) as tf.Tensor4D;
      };
      return Array.from(followFlow(velocityAt, from([2, 2]), tf.tensor1d(start), tf.tensor1d([0.1, 0]), 4, 2).dataSync());
    });
    const left = [1, 0.5625, 0.25, 0.0625];
    assert.equal(times.length, 4);
    times.forEach((pair, step) => pair.forEach((time, sample) => assert.ok(Math.abs(time - (start[sample] - way[sample] * (1 - left[step]))) < 1e-6, `step ${step}: ${pair}`)));
    end.forEach((value, sample) => assert.ok(Math.abs(value - (2 - 3 * way[sample])) < 1e-5));
  });

  it("leaves no tensor but its end", () => {
    const zT = from([1, 2]);
    const [t, earlier] = [tf.tensor1d([1, 0.5]), tf.tensor1d([0, 0])];
    const before = tf.memory().numTensors;
    followFlow((z, time) => tf.mul(z, perSample(time)), zT, t, earlier, 3, 1.5).dispose();
    assert.equal(tf.memory().numTensors, before);
    tf.dispose([zT, t, earlier]);
  });
});
