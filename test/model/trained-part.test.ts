import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { latentToLatent } from "../../src/model/baselines/shapes";
import { startFromModel } from "../../src/model/checkpoint";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { defineLoss } from "../../src/model/losses";
import { disposeModel, evaluateModel, loadModel } from "../../src/model/model";
import { isOfHead, network, type NetworkConfig } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { train } from "../../src/model/trainer";
import { createTrainingState, disposeTrainingState } from "../../src/model/training-state";
import { base, coarseEncoder, network as tiny, resources as plain } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-trained-part-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

const convolutional: NetworkConfig = { ...tiny, head: "convolution" };
const resources = { ...plain, encoder: coarseEncoder, network: convolutional };
const modelOf = (name: string): string => join(folder, name, "model.safetensors");
const run = async (name: string, given: Partial<TrainConfig>): Promise<number[]> => {
  const totals: number[] = [];
  for await (const { total } of train({ ...base, name, steps: 4, ...given }, { resources, runsFolder: folder })) totals.push(total);
  return totals;
};

describe("a head that learns alone", () => {
  it("changes, and leaves the transformer bit for bit, compiled as step by step; no tensor leaks", async () => {
    await run("first", {});
    const tensors = tf.memory().numTensors;
    const compiled = await run("head", { initialModel: modelOf("first"), trainedPart: "head" });
    const eager = await run("head-eager", { initialModel: modelOf("first"), trainedPart: "head", compile: false });
    assert.equal(tf.memory().numTensors, tensors);
    compiled.forEach((total, step) => assert.ok(Math.abs(total - eager[step]) < 1e-3 * Math.abs(total), `step ${step + 1}: ${total} compiled, ${eager[step]} eager`));
    const [before, now] = [await loadModel(modelOf("first")), await loadModel(modelOf("head"))];
    for (const [name, weights] of Object.entries(before.parameters)) {
      const same = tf.tidy(() => tf.all(tf.equal(weights, now.parameters[name])).dataSync()[0] === 1);
      assert.equal(same, !isOfHead(name), name);
    }
    [before, now].forEach(disposeModel);
  });

  it("may have more blocks than the model it starts from, which start as the identity", async () => {
    const file = modelOf("first");
    const larger: NetworkConfig = { ...convolutional, headBlocks: 3 };
    const state = createTrainingState(resolveConfig({}), larger);
    await startFromModel(file, state, 0);
    const model = await loadModel(file);
    const z = tf.tensor4d(randomStream(1, "latents").normal(64), [2, 4, 4, 2]);
    const [r, y] = [tf.tensor1d([0, 0.5]), tf.tensor1d([0, 1], "int32")];
    const [wanted, found] = [evaluateModel(model, z, r, y), network(larger, state.variables.parameters, z, r, y)];
    assert.ok(tf.max(tf.abs(tf.sub(found, wanted))).dataSync()[0] < 1e-6);
    disposeModel(model);
    disposeTrainingState(state);
    for await (const event of train({ ...base, name: "larger", steps: 1, compile: false }, { resources: { ...resources, network: larger }, runsFolder: folder })) assert.ok(Number.isFinite(event.total));
    const smaller = createTrainingState(resolveConfig({}), convolutional);
    await assert.rejects(startFromModel(modelOf("larger"), smaller, 0), /does not fit this training: headBlocks \(3 there, 1 here\)/);
    disposeTrainingState(smaller);
    // A flow of latents has another head, and takes the transformer alone.
    const flow = createTrainingState(resolveConfig({ method: "latent-flow" }), latentToLatent(convolutional));
    assert.equal((await startFromModel(modelOf("larger"), flow, 0)).steps, 1);
    disposeTrainingState(flow);
  });
});

describe("what a critic holds samples against", () => {
  defineLoss("distance-to-real", ({ samples }) => tf.mean(tf.abs(tf.sub(samples.images, samples.real))) as tf.Scalar);
  defineLoss("distance-to-target", ({ samples, endTarget }) => tf.mean(tf.abs(tf.sub(samples.images, endTarget!))) as tf.Scalar);
  const given: Partial<TrainConfig> = { endTarget: "reconstruction", steps: 1, compile: false };

  it("is what they are taught to be with criticReal \"targets\", and the data's images without", async () => {
    const initialModel = modelOf("first");
    const [target] = await run("target", { ...given, initialModel, losses: { "distance-to-target": 1 } });
    const [targets] = await run("targets", { ...given, initialModel, criticReal: "targets", losses: { "distance-to-real": 1 } });
    const [data] = await run("data", { ...given, initialModel, losses: { "distance-to-real": 1 } });
    assert.equal(targets, target);
    assert.ok(Math.abs(data - target) > 0.01 * target, `${data} to the data's images, ${target} to the targets`);
  });

  it("has targets alone where samples are taught images", () => {
    assert.throws(() => resolveConfig({ criticReal: "targets" }), /criticReal "targets" holds samples against what they are taught to be, and with endTarget "derivative" they are taught no image/);
  });

  it("trains with a local critic, compiled as step by step", async () => {
    const adversarial: Partial<TrainConfig> = { endTarget: "reconstruction", initialModel: modelOf("first"), criticReal: "targets", criticNetwork: "local", criticChannels: 4, losses: { pixel: 1, adversarial: 1 }, criticLead: 0, steps: 3 };
    const tensors = tf.memory().numTensors;
    const [compiled, eager] = [await run("local", adversarial), await run("local-eager", { ...adversarial, compile: false })];
    compiled.forEach((total, step) => assert.ok(Math.abs(total - eager[step]) < 1e-3 * Math.abs(total), `step ${step + 1}: ${total} compiled, ${eager[step]} eager`));
    assert.equal(tf.memory().numTensors, tensors);
  });
});
