import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { agreementOf, agrees } from "../../bench/agreement";
import { startParticipant } from "../../bench/participant";
import { traceRun } from "../../bench/profiling/compiled";
import { timeOperations } from "../../bench/profiling/eager";
import { operationFlops } from "../../bench/profiling/operation-flops";
import { memoryRows } from "../../bench/report";
import { planOf } from "../../bench/rows";
import { fittedExponent, quantile, quartiles } from "../../bench/statistics";
import { networkConfig } from "../../src/model/config";
import { compile } from "../../src/model/engine/compile";
import { nativeBackend } from "../../src/model/engine/compile/backend";
import { startEngine } from "../../src/model/engine/start";
import { tf } from "../../src/model/engine/tf";
import { memoryPlan } from "../../src/model/summary";
import { writeSafetensors, type SafetensorsTensor } from "../../src/model/safetensors";

const folder = mkdtempSync(join(tmpdir(), "crossflow-bench-test-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine().then(() => undefined));

describe("statistics of the benchmark", () => {
  it("interpolates quantiles as numpy does by default", () => {
    assert.equal(quantile([4, 1, 3, 2], 0.5), 2.5);
    assert.deepEqual(quartiles([10, 20, 30, 50]), [17.5, 35]); // numpy.quantile([10, 20, 30, 50], [0.25, 0.75])
    assert.throws(() => quantile([], 0.5), /at least one/);
  });

  it("finds the exponent of a power law, and the least-squares one of a noisy one", () => {
    assert.ok(Math.abs(fittedExponent([1, 2, 4, 8].map((x) => ({ x, y: 3 * x ** 1.7 }))) - 1.7) < 1e-12);
    // numpy.polyfit(log([1, 2, 4]), log([1, 3, 4]), 1)[0]: with equally spaced abscissae log(4 / 1) / log(4 / 1)
    assert.ok(Math.abs(fittedExponent([{ x: 1, y: 1 }, { x: 2, y: 3 }, { x: 4, y: 4 }]) - 1) < 1e-12);
  });

  it("plans fewer rows when it shall be quick, and each row once", () => {
    const names = (quick: boolean): string[] => [planOf(quick, "float32")].flatMap(({ first, rest }) => [...first, ...rest]).flatMap(({ title, spec, peers }) => peers.map((peer) => `${title}, ${spec.size}, ${peer}`));
    assert.ok(names(true).length < names(false).length);
    assert.equal(new Set(names(false)).size, names(false).length);
  });
});

describe("the report", () => {
  it("has a row of peak memory for each row of time, and none for what was not measured", () => {
    const row = { work: "step", size: "tiny", peer: "JAX jit" } as const;
    const measured = { ...row, batchSize: 1, ours: 1, theirs: 2, unit: "s/step", ratio: 2, spread: [2, 2], repeats: 1, firstSeconds: { ours: 1, theirs: 1 }, peakBytes: { ours: 400, theirs: 100 }, fileBytes: { ours: 350, theirs: 0 }, baseBytes: { ours: 1, theirs: 1 }, agreement: { metrics: 0, weights: 0 } } as const;
    assert.deepEqual(memoryRows([{ ...measured, spread: [2, 2] }, { ...row, failure: "no time" }]), [{ work: "peak memory of step", size: "tiny", peer: "JAX jit", ours: 400, theirs: 100, unit: "bytes", ratio: 0.25, own: { ours: 50, theirs: 100, ratio: 2 } }]);
  });
});

describe("counting operations", () => {
  it("counts two operations for each multiplication with its addition", () => {
    assert.equal(operationFlops("MatMul", [[3, 5], [5, 7]], [[3, 7]], {}), 2 * 3 * 5 * 7);
    assert.equal(operationFlops("MatMul", [[5, 3], [5, 7]], [[3, 7]], { transpose_a: true }), 2 * 3 * 5 * 7);
    assert.equal(operationFlops("BatchMatMulV2", [[2, 5, 3], [2, 5, 7]], [[2, 3, 7]], { adj_x: true }), 2 * 2 * 3 * 5 * 7);
    const [image, kernel, output] = [[2, 8, 8, 3], [3, 3, 3, 6], [2, 4, 4, 6]];
    const convolution = 2 * 2 * 4 * 4 * 6 * (3 * 3 * 3);
    assert.equal(operationFlops("Conv2D", [image, kernel], [output], {}), convolution);
    assert.equal(operationFlops("Conv2DBackpropInput", [[4], kernel, output], [image], {}), convolution);
    assert.equal(operationFlops("Conv2DBackpropFilter", [image, [4], output], [kernel], {}), convolution);
    assert.equal(operationFlops("DepthwiseConv2dNative", [image, [3, 3, 3, 1]], [[2, 4, 4, 3]], {}), 2 * 2 * 4 * 4 * 3 * 9);
    assert.equal(operationFlops("Mul", [image, image], [image], {}), 0);
  });

  it("sees every operation of an eager call with its shapes, and leaves the engine as it was", () => {
    const backend = nativeBackend()!;
    const { binding, getInputTensorIds } = backend;
    const [a, b] = [tf.ones([4, 6]), tf.ones([6, 5])];
    const operations = timeOperations(backend, () => tf.tidy(() => void tf.relu(tf.matMul(a, b))), false);
    const product = operations.find(({ operation }) => /MatMul/.test(operation))!;
    assert.equal(product.flops, 2 * 4 * 6 * 5);
    assert.deepEqual(product.outputs.at(-1)!.slice(-2), [4, 5]);
    assert.ok(operations.some(({ operation }) => operation === "Relu"));
    assert.equal(backend.binding, binding);
    assert.equal(backend.getInputTensorIds, getInputTensorIds);
    tf.dispose([a, b]);
  });

  it("reads from TensorFlow's trace what a compiled graph computes, and stops tracing", () => {
    const weight = tf.variable(tf.ones([64, 64]) as tf.Tensor2D);
    const product = compile(({ x }: { x: tf.Tensor }) => ({ y: tf.matMul(x as tf.Tensor2D, weight) }));
    const run = (): void => {
      const x = tf.randomNormal([32, 64]);
      const { y } = product({ x });
      y.dataSync();
      tf.dispose([x, y]);
    };
    for (let call = 0; call < 3; call++) run();
    const trace = traceRun(run, (node) => `part of ${node}`);
    const matmul = trace.operations.find(({ operation }) => /MatMul/.test(operation))!;
    assert.equal(matmul.flops, 2 * 32 * 64 * 64);
    assert.equal(matmul.part, `part of ${matmul.node}`);
    assert.ok(matmul.milliseconds > 0);
    assert.ok(Math.abs(trace.concurrency.reduce((sum, time) => sum + time, 0) - trace.milliseconds) < 1e-6);
    assert.equal(process.env.CROSSFLOW_RUN_METADATA, undefined);
    product.dispose();
    weight.dispose();
  });
});

describe("the memory plan", () => {
  it("adds up, grows with the batch by the activations alone, and recomputing keeps one block and the inputs of all", () => {
    const XL = networkConfig("XL", { imageSize: 256, latentSize: 32, latentChannels: 4, classes: 1000 });
    const [one, two] = [1, 2].map((batchSize) => memoryPlan(XL, { batchSize }));
    assert.equal(one.parameters + one.gradients + one.optimizer + one.average + one.activations, one.total);
    assert.equal(two.total - one.total, one.activations);
    const recomputed = memoryPlan(XL, { batchSize: 1, recompute: true });
    const tokens = 256 + 12;
    const block = tokens * (11 + 4) * 1152 + 2 * 16 * tokens ** 2 + 5 * tokens * 3072; // numbers that one block of width 1152 with a hidden width of 3072 keeps
    assert.equal(one.activations - recomputed.activations, 4 * 28 * (block - tokens * 1152) - 4 * block);
  });
});

describe("programs under measurement", () => {
  const program = (source: string): Promise<Awaited<ReturnType<typeof startParticipant>>> => startParticipant([process.execPath, "-e", source], {}, join(folder, "log"), new AbortController().signal);
  const says = `const fs = require("fs"); const say = (values) => fs.writeSync(3, JSON.stringify(values) + "\\n"); say({ versions: { it: "1" }, threads: 1, baseBytes: 5 });
    require("readline").createInterface({ input: process.stdin })`;

  it("answers one request after the other and ends when it is told", async () => {
    const participant = await program(`console.log("not an answer"); ${says}.on("line", (line) => say({ peakBytes: JSON.parse(line).do.length }));`);
    assert.deepEqual(participant.introduction.versions, { it: "1" });
    assert.equal((await participant.ask({ do: "memory" })).peakBytes, "memory".length);
    assert.equal((await participant.ask({ do: "first" })).peakBytes, "first".length);
    await participant.quit();
  });

  it("hands on what a program says went wrong, and the end of its log when it dies", async () => {
    const refusing = await program(`${says}.on("line", () => say({ error: "no such work" }));`);
    await assert.rejects(refusing.ask({ do: "first" }), /no such work/);
    await refusing.quit();
    const dying = await program(`${says}.on("line", () => { console.error("out of luck"); process.exit(3); });`);
    await assert.rejects(dying.ask({ do: "first" }), /it ended unasked: out of luck/);
  });

  it("ends a program that does not answer in its time, and says so", async () => {
    const silent = await program(`${says}.on("line", () => undefined);`);
    await assert.rejects(silent.ask({ do: "first" }, 0.3), /it had not answered after 0 s/);
    await silent.quit();
  });
});

describe("the proof that two programs did the same", () => {
  const write = async (name: string, weights: number[]): Promise<string> => {
    const tensor = (data: number[]): SafetensorsTensor => ({ dtype: "F32", shape: [data.length], data: Float32Array.from(data) });
    await writeSafetensors(join(folder, name), { "parameters/w": tensor(weights) });
    return join(folder, name);
  };

  it("measures the difference of weights against what the steps changed in them", async () => {
    const start = await write("start.safetensors", [1, 1]);
    const ours = { metrics: [{ loss: 2 }], file: await write("ours.safetensors", [1.3, 1.4]) }; // changed by 0.5
    const near = { metrics: [{ loss: 2.001 }], file: await write("near.safetensors", [1.3, 1.405]) };
    const agreement = await agreementOf(ours, near, start);
    assert.ok(Math.abs(agreement.weights - 0.01) < 1e-4 && Math.abs(agreement.metrics - 0.0005) < 1e-6);
    assert.ok(agrees(agreement, "float32"));
    assert.ok(!agrees(await agreementOf(ours, { ...near, file: start }, start), "float32")); // a peer that did nothing
    assert.ok(!agrees(await agreementOf(ours, { ...near, metrics: [] }, start), "float32")); // a peer that tells no loss
  });
});
