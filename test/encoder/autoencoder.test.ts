import assert from "node:assert/strict";
import { test } from "node:test";
import { createAutoencoder, decodeLatents, encodeMoments, loadAutoencoder } from "../../src/model/encoder/autoencoder";
import { autoencoderFlops, autoencoderWeights, decoderLayers, encoderLayers, SD_VAE, VA_VAE, type AutoencoderConfig } from "../../src/model/encoder/autoencoder-plan";
import { tf } from "../../src/model/engine/tf";
import { loadWeights } from "../../src/model/weights/load";
import { assertClose, readGolden, seededFile, seededImages, type Sampled } from "../seeded-weights";

interface Case {
  mean: Sampled;
  logVariance: Sampled;
  decoded: Sampled;
  encoderGradient: Sampled;
  decoderGradient: Sampled;
  tiledMean?: Sampled;
  tiledDecoded?: Sampled;
  parameters: number;
}

const golden = readGolden<{ cases: Record<string, Case> }>("autoencoder.json").cases;

const SMALL: AutoencoderConfig = { latentChannels: 4, channels: [32, 64, 64, 64], blocksPerLevel: 2, attentionAtCoarsest: false, normGroups: 16 };
const CONFIGS: Record<string, AutoencoderConfig> = {
  "sd-vae small": SMALL,
  "va-vae small": { latentChannels: 8, channels: [32, 32, 48, 48, 64], blocksPerLevel: 2, attentionAtCoarsest: true, normGroups: 16 },
  "sd-vae": SD_VAE,
  "va-vae": VA_VAE,
};
const STATISTICS = { mean: [0, 0, 0, 0], standardDeviation: [1, 1, 1, 1] };

for (const [name, config] of Object.entries(CONFIGS)) {
  test(`${name} equals diffusers': moments, images, gradients`, async () => {
    const expected = golden[name];
    const before = tf.memory().numTensors;
    const { parameters } = await loadWeights(autoencoderWeights(config), seededFile(autoencoderWeights(config)));
    assert.equal(Object.values(parameters).reduce((sum, { size }) => sum + size, 0), expected.parameters);
    const side = 32;
    const latentSide = expected.mean.shape[1];
    const images = seededImages("autoencoder images", [2, side, side, 3]);
    const latents = seededImages("autoencoder latents", [2, latentSide, latentSide, config.latentChannels]);
    const loaded = tf.memory().numTensors;
    const { mean, logVariance } = encodeMoments(config, parameters, images);
    assertClose(mean, expected.mean, 1e-4, "mean");
    assertClose(logVariance, expected.logVariance, 1e-4, "log variance");
    const decoded = decodeLatents(config, parameters, latents);
    assertClose(decoded, expected.decoded, 1e-4, "decoded");
    const encoderGradient = tf.grad((x) => encodeMoments(config, parameters, x as tf.Tensor4D).mean.square().mean())(images);
    const decoderGradient = tf.grad((x) => decodeLatents(config, parameters, x as tf.Tensor4D).square().mean())(latents);
    assertClose(encoderGradient, expected.encoderGradient, 1e-3, "encoder's gradient");
    assertClose(decoderGradient, expected.decoderGradient, 1e-3, "decoder's gradient");
    tf.dispose([mean, logVariance, decoded, encoderGradient, decoderGradient]);
    assert.equal(tf.memory().numTensors, loaded);
    tf.dispose([parameters, images, latents]);
    assert.equal(tf.memory().numTensors, before);
  });
}

test("tiles of a large image are encoded, decoded and blended as diffusers does", async () => {
  const { parameters } = await loadWeights(autoencoderWeights(SMALL), seededFile(autoencoderWeights(SMALL)));
  const encoder = createAutoencoder("small", SMALL, parameters, "seeded", { ...STATISTICS, imageSize: 64, tileSize: 32 });
  const images = seededImages("large images", [1, 72, 56, 3]);
  const latents = seededImages("large latents", [1, 9, 7, 4]);
  const [encoded, decoded] = [encoder.encode(images), encoder.decode(latents)];
  assertClose(encoded, golden["sd-vae small"].tiledMean!, 1e-4, "mean");
  assertClose(decoded, golden["sd-vae small"].tiledDecoded!, 1e-4, "decoded");
  tf.dispose([images, latents, encoded, decoded]);
  encoder.dispose();
});

test("scale and shift normalise the latents; draws follow the posterior and their seed", async () => {
  const load = async (options: object): Promise<ReturnType<typeof createAutoencoder>> => {
    const { parameters } = await loadWeights(autoencoderWeights(SMALL), seededFile(autoencoderWeights(SMALL)));
    return createAutoencoder("small", SMALL, parameters, "seeded", { ...STATISTICS, imageSize: 32, ...options });
  };
  const images = seededImages("autoencoder images", [2, 32, 32, 3]);
  const before = tf.memory().numTensors;
  const [plain, scaled, first, again, other] = [await load({}), await load({ mean: [1, 2, 3, 4], standardDeviation: [2, 2, 4, 4] }), await load({ latent: "sample" }), await load({ latent: "sample" }), await load({ latent: "sample", seed: 1 })];
  tf.tidy(() => {
    const mean = plain.encode(images);
    const expected = mean.sub([1, 2, 3, 4]).div([2, 2, 4, 4]);
    assert.ok(scaled.encode(images).sub(expected).abs().max().dataSync()[0] < 1e-5);
    const back = scaled.decode(expected as tf.Tensor4D).sub(plain.decode(mean)).abs().max().dataSync()[0];
    assert.ok(back < 1e-4, `${back}`);
    const drawn = first.encode(images);
    assert.deepEqual(again.encode(images).dataSync(), drawn.dataSync());
    assert.notDeepEqual(other.encode(images).dataSync(), drawn.dataSync());
    const { mean: centre, standardDeviation } = plain.posterior(images);
    const { mean: offset, variance } = tf.moments(drawn.sub(centre).div(standardDeviation)); // 128 standard normal numbers
    assert.ok(Math.abs(offset.dataSync()[0]) < 4 / Math.sqrt(128) && Math.abs(variance.dataSync()[0] - 1) < 4 * Math.sqrt(2 / 128));
  });
  assert.equal(new Set([plain, scaled, first, other].map(({ fingerprint }) => fingerprint)).size, 4);
  [plain, scaled, first, again, other].forEach((encoder) => encoder.dispose());
  assert.equal(tf.memory().numTensors, before);
  images.dispose();
});

test("the original code's names, with its prefix and its other parts, and early diffusers' names are known", async () => {
  for (const config of [SMALL, CONFIGS["va-vae small"]]) {
    const wanted = autoencoderWeights(config);
    for (const [index, prefix, extra] of [[1, "", {}], [2, "state_dict.", { "state_dict.loss.logvar": [], "state_dict.foundation_model.model.norm.weight": [8] }]] as const) {
      const file = seededFile(wanted, wanted.dialects[index]);
      const shapes = { ...Object.fromEntries(Object.entries(file.shapes).map(([name, shape]) => [prefix + name, shape])), ...extra };
      const { parameters, dialect } = await loadWeights(wanted, { ...file, shapes, read: (name) => file.read(name.slice(prefix.length)) });
      assert.equal(dialect, wanted.dialects[index].name);
      tf.dispose(parameters);
    }
  }
  // Spot checks against names of the published files.
  const names = (index: number, config: AutoencoderConfig): string[] => Object.keys(seededFile(autoencoderWeights(config), autoencoderWeights(config).dialects[index]).shapes);
  for (const name of ["encoder.mid_block.attentions.0.to_out.0.weight", "decoder.up_blocks.2.resnets.0.conv_shortcut.weight", "encoder.down_blocks.0.downsamplers.0.conv.weight", "post_quant_conv.bias"]) assert.ok(names(0, SD_VAE).includes(name), name);
  assert.ok(names(1, SD_VAE).includes("decoder.mid_block.attentions.0.proj_attn.bias"));
  for (const name of ["encoder.down.4.attn.1.proj_out.weight", "decoder.up.4.attn.2.q.bias", "decoder.up.1.upsample.conv.weight", "encoder.mid.attn_1.norm.weight", "decoder.up.0.block.0.norm1.bias"]) assert.ok(names(2, VA_VAE).includes(name), name);
  assert.ok(!names(2, VA_VAE).includes("decoder.up.0.upsample.conv.weight") && !names(2, VA_VAE).includes("encoder.down.3.attn.0.q.weight"));
});

test("operations are counted as a count by hand of a small network has them", () => {
  const config: AutoencoderConfig = { latentChannels: 2, channels: [4], blocksPerLevel: 1, attentionAtCoarsest: false, normGroups: 2 };
  const convolutions = 9 * (3 * 4 + 6 * 4 * 4 + 4 * 4) + 4 * 4; // into, three residual blocks, out to the moments, then 1 x 1
  assert.equal(autoencoderFlops(config, 8).encode, 2 * 64 * (convolutions + 4 * 4 * 4) + 4 * 64 * 64 * 4);
  assert.deepEqual(encoderLayers(config).map(({ kind }) => kind), ["convolution", "residual", "residual", "attention", "residual", "norm", "convolution", "convolution"]);
  assert.equal(decoderLayers(config).filter(({ kind }) => kind === "residual").length, 4);
});

test("sizes and statistics that do not fit are clear errors", async () => {
  await assert.rejects(loadAutoencoder("sd-vae", { path: "/nowhere/vae.safetensors" }), /sd-vae weights not found.*huggingface\.co\/stabilityai\/sd-vae-ft-mse \(MIT License; 335 MB\)/s);
  await assert.rejects(loadAutoencoder("va-vae", { path: "/nowhere/vavae.pt" }), /VA-VAE weights not found: \/nowhere\/vavae\.pt\. .*; VA-VAE's latent statistics not found: .*latents_stats\.pt.*put it there\.$/);
  assert.throws(() => createAutoencoder("small", SMALL, {}, "", { mean: [0], standardDeviation: [1] }), /4 latent channels.*not 1 and 1/);
  assert.throws(() => createAutoencoder("small", SMALL, {}, "", { ...STATISTICS, imageSize: 30 }), /multiple of 8, not 30/);
  const image = tf.zeros([1, 20, 24, 3]) as tf.Tensor4D;
  assert.throws(() => encodeMoments(SMALL, {}, image), /multiples of 8 pixels, not 20 x 24/);
  image.dispose();
});
