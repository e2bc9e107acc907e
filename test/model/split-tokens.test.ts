import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startEngine } from "../../src/model/engine";
import { jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { disposeModel, loadModel } from "../../src/model/model";
import { initializeParameters, network, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { randomStream, type RandomStream } from "../../src/model/random";
import { splitConfig, splitTokens, tokensPerToken } from "../../src/model/split-tokens";
import { train } from "../../src/model/trainer";
import { base, network as tiny, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-split-tokens-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

/** Weights that are all drawn, so that none is at the zero or one where its kind starts. */
const drawn = (config: NetworkConfig): Record<string, tf.Tensor> => initializeParameters(Object.fromEntries(Object.entries(parameterShapes(config)).map(([name, { shape }]) => [name, { shape, start: 0.3 }])), randomStream(3, "weights"));
/** A stream whose noise is none. */
const silence: RandomStream = { ...randomStream(0, "silence"), normal: (count: number) => new Float32Array(count) };
const shapesOf = (entries: Record<string, { shape: number[] }>): Record<string, number[]> => Object.fromEntries(Object.entries(entries).map(([name, { shape }]) => [name, shape]));
const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);

const z = (): tf.Tensor4D => tf.tensor4d(randomStream(4, "latents").normal(2 * 4 * 4 * 2), [2, 4, 4, 2]);
const times = (): tf.Tensor1D => tf.tensor1d([0, 0.5]);
const classes = (): tf.Tensor1D => tf.tensor1d([0, 1], "int32");

describe("several tokens a patch", () => {
  const variants: [string, NetworkConfig, number][] = [
    ["a linear head, two tokens", { ...tiny, depth: 2, classTokens: 2 }, 2],
    ["a convolutional head, four tokens", { ...tiny, depth: 2, head: "convolution" }, 4],
    ["a head of two blocks at each resolution, four tokens", { ...tiny, head: "convolution", headBlocks: 2 }, 4],
    ["a bottleneck, four tokens", { ...tiny, bottleneck: 5 }, 4],
  ];

  for (const [name, config, count] of variants)
    it(`are the same network as one with one at first: ${name}`, () => {
      const weights = drawn(config);
      const tensors = tf.memory().numTensors;
      const split = splitTokens(weights, config, count, silence);
      assert.equal(tf.memory().numTensors - tensors, Object.keys(weights).length, "nothing but the weights is left");
      assert.deepEqual(shapesOf(split), shapesOf(parameterShapes(splitConfig(config, count))));
      const wanted = network(config, weights, z(), times(), classes());
      assert.ok(apart(network(splitConfig(config, count), split, z(), times(), classes()), wanted) < 1e-4 * tf.max(tf.abs(wanted)).dataSync()[0]);
      const noisy = apart(network(splitConfig(config, count), splitTokens(weights, config, count, randomStream(1, "copies")), z(), times(), classes()), wanted);
      assert.ok(noisy > 0 && noisy < 0.1 * tf.max(tf.abs(wanted)).dataSync()[0], `copies start apart by ${noisy}`);
    });

  it("have gradients that differ, so that they become different tokens", () => {
    const config: NetworkConfig = { ...tiny, head: "convolution" };
    const split = splitTokens(drawn(config), config, 4, randomStream(1, "copies"));
    const positions = split["positionEmbedding"];
    const [gradient] = tf.grads((rows: tf.Tensor) => tf.sum(tf.square(network(splitConfig(config, 4), { ...split, positionEmbedding: rows }, z(), times(), classes()))))([positions]);
    const rows = gradient.arraySync() as number[][];
    for (let first = 0; first < rows.length; first++)
      for (let second = first + 1; second < rows.length; second++) assert.ok(rows[first].some((value, index) => Math.abs(value - rows[second][index]) > 1e-4), `tokens ${first} and ${second} are told apart`);
  });

  it("have the derivative along a direction that finite differences have", () => {
    const config = splitConfig({ ...tiny, head: "convolution" }, 2);
    const weights = drawn(config);
    const direction = tf.tensor4d(randomStream(5, "direction").normal(64), [2, 4, 4, 2]);
    const F = (latents: tf.Tensor): tf.Tensor => network(config, weights, latents as tf.Tensor4D, times(), classes());
    const { tangent } = jvp(F, [z()], [direction]);
    const h = 1e-3;
    const difference = tf.div(tf.sub(F(tf.add(z(), tf.mul(h, direction))), F(tf.sub(z(), tf.mul(h, direction)))), 2 * h);
    assert.ok(apart(tangent as tf.Tensor, difference) < 2e-3 * tf.max(tf.abs(difference)).dataSync()[0]);
  });

  it("are counted between networks whose tokens all became as many", () => {
    assert.equal(tokensPerToken(tiny, splitConfig(tiny, 4)), 4);
    assert.equal(tokensPerToken(tiny, tiny), 1);
    assert.equal(tokensPerToken(tiny, { ...splitConfig(tiny, 4), timeTokens: 1 }), undefined);
    assert.equal(tokensPerToken(splitConfig(tiny, 2), tiny), undefined);
  });

  it("start a training from a model with one, which goes on, and no training from one with more", async () => {
    const run = async (name: string, count: number, initialModel = ""): Promise<void> => {
      for await (const event of train({ ...base, name, steps: 2, initialModel, compile: false }, { resources: { ...resources, network: splitConfig(tiny, count) }, runsFolder: folder })) assert.ok(Number.isFinite(event.total));
    };
    const model = (name: string): string => join(folder, name, "model.safetensors");
    await run("one", 1);
    await run("two", 2, model("one"));
    const saved = await loadModel(model("two"));
    assert.equal(saved.network.tokensPerPatch, 2);
    disposeModel(saved);
    await run("on", 2, model("two"));
    await assert.rejects(run("back", 1, model("two")), /model\.safetensors does not fit this training: tokensPerPatch \(2 there, 1 here\), classTokens \(2 there, 1 here\), timeTokens \(2 there, 1 here\)/);
    await assert.rejects(run("again", 4, model("two")), /a network with 2 tokens a patch can not be split again: split the one it was made of/);
  });

  it("are a whole number from 1, and so are blocks of the head", () => {
    assert.throws(() => parameterShapes({ ...tiny, tokensPerPatch: 1.5 }), /tokensPerPatch must be a whole number from 1, not 1\.5/);
    assert.throws(() => parameterShapes({ ...tiny, headBlocks: 0 }), /headBlocks must be a whole number from 1, not 0/);
  });
});
