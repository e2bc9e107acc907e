import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { featureCritic, featureCriticShapes, featureLevels, type FeatureCriticConfig } from "../../src/model/critic-features";
import { tf } from "../../src/model/engine/tf";
import type { FeatureNetwork } from "../../src/model/features/feature-network";
import { isIndependent, networksOfLosses } from "../../src/model/metrics";
import { randomStream } from "../../src/model/random";
import { disposeResources, loadLossNetworks } from "../../src/model/resources";
import { runPaths } from "../../src/model/run";
import { readSafetensors } from "../../src/model/safetensors";
import { createTrainingState } from "../../src/model/training-state";
import { train, type StepEvent } from "../../src/model/trainer";
import { assertMatches, readGolden, unpack, unpackAll, type Packed } from "./golden";
import { base, network, resources } from "./tiny-training";

describe("the critic on frozen features, against PyTorch", () => {
  const { config, levels, weights, y, whole, patches, gradients } = readGolden<{
    config: FeatureCriticConfig;
    levels: Packed[];
    weights: Record<string, Packed>;
    y: number[];
    whole: Packed;
    patches: Packed;
    gradients: { levels: Packed[]; weights: Record<string, Packed> };
  }>("critic-features");
  const [features, parameters] = [levels.map(unpack) as tf.Tensor4D[], unpackAll(weights)];
  const labels = tf.tensor1d(y, "int32");
  const names = Object.keys(weights);

  it("has the same parameters, and the same scores from every level", () => {
    const shapes = Object.fromEntries(Object.entries(featureCriticShapes(config)).map(([name, { shape }]) => [name, shape]));
    assert.deepEqual(shapes, Object.fromEntries(names.map((name) => [name, weights[name].shape])));
    const scores = featureCritic(config, parameters, features, labels);
    assertMatches(scores.whole, whole, 1e-5, "whole");
    assertMatches(scores.patches, patches, 1e-5, "patches");
  });

  it("has the same gradients in the features and in every parameter", () => {
    const value = (...tensors: tf.Tensor[]): tf.Scalar => {
      const p = Object.fromEntries(names.map((name, index) => [name, tensors[features.length + index]]));
      const scores = featureCritic(config, p, tensors.slice(0, features.length) as tf.Tensor4D[], labels);
      return tf.add(tf.mean(tf.softplus(scores.whole)), tf.mean(tf.softplus(scores.patches))) as tf.Scalar;
    };
    const { grads } = tf.valueAndGrads(value)([...features, ...Object.values(parameters)]);
    gradients.levels.forEach((gradient, level) => assertMatches(grads[level], gradient, 3e-5, `gradient in level ${level}`));
    names.forEach((name, index) => assertMatches(grads[features.length + index], gradients.weights[name], 3e-5, `gradient in ${name}`));
  });
});

describe("training with a critic on frozen features", () => {
  const folder = mkdtempSync(join(tmpdir(), "crossflow-critic-"));
  const settings: Partial<TrainConfig> = { ...base, losses: { pixel: 1, adversarial: 0.5 }, criticNetwork: "efficientnet-lite0", criticSize: 16, criticChannels: 4, criticLead: 1, adversarialRamp: 2, lossStart: { adversarial: 2 } };
  // Stands in for a pretrained network: two levels, 8 x 8 and 4 x 4.
  const filters = [3, 4].map((from, level) => tf.tensor4d(randomStream(3, `filters ${level}`).normal(16 * from * (from + 1)), [4, 4, from, from + 1]));
  const features = (images: tf.Tensor4D): tf.Tensor4D[] => {
    const first = tf.relu(tf.conv2d(images, filters[0], 2, "same"));
    return [first, tf.relu(tf.conv2d(first, filters[1], 2, "same"))];
  };
  const critic: FeatureNetwork = { name: "stand-in", fingerprint: "", resize: "none", embeddingSize: 5, features, embedding: (images) => tf.mean(features(images)[1], [1, 2]), dispose: () => undefined };
  after(() => {
    tf.dispose(filters);
    rmSync(folder, { recursive: true, force: true });
  });
  const run = async (config: Partial<TrainConfig>, existing: "fail" | "resume" = "fail", stopAfter = Infinity): Promise<StepEvent[]> => {
    const events: StepEvent[] = [];
    for await (const event of train({ ...settings, ...config }, { runsFolder: folder, resources: { ...resources, critic }, existing })) {
      events.push(event);
      if (event.step >= stopAfter) break;
    }
    return events;
  };
  const tensorsOf = async (name: string): Promise<Record<string, ArrayLike<unknown>>> => {
    const { tensors } = await readSafetensors(join(latestCheckpoint(runPaths(name, folder).checkpoints)!, "tensors.safetensors"));
    return Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]));
  };
  const numbers = (events: StepEvent[]): unknown[] => events.map(({ step, losses, total, gradientNorm }) => ({ step, losses, total, gradientNorm }));

  it("starts in stages, runs compiled as it does eagerly, and goes on bit for bit", async () => {
    const whole = await run({ name: "whole" });
    assert.deepEqual(whole.map(({ losses }) => Object.keys(losses).join()), ["pixel", "pixel,critic", ...Array(4).fill("pixel,adversarial,critic")]);
    const eager = await run({ name: "eager", compile: false });
    eager.forEach(({ losses, step }, index) => Object.entries(losses).forEach(([name, value]) => assert.ok(Math.abs(value - whole[index].losses[name]) <= 2e-3 * (1 + Math.abs(value)), `${name} of step ${step}: ${value} eagerly, ${whole[index].losses[name]} compiled`)));
    await run({ name: "parts" }, "fail", 4);
    assert.deepEqual(numbers(await run({ name: "parts" }, "resume")), numbers(whole.slice(4)));
    assert.deepEqual(await tensorsOf("parts"), await tensorsOf("whole"));
  });

  it("learns in its heads alone: the frozen network's weights are no part of a checkpoint", async () => {
    const names = Object.keys(await tensorsOf("whole")).filter((name) => name.startsWith("critic/"));
    const levels = featureLevels(critic, network.imageSize);
    assert.deepEqual(levels, [[8, 8, 4], [4, 4, 5]]);
    assert.deepEqual(names.sort(), Object.keys(featureCriticShapes({ levels, classes: 2, channels: 4 })).map((name) => `critic/${name}`).sort());
  });

  it("leaves no tensor behind, and frees the network that it loaded", async () => {
    const start = tf.memory().numTensors;
    const networks = await loadLossNetworks(resolveConfig(settings));
    assert.ok(networks.critic && !networks.perceptual);
    assert.deepEqual(featureLevels(networks.critic, 32), [[8, 8, 16], [4, 4, 24], [2, 2, 40]], "strides 2, 4 and 8 of the 16 pixels that the network sees");
    disposeResources({ ...resources, ...networks });
    assert.equal(tf.memory().numTensors, start);
    const counts: number[] = [];
    for await (const { step } of train({ ...settings, name: "leak" }, { runsFolder: folder, resources: { ...resources, critic } })) if (step > 2) counts.push(tf.memory().numTensors);
    assert.equal(new Set(counts).size, 1, counts.join());
    assert.equal(tf.memory().numTensors, start);
  });

  it("is named where the network is missing or unknown, and marks what is measured in it", () => {
    assert.throws(() => createTrainingState(resolveConfig(settings), network), /no efficientnet-lite0 for its critic.*criticNetwork to "pixels"/);
    assert.throws(() => resolveConfig({ criticNetwork: "efficientnet" }), /criticNetwork must be one of pixels, local, efficientnet-lite0/);
    const used = networksOfLosses(resolveConfig(settings));
    assert.deepEqual([used, isIndependent("efficientnet-lite0", used), isIndependent("efficientnet-lite2", used)], [["efficientnet-lite0"], false, true]);
    for (const criticNetwork of ["pixels", "local"]) assert.deepEqual(networksOfLosses(resolveConfig({ ...settings, criticNetwork })), []);
  });
});
