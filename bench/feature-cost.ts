/**
 * Milliseconds that EfficientNet-Lite0's first levels cost on 64 images of 32 x 32, by input size: a forward pass, and a
 * forward pass with the gradient to the images, as a perceptual loss needs them. Eager, and compiled as one graph.
 * Run: node dist/bench/feature-cost.js [repeats]
 */
import { compile } from "../src/model/engine/compile";
import { tf } from "../src/model/engine/tf";
import { loadEfficientNetLite } from "../src/model/features/efficientnet-lite";

const BATCH = 64;

/** The fastest of several runs, in ms: other programs on the machine only ever add. */
function fastest(run: () => tf.Tensor, repeats: number): number {
  let best = Infinity;
  for (let i = 0; i < repeats + 2; i++) {
    const start = performance.now();
    const result = run();
    result.dataSync();
    result.dispose();
    if (i >= 2) best = Math.min(best, performance.now() - start);
  }
  return best;
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
        fastest(() => tf.tidy(() => energy(images)), repeats),
        fastest(() => compiledForward({ x: images }).y, repeats),
        fastest(() => tf.tidy(() => tf.grad(energy)(images)), repeats),
        fastest(() => compiledGradient({ x: images }).y, repeats),
      ];
      console.log([inputSize, level, ...columns.map((value) => value.toFixed(1))].join("  "));
      compiledForward.dispose();
      compiledGradient.dispose();
      network.dispose();
    }
  }
}

void main();
