/**
 * What encoding a set of images costs: avatars of 256 x 256 pixels in tar files go through a Stable Diffusion autoencoder with random weights.
 * node dist/bench/latent-shards.js [images] [width divisor] [workers]
 */
import { createWriteStream, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";
import { pack } from "tar-stream";
import { imagePixels, loadAvatars } from "../src/model/data";
import { autoencoderFlops, autoencoderWeights, SD_VAE } from "../src/model/encoder/autoencoder-plan";
import { encodeToShards } from "../src/model/encoder/latent-shards";
import { formatProgress } from "../src/model/progress";
import { randomStream } from "../src/model/random";
import { writeSafetensors, type SafetensorsTensor } from "../src/model/safetensors";

const IMAGE_SIZE = 256;
const IMAGES_PER_TAR = 250;
/** Training images of ImageNet-1k. */
const IMAGENET = 1_281_167;

async function main(count: number, divisor: number, workers: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "latent-shards-"));
  try {
    const config = { ...SD_VAE, channels: SD_VAE.channels.map((channels) => channels / divisor) };
    const stream = randomStream(0, "weights");
    const shapes = Object.entries(autoencoderWeights(config).dialects[0].parameters).map(([name, { shape }]): [string, SafetensorsTensor] => {
      const size = shape.reduce((product, side) => product * side, 1);
      const scale = shape.length === 1 ? 1 : Math.sqrt(2 / (size / shape[shape.length - 1]));
      return [name, { dtype: "F32", shape: [...shape], data: stream.normal(size).map((value) => (name.endsWith("bias") ? 0 : shape.length === 1 ? 1 : value * scale)) }];
    });
    const weights = join(folder, "weights.safetensors");
    await writeSafetensors(weights, Object.fromEntries(shapes));

    const source = join(folder, "tars");
    mkdirSync(source);
    const { train } = await loadAvatars({ imageSize: IMAGE_SIZE, trainCount: count, testCount: 0, dataFolder: folder });
    for (let start = 0; start < count; start += IMAGES_PER_TAR) {
      const archive = pack();
      const written = pipeline(archive, createWriteStream(join(source, `avatars-${String(start).padStart(6, "0")}.tar`)));
      for (let index = start; index < Math.min(count, start + IMAGES_PER_TAR); index++) {
        archive.entry({ name: `${index}.jpg` }, await sharp(imagePixels(train, index), { raw: { width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 3 } }).jpeg({ quality: 95 }).toBuffer());
        archive.entry({ name: `${index}.cls` }, String(train.labels[index]));
      }
      archive.finalize();
      await written;
    }

    let last = 0;
    const mean = new Array<number>(4).fill(0);
    const result = await encodeToShards(
      source,
      join(folder, "latents"),
      { kind: "autoencoder", config, path: weights, imageSize: IMAGE_SIZE, mean, standardDeviation: mean.map(() => 1) },
      { workers, batchSize: 4, onProgress: (event) => performance.now() - last > 20_000 && ((last = performance.now()), console.error(formatProgress(event))) },
    );
    // With flips each image is encoded twice.
    const flops = 2 * autoencoderFlops(config, IMAGE_SIZE).encode;
    const secondsPerImage = result.seconds / result.encoded;
    console.log(JSON.stringify({ images: result.encoded, divisor, workers, seconds: result.seconds, secondsPerImage, flopsPerImage: flops, flopsPerSecond: flops / secondsPerImage, imagenetFlopsAtFullWidth: IMAGENET * 2 * autoencoderFlops(SD_VAE, IMAGE_SIZE).encode }, null, 2));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const [count = 1000, divisor = 4, workers = 2] = process.argv.slice(2).map(Number);
main(count, divisor, workers).catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
