import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { finerTokens } from "../../src/model/finer-tokens";
import { initializeParameters, network, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { train } from "../../src/model/trainer";
import { base, network as tiny, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-finer-tokens-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

/** Weights that are all drawn, so that none is at the zero or one where its kind starts. */
function drawn(config: NetworkConfig): Record<string, tf.Tensor> {
  const shapes = Object.fromEntries(Object.entries(parameterShapes(config)).map(([name, { shape }]) => [name, { shape, start: 0.3 }]));
  return initializeParameters(shapes, randomStream(3, "weights"));
}

const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);

describe("weights for finer tokens", () => {
  const coarse: NetworkConfig = { ...tiny, depth: 0, latentSize: 4, patchSize: 4 };

  for (const [patchSize, bottleneck] of [[2, 0], [1, 0], [2, 5]])
    it(`from patches of 4 to patches of ${patchSize}${bottleneck > 0 ? " through a bottleneck" : ""}: latents that repeat give the mean of the parts that the coarse network makes`, () => {
      const [before, now] = [4, patchSize].map((size) => ({ ...coarse, bottleneck, patchSize: size }));
      const k = 4 / patchSize;
      const weights = drawn(before);
      const tensors = tf.memory().numTensors;
      const finer = finerTokens(weights, before, now);
      assert.equal(tf.memory().numTensors - tensors, Object.keys(weights).length, "nothing but the weights is left");
      assert.deepEqual(Object.fromEntries(Object.entries(finer).map(([name, { shape }]) => [name, shape])), Object.fromEntries(Object.entries(parameterShapes(now)).map(([name, { shape }]) => [name, shape])));
      // One small patch of latents, repeated k x k times: the coarse network's one token is then the finer's k k tokens, all alike without blocks between.
      const patch = tf.tensor4d(randomStream(4, "latents").normal(2 * patchSize * patchSize * 2), [2, patchSize, patchSize, 2]);
      const z = tf.tile(patch, [1, k, k, 1]);
      const [r, y] = [tf.tensor1d([0, 0.5]), tf.tensor1d([0, 1], "int32")];
      const whole = Array.from(network(before, weights, z, r, y).dataSync());
      const part = 16 / k;
      const wanted = whole.map((_, index) => {
        const [image, row, column, channel] = [Math.floor(index / 768), Math.floor(index / 48) % 16, Math.floor(index / 3) % 16, index % 3];
        let sum = 0;
        for (let down = 0; down < k; down++) for (let right = 0; right < k; right++) sum += whole[((image * 16 + down * part + (row % part)) * 16 + right * part + (column % part)) * 3 + channel];
        return sum / k ** 2;
      });
      assert.ok(apart(network(now, finer, z, r, y), tf.tensor(wanted, [2, 16, 16, 3])) < 1e-5);
    });

  it("keeps the convolutions, and makes the mean of the features that go into them", () => {
    const [before, now] = [2, 1].map((patchSize) => ({ ...tiny, patchSize, head: "convolution" as const }));
    const weights = drawn(before);
    const finer = finerTokens(weights, before, now);
    assert.deepEqual(Object.fromEntries(Object.entries(finer).map(([name, { shape }]) => [name, shape])), Object.fromEntries(Object.entries(parameterShapes(now)).map(([name, { shape }]) => [name, shape])));
    for (const name of ["head.stages.0.first.weight", "head.image.bias", "blocks.0.attention.qkv.weight"]) assert.equal(apart(finer[name], weights[name]), 0);
    const features = weights["head.tokens.bias"].dataSync(); // 4 x 4 places of 16 channels -> 2 x 2
    const at = (row: number, column: number, channel: number): number => features[(row * 4 + column) * 16 + channel];
    const wanted = Array.from({ length: 64 }, (_, index) => {
      const [row, column, channel] = [Math.floor(index / 32), Math.floor(index / 16) % 2, index % 16];
      return (at(row, column, channel) + at(row + 2, column, channel) + at(row, column + 2, channel) + at(row + 2, column + 2, channel)) / 4;
    });
    assert.ok(apart(finer["head.tokens.bias"], tf.tensor1d(wanted)) < 1e-6);
  });

  it("are not made of finer ones, or of patches that do not fit", () => {
    assert.throws(() => finerTokens({}, tiny, { ...tiny, patchSize: 4 }), /a network of patchSize 2 gives no weights to one of 4: expected a multiple/);
    assert.throws(() => finerTokens({}, { ...tiny, patchSize: 3 }, tiny), /patchSize 3 gives no weights to one of 2/);
  });

  it("start a training from a model with larger patches, and no training from one with smaller", async () => {
    const run = async (name: string, patchSize: number, initialModel = ""): Promise<void> => {
      for await (const event of train({ ...base, name, steps: 1, initialModel, compile: false }, { resources: { ...resources, network: { ...tiny, patchSize } }, runsFolder: folder })) assert.ok(Number.isFinite(event.total));
    };
    const model = (name: string): string => join(folder, name, "model.safetensors");
    await run("coarse", 2);
    await run("fine", 1, model("coarse"));
    await assert.rejects(run("back", 2, model("fine")), /model\.safetensors does not fit this training: patchSize \(1 there, 2 here\)/);
  });
});
