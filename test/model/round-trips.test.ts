import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { latestCheckpoint, restoreCheckpoint, saveCheckpoint } from "../../src/model/checkpoint";
import { networkConfig, resolveConfig } from "../../src/model/config";
import { createDataset, imageBatch } from "../../src/model/data";
import { cachedLatents, encodeDataset, loadEncoder, trainEncoder, type Encoder } from "../../src/model/encoder";
import { tf } from "../../src/model/engine/tf";
import { loadModel, saveModel, type Model } from "../../src/model/model";
import { initializeParameters, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { randomStream } from "../../src/model/random";
import { float32Values, readSafetensors, writeSafetensors } from "../../src/model/safetensors";
import { sample } from "../../src/model/sampler";
import { createTrainingState, disposeTrainingState, STREAM_NAMES, type TrainingState } from "../../src/model/training-state";
import { temporaryFolder } from "../setup/temporary";

const folder = temporaryFolder();
const COUNT = 12;
const dataset = createDataset({ name: "noise", split: "train", classes: ["a", "b"], imageSize: 16, pixels: Uint8Array.from(randomStream(0, "pixels").integers(COUNT * 768, 256)), labels: Int32Array.from({ length: COUNT }, (_, index) => index % 2) });
const bytesOf = (tensor: tf.Tensor): Buffer => Buffer.from((tensor.dataSync() as Float32Array).slice().buffer);

describe("an encoder", () => {
  const file = join(folder, "encoder.safetensors");
  let encoder: Encoder;
  before(async () => {
    encoder = await trainEncoder(dataset, { steps: 3, batchSize: 4, channels: 4, latentChannels: 2 });
    await encoder.save(file);
  });
  after(() => encoder.dispose());

  it("encodes and decodes the same, bit for bit, once saved and loaded", async () => {
    const before = tf.memory().numTensors;
    const loaded = await loadEncoder(file);
    assert.equal(loaded.fingerprint, encoder.fingerprint);
    assert.deepEqual([loaded.mean, loaded.standardDeviation, loaded.latentSize], [encoder.mean, encoder.standardDeviation, 4]);
    tf.tidy(() => {
      const { images } = imageBatch(dataset, Int32Array.of(0, 5));
      const latents = encoder.encode(images);
      assert.deepEqual(bytesOf(loaded.encode(images)), bytesOf(latents));
      assert.deepEqual(bytesOf(loaded.decode(latents)), bytesOf(encoder.decode(latents)));
    });
    loaded.dispose();
    assert.equal(tf.memory().numTensors, before);
  });

  it("is half as large in 16-bit numbers, which give back the same images nearly, and are kept exactly from then on", async () => {
    const [half, again] = ["half.safetensors", "again.safetensors"].map((name) => join(folder, name));
    await encoder.save(half, { dtype: "F16" });
    const bytesIn = async (path: string): Promise<number> => Object.values((await readSafetensors(path)).tensors).reduce((sum, { data }) => sum + data.byteLength, 0);
    assert.equal(2 * (await bytesIn(half)), await bytesIn(file));
    const rounded = await loadEncoder(half);
    assert.notEqual(rounded.fingerprint, encoder.fingerprint);
    await rounded.save(again, { dtype: "F16" });
    assert.deepEqual(readFileSync(again), readFileSync(half));
    tf.tidy(() => {
      const latents = tf.randomNormal<tf.Rank.R4>([3, 4, 4, 2], 0, 1, "float32", 0);
      const apart = tf.max(tf.abs(tf.sub(rounded.decode(latents), encoder.decode(latents)))).dataSync()[0];
      assert.ok(apart > 0 && apart < 0.01, `images ${apart} apart`);
    });
    rounded.dispose();
  });

  it("has another fingerprint when one weight, or one statistic, changes by its last bit", async () => {
    const { tensors, metadata } = await readSafetensors(file);
    const fingerprintOf = async (changedTensors: typeof tensors, changedMetadata: typeof metadata): Promise<string> => {
      const changed = join(folder, "changed.safetensors");
      await writeSafetensors(changed, changedTensors, changedMetadata);
      const loaded = await loadEncoder(changed);
      loaded.dispose();
      return loaded.fingerprint;
    };
    assert.equal(await fingerprintOf(tensors, metadata), encoder.fingerprint);
    const name = "encoder.down.0.weight";
    const data = float32Values(tensors[name], name).slice();
    new Uint32Array(data.buffer)[0] ^= 1;
    assert.notEqual(await fingerprintOf({ ...tensors, [name]: { dtype: "F32", shape: tensors[name].shape, data } }, metadata), encoder.fingerprint);
    const mean = JSON.stringify(encoder.mean.map((value, index) => (index === 0 ? value * (1 + Number.EPSILON) : value)));
    assert.notEqual(await fingerprintOf(tensors, { ...metadata, mean }), encoder.fingerprint);
  });

  it("is refused by name where its file is cut off or holds something else", async () => {
    const cut = join(folder, "cut.safetensors");
    await encoder.save(cut);
    truncateSync(cut, Math.floor(readFileSync(cut).length / 2));
    await assert.rejects(loadEncoder(cut), (error: Error) => error.message.includes(cut));
    await writeSafetensors(cut, {}, { kind: "crossflow model" });
    await assert.rejects(loadEncoder(cut), /cut\.safetensors holds no encoder \(its kind is "crossflow model"\)/);
    await writeSafetensors(cut, {}, (await readSafetensors(file)).metadata);
    await assert.rejects(loadEncoder(cut), /is no complete encoder: encoder\.down\.0\.weight/);
  });

  it("makes latents like another encoder's when asked, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    const trained = (like?: Encoder): Promise<Encoder> => trainEncoder(dataset, { seed: 1, steps: 60, batchSize: 12, channels: 4, latentChannels: 2, like, likeWeight: 1 });
    const [alike, free] = [await trained(encoder), await trained()];
    const target = await encodeDataset(encoder, dataset);
    const correlation = async (other: Encoder): Promise<number> => (await encodeDataset(other, dataset)).reduce((sum, value, index) => sum + value * target[index], 0) / target.length;
    const [near, far] = [await correlation(alike), await correlation(free)];
    assert.ok(near > 0.6 && Math.abs(far) < 0.4, `correlation ${near} when asked, ${far} when not`);
    alike.dispose();
    free.dispose();
    assert.equal(tf.memory().numTensors, before);
  });

  it("refuses to resemble an encoder whose latents have another shape", async () => {
    await assert.rejects(trainEncoder(dataset, { latentChannels: 3, like: encoder }), /the encoder to resemble makes 4 x 4 x 2 latents of 16-pixel images, the new one 4 x 4 x 3/);
  });

  describe("latents", () => {
    const caches = join(folder, "caches");
    let calls = 0;
    const counted = (): Encoder => ({ ...encoder, encode: (images) => (calls++, encoder.encode(images)) });
    const cacheFiles = (): string[] => readdirSync(caches).sort();
    let direct: Float32Array;
    before(async () => void (direct = await encodeDataset(encoder, dataset)));
    // A batch's first encoding runs operation by operation, later ones as one graph, whose fused sums round differently.
    const assertSameLatents = (actual: Float32Array, wanted: Float32Array, message?: string): void => {
      assert.equal(actual.length, wanted.length, message);
      const apart = actual.reduce((most, value, index) => Math.max(most, Math.abs(value - wanted[index])), 0);
      assert.ok(apart < 1e-5, `${message ?? "latents"}: ${apart} apart`);
    };

    it("are encoded once, and read again bit for bit", async () => {
      const first = await cachedLatents(counted(), dataset, caches);
      assert.deepEqual([first, calls], [direct, 1]);
      assert.deepEqual(await cachedLatents(counted(), dataset, caches), direct);
      assert.equal(calls, 1, "the second time nothing is encoded");
      assert.equal(cacheFiles().length, 1);
    });

    it("are normalised: mean 0 and deviation 1 in each channel", () => {
      for (const channel of [0, 1]) {
        const values = direct.filter((_, index) => index % 2 === channel);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
        assert.ok(Math.abs(mean) < 1e-4 && Math.abs(variance - 1) < 1e-3, `channel ${channel}: mean ${mean}, variance ${variance}`);
      }
    });

    it("of another encoder, or of other data, are encoded anew and leave the old ones", async () => {
      const other: Encoder = { ...counted(), fingerprint: "another", encode: (images) => (calls++, tf.tidy(() => tf.mul(encoder.encode(images), 2))) };
      const before = calls;
      assertSameLatents(await cachedLatents(other, dataset, caches), direct.map((value) => 2 * value));
      assert.deepEqual(await cachedLatents(counted(), dataset, caches), direct, "the first encoder's are still its own");
      const half = createDataset({ name: "noise", split: "train", classes: ["a", "b"], imageSize: 16, pixels: dataset.pixels.slice(0, 6 * 768), labels: dataset.labels.slice(0, 6) });
      assertSameLatents(await cachedLatents(counted(), half, caches), direct.slice(0, 6 * 32));
      assert.deepEqual([calls - before, cacheFiles().length], [2, 3]);
    });

    for (const [what, length] of [["cut in half", 0.5], ["empty", 0]] as const)
      it(`are encoded anew where their file is ${what}`, async () => {
        const file = join(caches, cacheFiles().find((name) => name.includes(encoder.fingerprint) && name.includes(dataset.fingerprint.slice(0, 12)))!);
        const whole = readFileSync(file);
        truncateSync(file, Math.floor(whole.length * length));
        const before = calls;
        assertSameLatents(await cachedLatents(counted(), dataset, caches), direct);
        assert.deepEqual([calls - before, readFileSync(file).length], [1, whole.length], "and the file is whole again");
      });

    it("leave no half file when encoding is stopped", async () => {
      const stopped = join(folder, "stopped");
      const abortion = new AbortController();
      abortion.abort(new Error("stop"));
      await assert.rejects(cachedLatents(encoder, dataset, stopped, { signal: abortion.signal }), /stop/);
      assert.throws(() => readdirSync(stopped), /ENOENT/);
    });
  });
});

const small: NetworkConfig = { ...networkConfig("tiny", { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 2 }), width: 16, depth: 1, heads: 2, headChannels: 16 };

/** Weights of which none is zero. */
const randomWeights = (config: NetworkConfig, name: string): Record<string, tf.Variable> =>
  initializeParameters(Object.fromEntries(Object.entries(parameterShapes(config)).map(([key, { shape }]) => [key, { shape, start: 0.3 }])), randomStream(3, name));

describe("a model", () => {
  const file = join(folder, "model.safetensors");
  const model: Model = { network: small, parameters: randomWeights(small, "model"), classNames: ["a", "b"], encoderFingerprint: "fixed", minimumTime: 0.02, provenance: { steps: 7 } };

  it("gives the same samples, bit for bit, once saved and loaded", async () => {
    await saveModel(file, model);
    const { parameters, ...rest } = await loadModel(file);
    const { parameters: saved, ...expected } = model;
    assert.deepEqual(rest, expected);
    assert.deepEqual(Object.keys(parameters).sort(), Object.keys(saved).sort());
    tf.tidy(() => assert.deepEqual(bytesOf(sample({ ...rest, parameters }, [0, 1, 2], { seed: 4 })), bytesOf(sample(model, [0, 1, 2], { seed: 4 }))));
    tf.dispose(parameters);
  });

  it("is refused by name where its file is cut off, or its weights are those of another network", async () => {
    const { tensors, metadata } = await readSafetensors(file);
    await writeSafetensors(file, tensors, { ...metadata, network: JSON.stringify({ ...small, width: 24 }) });
    await assert.rejects(loadModel(file), /model\.safetensors are not those of this network: .* of another shape .*instead of/);
    truncateSync(file, 5000);
    await assert.rejects(loadModel(file), (error: Error) => error.message.includes(file));
  });
});

describe("a checkpoint", () => {
  const config = resolveConfig({ losses: { pixel: 1, adversarial: 1 }, imageSize: 16, criticChannels: 6 });
  const content = (state: TrainingState): unknown => ({
    step: state.step,
    criticSteps: state.criticSteps,
    streams: STREAM_NAMES.map((name) => state.streams[name].state()),
    variables: Object.entries(state.variables).map(([group, variables]) => [group, Object.entries(variables).map(([name, variable]) => [name, bytesOf(variable).toString("base64")])]),
  });
  const record = { config, encoder: "e", dataset: "d", order: "o", seconds: 1.5 };

  /** A state in which every number differs from the one it starts with. */
  function trainedState(seed: number): TrainingState {
    const state = createTrainingState(config, small);
    state.step = seed;
    state.criticSteps = seed + 1;
    for (const name of STREAM_NAMES) state.streams[name].uniform(seed);
    Object.entries(state.variables).forEach(([group, variables]) =>
      Object.entries(variables).forEach(([name, variable]) => tf.tidy(() => variable.assign(tf.tensor(randomStream(seed, `${group}/${name}`).normal(variable.size), variable.shape)))),
    );
    return state;
  }

  it("puts back weights, averages, moments, critic, streams and counts, bit for bit", async () => {
    const [trained, fresh] = [trainedState(11), createTrainingState(config, small)];
    const saved = await saveCheckpoint(join(folder, "checkpoints"), trained, record);
    assert.notDeepEqual(content(fresh), content(trained));
    const read = await restoreCheckpoint(saved, fresh);
    assert.deepEqual(content(fresh), content(trained));
    assert.deepEqual([read.encoder, read.dataset, read.order, read.seconds, read.config], ["e", "d", "o", 1.5, config]);
    [trained, fresh].forEach(disposeTrainingState);
  });

  it("is one of the newest three; one that was being written is none", async () => {
    const directory = join(folder, "rolling");
    const state = createTrainingState(config, small);
    for (const step of [1, 2, 3, 4, 5]) await saveCheckpoint(directory, Object.assign(state, { step }), record);
    assert.deepEqual(readdirSync(directory).sort(), ["step-00000003", "step-00000004", "step-00000005"]);
    await writeSafetensors(join(directory, "step-00000006.partial", "tensors.safetensors"), {});
    assert.equal(latestCheckpoint(directory), join(directory, "step-00000005"));
    disposeTrainingState(state);
  });

  it("that does not fit changes nothing of the state", async () => {
    const state = createTrainingState(config, small);
    const saved = await saveCheckpoint(join(folder, "other"), state, record);
    disposeTrainingState(state);
    const other = createTrainingState(config, { ...small, width: 24 });
    const before = content(other);
    await assert.rejects(restoreCheckpoint(saved, other), /not those of this network/);
    assert.deepEqual(content(other), before);
    rmSync(join(saved, "checkpoint.json"));
    await assert.rejects(restoreCheckpoint(saved, other), /checkpoint\.json can not be read.*go on from the checkpoint before it/);
    disposeTrainingState(other);
  });
});
