/**
 * What encoding a set of images costs: avatars of 256 x 256 pixels in tar files go through a Stable Diffusion autoencoder with random weights.
 * node dist/bench/latent-shards.js [images] [width divisor] [workers] [images at once] [folder]
 * Each image is encoded as it is and mirrored, and kept beside its latents, so that a training can take the folder's latents/ as its dataPath.
 * With a folder everything is kept, and the same command goes on after Ctrl-C where it stopped; costs.jsonl in it has a line a call.
 */
import { appendFileSync, createWriteStream, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import sharp from "sharp";
import { pack } from "tar-stream";
import { imagePixels, loadAvatars } from "../src/model/data";
import { autoencoderFlops, autoencoderWeights, SD_VAE } from "../src/model/encoder/autoencoder-plan";
import { encodeToShards } from "../src/model/encoder/latent-shards";
import { interruptSignal } from "../src/cli/output";
import { formatProgress } from "../src/model/progress";
import { randomStream } from "../src/model/random";
import { writeSafetensors, type SafetensorsTensor } from "../src/model/safetensors";

const IMAGE_SIZE = 256;
const IMAGES_PER_TAR = 50;
/** Training images of ImageNet-1k. */
const IMAGENET = 1_281_167;

async function main(count: number, divisor: number, workers: number, batchSize: number, kept?: string): Promise<void> {
  const folder = kept ?? mkdtempSync(join(tmpdir(), "latent-shards-"));
  mkdirSync(folder, { recursive: true });
  try {
    const config = { ...SD_VAE, channels: SD_VAE.channels.map((channels) => channels / divisor), normGroups: Math.min(SD_VAE.normGroups, SD_VAE.channels[0] / divisor) };
    const stream = randomStream(0, "weights");
    const shapes = Object.entries(autoencoderWeights(config).dialects[0].parameters).map(([name, { shape }]): [string, SafetensorsTensor] => {
      const size = shape.reduce((product, side) => product * side, 1);
      const scale = shape.length === 1 ? 1 : Math.sqrt(2 / (size / shape[shape.length - 1]));
      return [name, { dtype: "F32", shape: [...shape], data: stream.normal(size).map((value) => (name.endsWith("bias") ? 0 : shape.length === 1 ? 1 : value * scale)) }];
    });
    const weights = join(folder, `weights-${divisor}.safetensors`);
    if (!existsSync(weights)) await writeSafetensors(weights, Object.fromEntries(shapes));

    const source = join(folder, "tars");
    mkdirSync(source, { recursive: true });
    const signal = interruptSignal();
    const { train } = await loadAvatars({ imageSize: IMAGE_SIZE, trainCount: count, testCount: 0, dataFolder: folder }, { signal });
    for (let start = 0; start < count; start += IMAGES_PER_TAR) {
      const tar = join(source, `avatars-${String(start).padStart(6, "0")}.tar`);
      if (existsSync(tar)) continue;
      const archive = pack();
      const written = pipeline(archive, createWriteStream(`${tar}.partial`));
      for (let index = start; index < Math.min(count, start + IMAGES_PER_TAR); index++) {
        archive.entry({ name: `${index}.jpg` }, await sharp(imagePixels(train, index), { raw: { width: IMAGE_SIZE, height: IMAGE_SIZE, channels: 3 } }).jpeg({ quality: 95 }).toBuffer());
        archive.entry({ name: `${index}.cls` }, String(train.labels[index]));
      }
      archive.finalize();
      await written;
      renameSync(`${tar}.partial`, tar);
    }

    let last = 0;
    const mean = new Array<number>(4).fill(0);
    const result = await encodeToShards(
      source,
      join(folder, "latents"),
      { kind: "autoencoder", config, path: weights, imageSize: IMAGE_SIZE, mean, standardDeviation: mean.map(() => 1) },
      { workers, batchSize, keepImages: true, signal, onProgress: (event) => performance.now() - last > 20_000 && ((last = performance.now()), console.error(formatProgress(event))) },
    );
    // With flips each image is encoded twice.
    const flops = 2 * autoencoderFlops(config, IMAGE_SIZE).encode;
    const encoded = Math.max(1, result.encoded);
    const { decode, encode, write } = result.processorSeconds;
    const bytesOfShards = result.shards.reduce((sum, { file }) => sum + statSync(join(folder, "latents", file)).size, 0);
    const report = {
      images: result.images,
      shards: result.shards.length,
      encodedNow: result.encoded,
      divisor,
      workers,
      seconds: result.seconds,
      imagesPerSecond: result.imagesPerSecond,
      processorSecondsPerImage: { all: (decode + encode + write) / encoded, decode: decode / encoded, encode: encode / encoded, write: write / encoded },
      flopsPerImage: flops,
      flopsPerProcessorSecond: (flops * encoded) / encode,
      bytesPerImage: bytesOfShards / result.images,
      imagenetBytes: (IMAGENET * bytesOfShards) / result.images,
      imagenetFlopsAtFullWidth: IMAGENET * 2 * autoencoderFlops(SD_VAE, IMAGE_SIZE).encode,
    };
    if (kept !== undefined) appendFileSync(join(folder, "costs.jsonl"), `${JSON.stringify(report)}\n`);
    console.log(JSON.stringify(report, null, 2));
  } finally {
    if (kept === undefined) rmSync(folder, { recursive: true, force: true });
  }
}

const [count = 1000, divisor = 4, workers = 2, batchSize = 4] = process.argv.slice(2, 6).map(Number);
main(count, divisor, workers, batchSize, process.argv[6]).catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
