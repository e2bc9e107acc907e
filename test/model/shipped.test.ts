import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { generateImages, generateLatents } from "../../src/model/baselines";
import { AVATAR_CLASSES, imageBatch, loadAvatars } from "../../src/model/data";
import { loadEncoder, type Encoder } from "../../src/model/encoder";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { loadClassifier, type Classifier } from "../../src/model/features/classifier";
import { projectRoot } from "../../src/model/files";
import { asSaved } from "../../src/model/metrics/feature-set";
import { psnr } from "../../src/model/metrics/psnr";
import { accumulateSurface, type SurfaceMeasures } from "../../src/model/metrics/surface";
import { disposeModel, loadModel, type Model } from "../../src/model/model";
import { decode, sample } from "../../src/model/sampler";

const checkpoint = (name: string): string => join(projectRoot(), "checkpoints", name);
const MEGABYTE = 1e6;

describe("the weights that come with the project", () => {
  let network: Model;
  let decoder: Model;
  let flow: Model;
  let encoder: Encoder;
  let judge: Classifier;
  before(async () => {
    await startEngine();
    network = await loadModel(checkpoint("avatars.safetensors"));
    decoder = await loadModel(checkpoint("avatars-decoder.safetensors"));
    flow = await loadModel(checkpoint("avatars-flow.safetensors"));
    encoder = await loadEncoder(checkpoint("avatars-32-encoder.safetensors"));
    judge = await loadClassifier(checkpoint("avatars-classifier.safetensors"));
  });
  after(() => {
    [network, decoder, flow].forEach(disposeModel);
    encoder.dispose();
    judge.dispose();
  });

  const asked = (count: number): number[] => Array.from({ length: count }, (_, index) => index % network.network.classes);
  /** Share of images that the judge, which no loss has seen, puts into the class that was asked for. */
  const accuracy = (images: tf.Tensor4D, labels: number[]): number => {
    const seen = tf.tidy(() => judge.logits(images).argMax(1)).dataSync();
    images.dispose();
    return labels.filter((label, index) => seen[index] === label).length / labels.length;
  };

  it("are small, and know the same latents and classes", async () => {
    for (const name of ["avatars.safetensors", "avatars-decoder.safetensors", "avatars-flow.safetensors", "avatars-flow-fine.safetensors", "avatars-flow-guide.safetensors"]) assert.ok(statSync(checkpoint(name)).size < 8 * MEGABYTE, name);
    const [guide, fine] = [await loadModel(checkpoint("avatars-flow-guide.safetensors")), await loadModel(checkpoint("avatars-flow-fine.safetensors"))];
    for (const model of [network, decoder, flow, guide, fine]) {
      assert.equal(model.encoderFingerprint, encoder.fingerprint);
      assert.deepEqual(model.classNames, [...AVATAR_CLASSES]);
    }
    [guide, fine].forEach(disposeModel);
  });

  it("one evaluation of the network draws the class that was asked for", () => {
    const labels = asked(512);
    const share = accuracy(sample(network, labels, { seed: 11 }), labels);
    assert.ok(share >= 0.97, `${share} of 512 samples`);
  });

  it("one evaluation has no seams between patches, and is as flat and as sharp as the autoencoder leaves real images", async () => {
    const { test } = await loadAvatars();
    const surfaceOf = async (images: tf.Tensor4D): Promise<SurfaceMeasures> => {
      const surface = accumulateSurface();
      const saved = asSaved(images);
      await surface.add(saved);
      tf.dispose([images, saved]);
      return surface.finish();
    };
    const { images, labels } = imageBatch(test, Int32Array.from({ length: 512 }, (_, index) => index));
    const [asked, reconstructed] = [await labels.data(), encoder.decode(tf.tidy(() => encoder.encode(images)))];
    labels.dispose();
    const [real, kept, drawn] = [await surfaceOf(images), await surfaceOf(reconstructed), await surfaceOf(sample(network, asked, { seed: 13 }))];
    const told = JSON.stringify({ real, kept, drawn });
    assert.ok(Math.abs(drawn.seams! - real.seams!) < 0.15, told);
    assert.ok(drawn.flat > 0.9 * kept.flat && drawn.softEdges! < kept.softEdges! + 0.04, told);
  });

  it("the network that is a decoder alone keeps of held-out images what the autoencoder's decoder loses", async () => {
    const { test } = await loadAvatars();
    const { images, labels } = imageBatch(test, Int32Array.from({ length: 128 }, (_, index) => index));
    const z = tf.tidy(() => encoder.encode(images));
    const [byAutoencoder, byDecoder] = tf.tidy(() => [tf.clipByValue(encoder.decode(z), -1, 1) as tf.Tensor4D, decode(decoder, z, labels.dataSync())].map((made) => psnr(made, images).mean().dataSync()[0]));
    tf.dispose([images, labels, z]);
    assert.ok(byDecoder > byAutoencoder + 3, `${byDecoder} dB, ${byAutoencoder} dB by the autoencoder`);
  });

  it("the flow's latents are of the class that was asked for, by the autoencoder's decoder, by the network as a decoder, and by the decoder alone", () => {
    const labels = asked(128);
    const shares = [{ encoder }, { decoder: network }, { decoder }].map((by) => accuracy(generateImages(flow, labels, { seed: 11, ...by }), labels));
    for (const share of shares) assert.ok(share >= 0.93, `${shares} of 128 samples`);
  });

  it("the flow's latents have the data's mean and deviation, as normalised latents do", () => {
    const latents = generateLatents(flow, asked(128), { seed: 12 });
    const { mean, variance } = tf.moments(latents);
    const [centre, deviation] = [mean.dataSync()[0], Math.sqrt(variance.dataSync()[0])];
    tf.dispose([latents, mean, variance]);
    assert.ok(Math.abs(centre) < 0.1 && Math.abs(deviation - 1) < 0.15, `mean ${centre}, deviation ${deviation}`);
  });
});
