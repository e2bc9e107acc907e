import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { mixModels, type MixturePart } from "../../src/model/mixture";
import { disposeModel, type Model } from "../../src/model/model";
import { network } from "./tiny-training";

const modelOf = (weight: number, given: Partial<Model> = {}): Model => ({
  network, classNames: ["first", "second"], encoderFingerprint: "fake", minimumTime: 0.01, provenance: { steps: 5, earlierSteps: 10 * weight, lossNetworks: [`network-${weight}`] },
  parameters: { "a.weight": tf.fill([2, 3], weight), "b.scale": tf.tensor1d([weight, -weight]) },
  ...given,
});

describe("a mixture of models", () => {
  it("has the mean of their weights, tells of all its parts, and leaves them as they were", () => {
    const before = tf.memory().numTensors;
    const parts: MixturePart[] = [{ model: modelOf(1), share: 0.75, name: "one" }, { model: modelOf(3), share: 0.25, name: "three" }];
    const mixed = mixModels(parts);
    assert.deepEqual(Object.entries(mixed.parameters).map(([name, weights]) => [name, weights.shape, Array.from(weights.dataSync())]), [["a.weight", [2, 3], Array(6).fill(1.5)], ["b.scale", [2], [1.5, -1.5]]]);
    assert.deepEqual(mixed.provenance, { steps: 5, earlierSteps: 10, lossNetworks: ["network-1", "network-3"], mixture: [{ name: "one", share: 0.75, steps: 15 }, { name: "three", share: 0.25, steps: 35 }] });
    assert.deepEqual(Array.from(parts[1].model.parameters["b.scale"].dataSync()), [3, -3]);
    [mixed, ...parts.map(({ model }) => model)].forEach(disposeModel);
    assert.equal(tf.memory().numTensors, before);
  });

  it("refuses what makes no mean, and leaves no tensor", () => {
    const [one, wider, another, flow] = [modelOf(1), modelOf(1, { network: { ...network, width: 32 } }), modelOf(1, { encoderFingerprint: "other" }), modelOf(1, { provenance: { config: { method: "latent-flow" } } })];
    const before = tf.memory().numTensors;
    const mix = (model: Model, shares: number[]) => (): Model => mixModels(shares.map((share, index) => ({ model: index === 0 ? one : model, share, name: index === 0 ? "one" : "other" })));
    assert.throws(mix(one, [1]), /a mixture needs at least two models, not 1/);
    assert.throws(mix(one, [0.5, 0.4]), /lie above 0 and add up to 1, not 0\.5 \+ 0\.4 = 0\.9/);
    assert.throws(mix(one, [1.5, -0.5]), /lie above 0 and add up to 1/);
    assert.throws(mix(wider, [0.5, 0.5]), /other can not be mixed with one: width \(32 there, 16 here\)\. Choose models that went on from the same one/);
    assert.throws(mix(another, [0.5, 0.5]), /encoderFingerprint \("other" there, "fake" here\)/);
    assert.throws(mix(flow, [0.5, 0.5]), /method \("latent-flow" there, "crossflow" here\)/);
    assert.equal(tf.memory().numTensors, before);
    [one, wider, another, flow].forEach(disposeModel);
  });
});
