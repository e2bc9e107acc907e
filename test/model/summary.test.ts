import assert from "node:assert/strict";
import { test } from "node:test";
import { networkConfig, resolveConfig } from "../../src/model/config";
import { tf } from "../../src/model/engine/tf";
import { initializeParameters, network, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { fieldAlongTrajectory } from "../../src/model/objective";
import { randomStream } from "../../src/model/random";
import { summarize } from "../../src/model/summary";
import { createTrainingState, disposeTrainingState } from "../../src/model/training-state";

const shapes = { imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8 };
/** The paper's kind of network, at a size that fits. */
const linear: NetworkConfig = { ...networkConfig("B", shapes), width: 96, depth: 2, heads: 4 };
const BATCH = 2;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Multiplications and additions of all matrix products and convolutions that a function runs, from the shapes the kernels were given. */
async function matrixWork(run: () => tf.Tensor): Promise<number> {
  const { kernels } = await tf.profile(run);
  return kernels.reduce((sum, { name, inputShapes, outputShapes }) => {
    const [first, second] = inputShapes as number[][];
    const [output] = outputShapes as number[][];
    if (name === "BatchMatMul") return sum + (2 * sizeOf(output) * sizeOf(first)) / sizeOf(output.slice(0, -1)); // 2 m k n for each matrix
    if (name === "Conv2D") return sum + 2 * sizeOf(output) * sizeOf(second.slice(0, 3)); // 2 k k C for each number of the output
    if (name === "Conv2DBackpropInput") return sum + 2 * sizeOf(first) * sizeOf(second.slice(0, 3));
    if (name === "Conv2DBackpropFilter") return sum + 2 * sizeOf(second) * sizeOf(output.slice(0, 3));
    return sum;
  }, 0);
}

for (const preset of ["tiny", "small", "crisp", "dense"])
  for (const optimizer of ["muon", "adamw"])
    test(`the summary of ${preset} with ${optimizer} says what a training allocates, group by group`, () => {
      const config = networkConfig(preset, shapes);
      const summary = summarize(config, { optimizer });
      const before = tf.memory().numBytes;
      const state = createTrainingState(resolveConfig({ preset, optimizer }), config);
      const bytes = Object.fromEntries(Object.entries(state.variables).map(([group, variables]) => [group, Object.values(variables).reduce((sum, variable) => sum + 4 * variable.size, 0)]));
      assert.deepEqual(summary.stateBytes, bytes);
      assert.equal(tf.memory().numBytes - before, Object.values(summary.stateBytes).reduce((sum, count) => sum + count, 0));
      assert.equal(summary.parameters, Object.values(state.variables.parameters).reduce((sum, { size }) => sum + size, 0));
      assert.equal(summary.layers.reduce((sum, { parameters }) => sum + parameters, 0), summary.parameters, "every parameter belongs to one layer");
      disposeTrainingState(state);
    });

for (const [name, config] of [["tiny", networkConfig("tiny", shapes)], ["small", networkConfig("small", shapes)], ["crisp", networkConfig("crisp", shapes)], ["dense", networkConfig("dense", shapes)], ["a linear head", linear]] as const)
  test(`the operations that the summary of ${name} counts are those of an evaluation and of a training step, within 3 %`, async () => {
    const parameters = initializeParameters(parameterShapes(config), randomStream(0, "weights"));
    const field = (zT: tf.Tensor, r: tf.Tensor, y: tf.Tensor): tf.Tensor4D => network(config, parameters, zT as tf.Tensor4D, r as tf.Tensor1D, y as tf.Tensor1D);
    const z = tf.tensor4d(randomStream(0, "latents").normal(BATCH * 256), [BATCH, 8, 8, 4]);
    const [r, y] = [tf.fill([BATCH], 0.5) as tf.Tensor1D, tf.zeros([BATCH], "int32") as tf.Tensor1D];
    const { flops, trainingFlops } = summarize(config, { offDiagonalShare: 0.5 });
    const close = (work: number, expected: number, what: string): void => assert.ok(Math.abs(work / BATCH / expected - 1) < 0.03, `${what}: ${work / BATCH} and ${expected}`);
    close(await matrixWork(() => field(z, r, y)), flops, "evaluation");
    const step = (): tf.Tensor => {
      return tf.variableGrads(() => {
        const { F, dFdt } = fieldAlongTrajectory(field, z, z, r, y, BATCH / 2);
        return tf.mean(tf.square(tf.add(F, dFdt))) as tf.Scalar;
      }).value;
    };
    close(await matrixWork(step), trainingFlops, "training step");
    tf.dispose(parameters);
  });
