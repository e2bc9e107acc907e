import assert from "node:assert/strict";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { networkConfig } from "../../src/model/config";
import { loadEncoder } from "../../src/model/encoder";
import { compile } from "../../src/model/engine/compile";
import { jvp } from "../../src/model/engine/jvp";
import { startEngine } from "../../src/model/engine/start";
import { tf } from "../../src/model/engine/tf";
import { projectRoot } from "../../src/model/files";
import { disposeModel, type Model } from "../../src/model/model";
import { initializeParameters, parameterShapes } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { decode, sample } from "../../src/model/sampler";

before(() => startEngine().then(() => undefined));

function smallModel(): Model {
  const network = { ...networkConfig("tiny", { imageSize: 16, latentSize: 4, latentChannels: 4, classes: 3 }), width: 32, depth: 2, heads: 2 };
  const shapes = Object.fromEntries(Object.entries(parameterShapes(network)).map(([name, shape]) => [name, { ...shape, start: shape.start === "ones" ? ("ones" as const) : 0.08 }]));
  return { network, parameters: initializeParameters(shapes, randomStream(0, "weights")), classNames: ["a", "b", "c"], encoderFingerprint: "", minimumTime: 0.02, provenance: {} };
}

const distance = (one: tf.Tensor, other: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(one, other))).dataSync()[0]);
const LABELS = Array.from({ length: 22 }, (_, index) => index % 4); // five batches of four and a rest of two

describe("sampling in compiled batches", () => {
  it("gives the images of the operations one by one, says that it compiles, and leaves no tensor", () => {
    const model = smallModel();
    const tensors = tf.memory().numTensors;
    const heard: string[] = [];
    const options = { seed: 3, batchSize: 4, onProgress: ({ label, done, total }: { label: string; done: number; total: number }) => void heard.push(`${label} ${done}/${total}`) };
    const compiled = sample(model, LABELS, options);
    const eager = sample(model, LABELS, { ...options, compile: false });
    assert.ok(tf.moments(eager).variance.dataSync()[0] > 1e-4, "the images differ from each other");
    assert.ok(distance(compiled, eager) < 1e-5, `${distance(compiled, eager)}`);
    const latents = tf.tensor4d(randomStream(1, "latents").normal(LABELS.length * 64), [LABELS.length, 4, 4, 4]);
    const [decoded, plain] = [true, false].map((compile) => decode(model, latents, LABELS, undefined, { batchSize: 4, compile }));
    assert.ok(distance(decoded, plain) < 1e-5);
    if (tf.getBackend() === "tensorflow") assert.deepEqual(heard, ["compiling the sampler 0/1", "compiling the sampler 1/1"], "once for each size of batches that comes often");
    tf.dispose([compiled, eager, latents, decoded, plain]);
    assert.equal(tf.memory().numTensors - tensors, 2, "the moments above");
    disposeModel(model);
  });

  it("sees weights that were changed between two calls", () => {
    const model = smallModel();
    const draw = (compile: boolean): tf.Tensor4D => sample(model, LABELS, { batchSize: 4, compile });
    draw(true).dispose();
    const gain = model.parameters["finalNorm.scale"] as tf.Variable;
    tf.tidy(() => gain.assign(tf.mul(gain, 0.5)));
    assert.ok(distance(draw(true), draw(false)) < 1e-5);
    disposeModel(model);
  });
});

describe("the small autoencoder's compiled encoder and decoder", () => {
  it("give at the third call what they gave at the first", async () => {
    const encoder = await loadEncoder(join(projectRoot(), "checkpoints", "avatars-32-encoder.safetensors"));
    const images = tf.tensor4d(randomStream(0, "images").uniform(4 * 32 * 32 * 3), [4, 32, 32, 3]);
    const heard: string[] = [];
    const listen = ({ label, done, total }: { label: string; done: number; total: number }): void => void heard.push(`${label} ${done}/${total}`);
    const latents = Array.from({ length: 4 }, () => encoder.encode(images, listen));
    const decoded = latents.map((each) => encoder.decode(each, listen));
    if (tf.getBackend() === "tensorflow") assert.deepEqual(heard, ["encoder 0/1", "encoder 1/1", "decoder 0/1", "decoder 1/1"].map((what) => `compiling the ${what}`));
    for (const later of [2, 3]) {
      assert.ok(distance(latents[later], latents[0]) < 1e-4);
      assert.ok(distance(decoded[later], decoded[0]) < 1e-4);
    }
    assert.throws(() => encoder.encode(tf.zeros([1, 16, 16, 3])), /\[B, 32, 32, 3\]/);
    encoder.dispose();
  });
});

describe("a compiled function that is followed", () => {
  const square = compile(({ x }: { x: tf.Tensor }) => ({ y: tf.square(x) }));
  const call = (): tf.Tensor => square({ x: tf.tensor1d([1, 2]) }).y;

  it("runs inside another compiled function, under reverse and under forward mode", () => {
    for (let count = 0; count < 4; count++) assert.deepEqual([...call().dataSync()], [1, 4]);
    const outer = compile(({ x }: { x: tf.Tensor }) => ({ y: tf.add(square({ x }).y, 1) }));
    for (const value of [1, 2, 3, 4]) assert.deepEqual([...outer({ x: tf.tensor1d([value, 2 * value]) }).y.dataSync()], [value ** 2 + 1, 4 * value ** 2 + 1]);
    const point = tf.tensor1d([3, -1]);
    assert.deepEqual([...tf.grad((x) => tf.sum(square({ x }).y))(point).dataSync()], [6, -2]);
    assert.deepEqual([...jvp((x: tf.Tensor) => square({ x }).y, [point], [tf.tensor1d([1, 10])]).tangent.dataSync()], [6, -20]);
  });
});

describe("the temperature", () => {
  it("scales the noise of the seed, down to one image a class, and leaves noise that is given alone", () => {
    const model = smallModel();
    const options = { seed: 3, compile: false };
    const noise = tf.tensor4d(randomStream(3, "sampling noise").normal(3 * 64), [3, 4, 4, 4]);
    const [cool, expected, given] = [sample(model, [0, 1, 2], { ...options, temperature: 0.5 }), sample(model, [0, 1, 2], { ...options, eps: tf.mul<tf.Tensor4D>(noise, 0.5) }), sample(model, [0, 1, 2], { ...options, eps: noise, temperature: 0.5 })];
    assert.equal(distance(cool, expected), 0);
    assert.equal(distance(given, sample(model, [0, 1, 2], options)), 0);
    const frozen = sample(model, [1, 1, 2], { ...options, temperature: 0 });
    const [first, second, other] = tf.unstack(frozen);
    assert.ok(distance(first, second) === 0 && distance(first, other) > 0.01);
    for (const temperature of [-1, NaN, Infinity]) assert.throws(() => sample(model, [0], { temperature }), new RegExp(`standard deviation, 0 or more and usually up to 1, not ${temperature}`));
    disposeModel(model);
  });
});
