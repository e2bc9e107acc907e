/**
 * Where the time of a published autoencoder's encoder goes, with random weights: operations, their GFLOP/s, and what share that is of the fastest
 * matrix product on the same thread at the same time. Processor time, so that other programs disturb little.
 * Run: node dist/bench/encoder-cost.js [images] [width divisor] [image size] [sd-vae or va-vae]
 */
import { autoencoderFlops, autoencoderWeights, SD_VAE, VA_VAE } from "../src/model/encoder/autoencoder-plan";
import { encodeMoments } from "../src/model/encoder/autoencoder";
import { startEngine } from "../src/model/engine";
import type { NativeBackend } from "../src/model/engine/compile/backend";
import { tf } from "../src/model/engine/tf";
import { timeOperations } from "./profiling/eager";

/** Rows and columns of the matrices whose product shows the peak. */
const PEAK_SIZE = 1536;

/** Processor seconds of all threads while `run` works. */
function processorSeconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function peakFlops(): number {
  const [a, b] = [0, 1].map((seed) => tf.randomUniform([PEAK_SIZE, PEAK_SIZE], -1, 1, "float32", seed));
  const seconds = Math.min(...Array.from({ length: 4 }, () => processorSeconds(() => tf.tidy(() => void tf.matMul(a, b).dataSync()))));
  tf.dispose([a, b]);
  return (2 * PEAK_SIZE ** 3) / seconds;
}

async function main(images: number, divisor: number, imageSize: number, name: string): Promise<void> {
  await startEngine();
  const full = name === "va-vae" ? VA_VAE : SD_VAE;
  const config = { ...full, channels: full.channels.map((channels) => channels / divisor) };
  const parameters = Object.fromEntries(
    Object.entries(autoencoderWeights(config).dialects[0].parameters).map(([key, { shape }]) => [key, shape.length === 1 ? tf.fill([...shape], key.endsWith("bias") ? 0 : 1) : tf.truncatedNormal([...shape], 0, Math.sqrt(2 / shape.slice(0, -1).reduce((size, side) => size * side, 1)), "float32", 1)]),
  );
  const x = tf.randomUniform<tf.Rank.R4>([1, imageSize, imageSize, 3], -1, 1, "float32", 2);
  const encode = (): void => {
    const { mean, logVariance } = encodeMoments(config, parameters, x);
    mean.dataSync();
    tf.dispose([mean, logVariance]);
  };
  const { flops, peak } = { flops: autoencoderFlops(config, imageSize).encode, peak: peakFlops() };
  const seconds = Array.from({ length: images }, () => processorSeconds(encode));
  const peakAfter = peakFlops();
  const operations = timeOperations(tf.backend() as unknown as NativeBackend, encode);
  const groups = new Map<string, { milliseconds: number; flops: number; count: number }>();
  for (const { operation, inputs, milliseconds, flops: own } of operations) {
    const key = own > 0 ? `${operation} ${inputs.slice(0, 2).map((shape) => shape.join("x")).join(" * ")}` : operation;
    const group = groups.get(key) ?? { milliseconds: 0, flops: 0, count: 0 };
    groups.set(key, { milliseconds: group.milliseconds + milliseconds, flops: group.flops + own, count: group.count + 1 });
  }
  const sorted = [...groups].sort(([, a], [, b]) => b.milliseconds - a.milliseconds);
  for (const [key, group] of sorted.slice(0, 24)) console.log(`${group.milliseconds.toFixed(0).padStart(7)} ms  ${String(group.count).padStart(3)} x  ${group.flops > 0 ? (group.flops / group.milliseconds / 1e6).toFixed(1).padStart(5) : "    -"} GFLOP/s  ${key}`);
  const fastest = Math.min(...seconds);
  console.log(JSON.stringify({ name, divisor, imageSize, secondsByImage: seconds, gflop: flops / 1e9, gflopPerSecond: flops / fastest / 1e9, peakGflopPerSecond: [peak / 1e9, peakAfter / 1e9], shareOfPeak: flops / fastest / Math.max(peak, peakAfter), memory: process.memoryUsage.rss() / 1e6 }, null, 1));
}

const [images = 2, divisor = 1, imageSize = 256] = process.argv.slice(2, 5).map(Number);
main(images, divisor, imageSize, process.argv[5] ?? "sd-vae").catch((error: Error) => {
  console.error(error.message);
  process.exit(1);
});
