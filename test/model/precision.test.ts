import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { networkConfig, resolveConfig } from "../../src/model/config";
import { withPrecision } from "../../src/model/engine/precision";
import { startEngine } from "../../src/model/engine/start";
import { tf } from "../../src/model/engine/tf";
import { randomStream } from "../../src/model/random";
import { createTrainingState, disposeTrainingState } from "../../src/model/training-state";
import { trainingStep, type StepInputs } from "../../src/model/training-step";
import { sampleTimes } from "../../src/model/trajectory";

before(() => startEngine().then(() => undefined));

const BATCH = 8;
const network = { ...networkConfig("tiny", { imageSize: 16, latentSize: 4, latentChannels: 4, classes: 3 }), width: 32, depth: 2, heads: 2 };

/** Steps of a training with made-up data: losses of each, and all weights at the end as one vector of what changed. */
function trained(precision: string, compile: boolean, steps: number): { losses: number[]; change: Float32Array } {
  const config = resolveConfig({ precision, batchSize: BATCH, imageSize: 16, velocity: "conditional", optimizer: "adamw", losses: { pixel: 1 } });
  const state = createTrainingState(config, network);
  const stream = randomStream(1, "scatter");
  const weights = Object.values(state.variables.parameters);
  for (const weight of weights) tf.tidy(() => weight.assign(tf.add(weight, tf.mul(0.05, tf.tensor(stream.normal(weight.size), weight.shape)))));
  const vector = (): Float32Array => tf.tidy(() => tf.concat(weights.map((weight) => weight.reshape([-1]))).dataSync().slice() as Float32Array);
  const start = vector();
  const step = trainingStep(config, state, {}, { enabled: compile });
  const losses: number[] = [];
  for (let index = 0; index < steps; index++) {
    const draw = randomStream(index, "inputs");
    const tensor = (shape: [number, number, number, number]): tf.Tensor4D => tf.tensor4d(draw.normal(shape.reduce((product, length) => product * length)), shape);
    const { r, t, atEnd, offDiagonal } = sampleTimes(draw, BATCH, config);
    const inputs: StepInputs = {
      x0: tf.tidy(() => tf.tanh(tensor([BATCH, 16, 16, 3]))), z: tensor([BATCH, 4, 4, 4]), eps: tensor([BATCH, 4, 4, 4]), r: tf.tensor1d(r), t: tf.tensor1d(t), y: tf.tensor1d(draw.integers(BATCH, 3), "int32"),
      learningRate: tf.scalar(1e-3 + 1e-5 * index), matrixLearningRate: tf.scalar(1e-3), stepCount: tf.scalar(index + 1), emaDecay: tf.scalar(0.9 + 0.001 * index), lossShares: tf.tensor1d([1]), earlier: tf.tensor1d(t),
    };
    const outputs = step(inputs, { atEnd, offDiagonal, active: "pixel", critic: false });
    losses.push(outputs.pixel.dataSync()[0]);
    assert.ok(Number.isFinite(outputs.gradientNorm.dataSync()[0]), "the gradient is finite");
    tf.dispose([inputs, outputs]);
  }
  const end = vector();
  step.dispose();
  disposeTrainingState(state);
  return { losses, change: end.map((value, index) => value - start[index]) };
}

const cosine = (one: Float32Array, other: Float32Array): number => {
  const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, value, index) => sum + value * b[index], 0);
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other));
};

describe("products in bfloat16", () => {
  it("round the factors alone: the error is that of 8 bits, and integers up to 256 multiply exactly", () => {
    const [a, b] = [tf.randomNormal([64, 96], 0, 1, "float32", 1), tf.randomNormal([96, 32], 0, 1, "float32", 2)];
    const product = (): tf.Tensor => tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D);
    const [exact, rounded] = [product(), withPrecision("bf16", product)];
    const error = tf.div(tf.norm(tf.sub(exact, rounded)), tf.norm(exact)).dataSync()[0];
    assert.equal(rounded.dtype, "float32");
    assert.ok(error < 2 ** -7, `${error}`);
    if (tf.getBackend() === "tensorflow") assert.ok(error > 2 ** -12, "the factors were rounded");
    assert.equal(withPrecision("bf16", () => tf.matMul(tf.tensor2d([[255, 3]]), tf.tensor2d([[1], [0]]))).dataSync()[0], 255);
    assert.ok(tf.norm(tf.sub(product(), exact)).dataSync()[0] === 0, "afterwards products are exact again");
  });

  it("leave a training's losses close to those in float32, over ten finite steps", () => {
    const [float32, bf16] = ["float32", "bf16"].map((precision) => trained(precision, false, 10));
    bf16.losses.forEach((loss, index) => assert.ok(Math.abs(loss / float32.losses[index] - 1) < 0.03, `step ${index}: ${loss} and ${float32.losses[index]}`));
    assert.notDeepEqual(bf16.losses, float32.losses);
    assert.ok(cosine(bf16.change, float32.change) > 0.97, `${cosine(bf16.change, float32.change)}`);
  });

  it("leave the first step's gradient close to that in float32", () => {
    // One step of AdamW moves each weight by the sign of its gradient.
    const [float32, bf16] = ["float32", "bf16"].map((precision) => trained(precision, false, 1));
    assert.ok(cosine(bf16.change, float32.change) > 0.9, `${cosine(bf16.change, float32.change)}`);
  });

  it("are compiled as they run one by one", () => {
    const [eager, compiled] = [false, true].map((compile) => trained("bf16", compile, 5));
    compiled.losses.forEach((loss, index) => assert.ok(Math.abs(loss / eager.losses[index] - 1) < 5e-3, `step ${index}: ${loss} and ${eager.losses[index]}`));
    assert.ok(cosine(compiled.change, eager.change) > 0.98);
  });
});
