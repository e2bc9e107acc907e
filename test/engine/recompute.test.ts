import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { traceRun } from "../../bench/profiling/compiled";
import { compile } from "../../src/model/engine/compile";
import { jvp } from "../../src/model/engine/jvp";
import { recomputed } from "../../src/model/engine/recompute";
import { tf } from "../../src/model/engine/tf";
import { networkConfig } from "../../src/model/config";
import { initializeParameters, network, parameterShapes } from "../../src/model/network";
import { fieldAlongTrajectory } from "../../src/model/objective";
import { randomStream } from "../../src/model/random";

const native = tf.getBackend() === "tensorflow";
const LAYERS = 5;
/** Of the layers' inputs, then of the last one's output: all different, so that a product's shapes tell which one it is. */
const WIDTHS = Array.from({ length: LAYERS + 1 }, (_, layer) => 32 + 8 * layer);

const normal = (name: string, shape: number[]): tf.Tensor => tf.tensor(randomStream(0, name).normal(shape.reduce((product, size) => product * size, 1)), shape);
const relativeDifference = (actual: tf.Tensor, expected: tf.Tensor): number => tf.tidy(() => (tf.max(tf.abs(tf.sub(actual, expected))).dataSync()[0] / Math.max(tf.max(tf.abs(expected)).dataSync()[0], 1e-12)));

/** A chain of tanh(x W), and the gradients of the sum of its end's squares in the weights and in x. */
function chain(recompute: boolean): { weights: tf.Variable[]; gradients: (inputs: { x: tf.Tensor }) => Record<string, tf.Tensor>; dispose(): void } {
  const weights = Array.from({ length: LAYERS }, (_, layer) => tf.variable(tf.mul(normal(`weight ${layer}`, WIDTHS.slice(layer, layer + 2)), 0.3)));
  const layer = (x: tf.Tensor, weight: tf.Tensor): tf.Tensor => tf.tanh(tf.matMul(tf.tanh(x) as tf.Tensor2D, weight as tf.Tensor2D));
  const loss = (x: tf.Tensor): tf.Scalar =>
    tf.sum(tf.square(weights.reduce<tf.Tensor>((value, weight) => (recompute ? recomputed((input, own) => layer(input, own.weight), value, { weight }, []) : layer(value, weight)), x))) as tf.Scalar;
  return {
    weights,
    gradients: ({ x }) => {
      const { value, grads } = tf.variableGrads(() => loss(x), weights);
      return { value, ...Object.fromEntries(weights.map((weight, index) => [`weight ${index}`, grads[weight.name]])) };
    },
    dispose: () => tf.dispose(weights),
  };
}

describe("recomputed()", () => {
  it("has the gradients of the function itself, compiled and not", () => {
    const [plain, again] = [chain(false), chain(true)];
    const compiled = compile(again.gradients);
    for (let call = 0; call < 3; call++) {
      const x = normal(`x ${call}`, [8, WIDTHS[0]]);
      const [expected, eager, fromGraph] = [plain.gradients({ x }), again.gradients({ x }), compiled({ x })];
      for (const [name, gradient] of Object.entries(expected)) {
        assert.ok(relativeDifference(eager[name], gradient) < 1e-6, `${name}, call ${call}`);
        assert.ok(relativeDifference(fromGraph[name], gradient) < 1e-5, `${name} compiled, call ${call}`);
      }
    }
    compiled.dispose();
    plain.dispose();
    again.dispose();
  });

  it("is computed again in the compiled graph, where equal operations are otherwise joined, and only when its gradient is there", { skip: !native }, () => {
    const products = (recompute: boolean): { start: number; end: number; from: string; to: string }[] => {
      const { gradients, dispose } = chain(recompute);
      const compiled = compile(gradients);
      const run = (): void => tf.tidy(() => void compiled({ x: normal("x", [8, WIDTHS[0]]) }));
      for (let call = 0; call < 3; call++) run();
      const { operations } = traceRun(run, () => "");
      compiled.dispose();
      dispose();
      return operations.filter(({ operation }) => /MatMul/.test(operation)).map(({ start, milliseconds, inputs, outputs }) => ({ start, end: start + milliseconds, from: inputs[0].join(), to: outputs[0].join() }));
    };
    const [plain, again] = [products(false), products(true)];
    assert.equal(plain.length, LAYERS + LAYERS + LAYERS - 1, "values, gradients in the weights, gradients in the activations");
    assert.equal(again.length, plain.length + LAYERS, "each layer's product is computed twice");
    const between = (from: number, to: number): { start: number; end: number }[] => again.filter((product) => product.from === `8,${from}` && product.to === `8,${to}`).sort((one, other) => one.start - other.start);
    for (let layer = 0; layer < LAYERS - 1; layer++) {
      const computed = between(WIDTHS[layer], WIDTHS[layer + 1]);
      const gradients = between(WIDTHS[layer + 2], WIDTHS[layer + 1]);
      assert.deepEqual([computed.length, gradients.length], [2, 1], `layer ${layer}`);
      assert.ok(computed[1].start >= gradients[0].end, `layer ${layer} is computed again at ${computed[1].start} ms, before the gradient of its result is there at ${gradients[0].end} ms`);
    }
  });

  it("leaves no tensor behind, and frees what it computed when it runs operation by operation", () => {
    const { gradients, dispose } = chain(true);
    const x = normal("x", [8, WIDTHS[0]]);
    tf.dispose(gradients({ x }));
    const before = tf.memory().numTensors;
    tf.dispose(gradients({ x }));
    assert.equal(tf.memory().numTensors, before);
    dispose();
  });

  it("lets forward mode pass, in the network with either head, and gradients through its value", () => {
    for (const preset of ["tiny", "B"]) {
      const config = { ...networkConfig(preset, { imageSize: 16, latentSize: 4, latentChannels: 2, classes: 3 }), width: 16, depth: 2, heads: 2, bottleneck: 0, ...(preset === "tiny" && { headChannels: 16 }) };
      const parameters = initializeParameters(parameterShapes(config), randomStream(1, "weights"));
      for (const variable of Object.values(parameters)) tf.tidy(() => variable.assign(tf.add(variable, tf.mul(0.1, normal(variable.name, variable.shape)))));
      const [zT, v] = [normal("z", [3, 4, 4, 2]), normal("v", [3, 4, 4, 2])] as tf.Tensor4D[];
      const [r, y] = [tf.tensor1d([0, 0.2, 0.7]), tf.tensor1d([0, 1, 3], "int32")];
      const results = [false, true].map((recompute) => {
        let dFdt: tf.Tensor | undefined;
        const { value, grads } = tf.variableGrads(() => {
          const along = fieldAlongTrajectory((latents, times, labels) => network(config, parameters, latents, times, labels, { recompute }), zT, v, r, y, 2);
          dFdt = tf.keep(along.dFdt);
          return tf.sum(tf.square(tf.add(along.F, along.dFdt))) as tf.Scalar;
        }, Object.values(parameters));
        return { value, dFdt: dFdt!, ...grads } as Record<string, tf.Tensor>;
      });
      for (const [name, expected] of Object.entries(results[0])) assert.ok(relativeDifference(results[1][name], expected) < 1e-5, `${preset}: ${name}`);
      const nested = jvp((x: tf.Tensor) => recomputed((input) => tf.square(input), x, {}, []), [v], [zT]).tangent;
      assert.ok(relativeDifference(nested as tf.Tensor, tf.mul(2, tf.mul(v, zT))) < 1e-6);
      tf.dispose([parameters, results]);
    }
  });
});
