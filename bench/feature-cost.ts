/**
 * Milliseconds that EfficientNet-Lite0's first levels cost on 64 images of 32 x 32, by input size: a forward pass, and a
 * forward pass with the gradient to the images, as a perceptual loss needs them. Eager, and compiled as one graph. Each
 * cell is the fastest run's wall time, and after the slash the processor time of all threads in a mean run: other
 * programs on the machine lengthen the first more than the second.
 * Run: node dist/bench/feature-cost.js [repeats]
 */
import { compile } from "../src/model/engine/compile";
import { tf } from "../src/model/engine/tf";
import { loadEfficientNetLite } from "../src/model/features/efficientnet-lite";

const BATCH = 64;

/** "fastest wall time / mean processor time", in ms. */
function cost(run: () => tf.Tensor, repeats: number): string {
  const timed = (): number => {
    const start = performance.now();
    const result = run();
    result.dataSync();
    result.dispose();
    return performance.now() - start;
  };
  for (let i = 0; i < 3; i++) timed(); // a compiled function records twice, then starts its graph
  const before = process.cpuUsage();
  const fastest = Math.min(...Array.from({ length: repeats }, timed));
  const { user, system } = process.cpuUsage(before);
  return `${fastest.toFixed(1)} / ${((user + system) / 1000 / repeats).toFixed(1)}`;
}

async function main(): Promise<void> {
  const repeats = Number(process.argv[2] ?? 8);
  const images = tf.randomUniform<tf.Rank.R4>([BATCH, 32, 32, 3], -1, 1, "float32", 1);
  console.log("input  level  forward  compiled  with gradient  compiled");
  for (const inputSize of [32, 48, 64, 96]) {
    for (const level of [0, 1, 2, 3, 4]) {
      const network = await loadEfficientNetLite("lite0", { inputSize, levels: [level] });
      const energy = (x: tf.Tensor): tf.Scalar => network.features(x as tf.Tensor4D)[0].square().mean();
      const compiledForward = compile(({ x }: { x: tf.Tensor4D }) => ({ y: energy(x) }));
      const compiledGradient = compile(({ x }: { x: tf.Tensor4D }) => ({ y: tf.grad(energy)(x) }));
      const columns = [
        cost(() => tf.tidy(() => energy(images)), repeats),
        cost(() => compiledForward({ x: images }).y, repeats),
        cost(() => tf.tidy(() => tf.grad(energy)(images)), repeats),
        cost(() => compiledGradient({ x: images }).y, repeats),
      ];
      console.log([inputSize, level, ...columns].join("  "));
      compiledForward.dispose();
      compiledGradient.dispose();
      network.dispose();
    }
  }
}

void main();
