import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createDataset, type Dataset } from "../../src/model/data";
import { tf } from "../../src/model/engine/tf";
import type { FeatureNetwork } from "../../src/model/features/feature-network";
import { compile } from "../../src/model/engine/compile";
import type { Lpips } from "../../src/model/features/lpips";
import { decoderBench, type BenchedDecoder } from "../../src/model/metrics/decoder-bench";
import { decoderBenchNotes, decoderBenchTable } from "../../src/model/metrics/decoder-bench-table";
import { randomStream } from "../../src/model/random";

/** Images of 12 x 12 pixels in blocks of 2 x 2, which halving keeps whole. */
function blocks(): Dataset {
  const stream = randomStream(0, "blocks");
  const coarse = stream.integers(40 * 36 * 3, 256);
  const pixels = Uint8Array.from({ length: 40 * 144 * 3 }, (_, i) => {
    const [image, rest] = [Math.floor(i / 432), i % 432];
    const [row, column, channel] = [Math.floor(rest / 36), Math.floor((rest % 36) / 3), rest % 3];
    return coarse[image * 108 + (Math.floor(row / 2) * 6 + Math.floor(column / 2)) * 3 + channel];
  });
  return createDataset({ name: "blocks", split: "test", classes: ["a", "b"], imageSize: 12, pixels, labels: Int32Array.from({ length: 40 }, (_, i) => i % 2) });
}

const features: FeatureNetwork = {
  name: "means",
  fingerprint: "means",
  resize: "none",
  embeddingSize: 3,
  features: (images) => [images],
  embedding: (images) => images.mean<tf.Tensor2D>([1, 2]),
  dispose: () => undefined,
};

/** Latents are the images at half size, so that decoding by repetition is exact. */
const exact: BenchedDecoder = {
  name: "exact",
  encoder: { encode: (images) => tf.avgPool(images, 2, 2, "valid") },
  decode: (latents) => tf.image.resizeNearestNeighbor(latents, [12, 12]),
  generate: (labels, seed) => tf.randomUniform([labels.length, 6, 6, 3], -1, 1, "float32", seed + 1),
};
const grey: BenchedDecoder = { ...exact, name: "grey", decode: (latents, labels) => tf.zeros([labels.length, 12, 12, 3]), generate: undefined };

test("each decoder is measured on clean, moved and generated latents, and nothing leaks", async () => {
  const before = tf.memory().numTensors;
  const progress: number[] = [];
  const rows = await decoderBench([exact, grey], blocks(), features, { count: 40, batchSize: 15, deviations: [0.1, 0.5], onProgress: ({ done }) => progress.push(done) });
  assert.equal(tf.memory().numTensors, before);
  assert.deepEqual(rows.map(({ decoder, latents, deviation }) => `${decoder} ${latents} ${deviation}`), ["exact clean 0", "exact moved 0.1", "exact moved 0.5", "exact generated NaN", "grey clean 0", "grey moved 0.1", "grey moved 0.5"]);
  const [clean, little, much, generated, flat] = rows;
  assert.ok(clean.psnr! > 60 && clean.ssim! > 0.999 && clean.frechetDistance < 1e-5, JSON.stringify(clean));
  // Noise of deviation 0.1 in a range of 2 is 26 dB, a little more after clipping.
  assert.ok(little.psnr! > 26 && little.psnr! < 27 && much.psnr! < 17, JSON.stringify([little, much]));
  assert.equal(generated.psnr, undefined);
  // Grey against uniform pixels: a mean square of 1/3.
  assert.ok(Math.abs(flat.psnr! - 10 * Math.log10(12)) < 0.3 && flat.frechetDistance > 10 * little.frechetDistance, JSON.stringify([flat, little]));
  assert.ok(rows.every(({ secondsPerImage, images }) => secondsPerImage > 0 && images === 40));
  // A batch's image and its clipped copy: 12 x 12 x 3 numbers of 4 bytes each.
  assert.ok(clean.peakBytesPerImage >= 12 * 12 * 3 * 4 && clean.peakBytesPerImage < 4 * 12 * 12 * 3 * 4, `${clean.peakBytesPerImage}`);
  assert.equal(progress.at(-1), 8 * 40);
});

/** A stand-in for LPIPS: the mean absolute difference. */
const lpips: Lpips = { ...features, name: "lpips-vgg16", distance: (images, references) => tf.tidy(() => images.sub(references).abs().mean([1, 2, 3])) };

test("what is measured in a network that a decoder's losses used is marked in its rows, its table and below it", async () => {
  const trained: BenchedDecoder = { ...exact, name: "trained", lossNetworks: ["means", "lpips-vgg16"] };
  const rows = await decoderBench([exact, trained], blocks(), features, { count: 20, batchSize: 10, deviations: [], lpips });
  assert.deepEqual(rows.map(({ decoder, latents, notIndependent }) => [decoder, latents, notIndependent]), [
    ["exact", "clean", []],
    ["exact", "generated", []],
    ["trained", "clean", ["lpips", "frechetDistance"]],
    ["trained", "generated", ["frechetDistance"]],
  ]);
  const [plain, , marked, generated] = decoderBenchTable(rows);
  assert.deepEqual([plain.LPIPS, marked.LPIPS, generated.LPIPS], ["0.000", "0.000 (not independent)", "-"]);
  assert.match(marked["Frechet distance, means"], /^\d+ \(not independent\)$/);
  assert.match(generated["Frechet distance, means"], /^\d+ \(not independent\)$/);
  assert.match(decoderBenchNotes(rows).join("\n"), /^"not independent": a loss of this decoder's training used the network/);
  assert.deepEqual(decoderBenchNotes(rows.slice(0, 2)), []);
});

test("without LPIPS's weights the rows say which file to fetch and where it goes", async () => {
  const [cache, empty] = [process.env.CROSSFLOW_CACHE, mkdtempSync(join(tmpdir(), "no-weights-"))];
  process.env.CROSSFLOW_CACHE = empty;
  try {
    const rows = await decoderBench([exact], blocks(), features, { count: 10, batchSize: 10, deviations: [] });
    assert.ok(rows.every(({ lpips: measured }) => measured === undefined));
    assert.ok(rows[0].lpipsMissing?.includes(join(empty, "vgg16", "vgg16-397923af.pth")) && rows[0].lpipsMissing.includes("https://download.pytorch.org/models/vgg16-397923af.pth"), rows[0].lpipsMissing);
    assert.match(rows[0].lpipsMissing ?? "", /BSD 3-Clause \(torchvision\); 553 MB\).* LPIPS's channel weights for VGG16 not found: .*vgg\.pth/, "both files in one message");
    assert.equal(decoderBenchTable(rows)[0].LPIPS, "no weights");
    assert.match(decoderBenchNotes(rows)[0], /^No LPIPS: VGG16 weights not found/);
  } finally {
    if (cache === undefined) delete process.env.CROSSFLOW_CACHE;
    else process.env.CROSSFLOW_CACHE = cache;
    rmSync(empty, { recursive: true });
  }
});

test("memory is that of the operations, for a decoder that runs as one compiled graph too", async () => {
  const graph = compile(({ latents }: { latents: tf.Tensor4D }) => ({ images: tf.image.resizeNearestNeighbor(latents, [12, 12]).add(1).sub<tf.Tensor4D>(1) }), { name: "the decoder" });
  const compiled: BenchedDecoder = { ...exact, decode: (latents) => graph({ latents }).images };
  const options = { count: 20, batchSize: 10, deviations: [0.1, 0.2], lpips };
  await decoderBench([compiled], blocks(), features, options);
  const rows = await decoderBench([compiled], blocks(), features, options);
  graph.dispose();
  // Three images of 12 x 12 x 3 numbers lie there at once at least: enlarged, brightened, darkened.
  assert.ok(rows.every(({ peakBytesPerImage }) => peakBytesPerImage >= 3 * 12 * 12 * 3 * 4), JSON.stringify(rows.map(({ peakBytesPerImage }) => peakBytesPerImage)));
});

test("an abort stops between batches and leaves no tensor", async () => {
  const before = tf.memory().numTensors;
  const controller = new AbortController();
  const onProgress = ({ done }: { done: number }): void => {
    if (done >= 50) controller.abort(new Error("stopped"));
  };
  await assert.rejects(decoderBench([exact], blocks(), features, { count: 40, batchSize: 15, onProgress, signal: controller.signal }), /stopped/);
  assert.equal(tf.memory().numTensors, before);
});
