import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { resolveConfig, type TrainConfig } from "../../src/model/config";
import { distillationTarget, guidedVelocity, latentFlowTeacher, latentsAlongFlow, loadTeacher, ownFlowTeacher, reconstructionTarget, refinementTarget, type Teacher } from "../../src/model/distillation";
import { startEngine } from "../../src/model/engine";
import { tf } from "../../src/model/engine/tf";
import { disposeModel, loadModel } from "../../src/model/model";
import type { ImageField } from "../../src/model/objective";
import { randomStream } from "../../src/model/random";
import { decode } from "../../src/model/sampler";
import { train } from "../../src/model/trainer";
import { perSample } from "../../src/model/trajectory";
import { base, coarseEncoder as encoder, resources } from "./tiny-training";

const folder = mkdtempSync(join(tmpdir(), "crossflow-distillation-"));
after(() => rmSync(folder, { recursive: true, force: true }));
before(() => startEngine());

const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);
const y = (): tf.Tensor1D => tf.tensor1d([0, 0], "int32");

describe("a network's own flow", () => {
  it("is the straight line to the latent that its image has, whatever the steps", () => {
    const [noise, latent] = [1, 2].map((seed) => tf.tensor4d(randomStream(seed, "line").normal(2 * 12), [2, 2, 2, 3]));
    const teacher = (flow = {}) => ownFlowTeacher(() => tf.zeros([2, 4, 4, 3]), () => latent, flow);
    const t = tf.tensor1d([1, 0.6]);
    assert.ok(apart(teacher().velocityAt(noise, t, y()), tf.div(tf.sub(noise, latent), perSample(t))) < 1e-5);
    for (const steps of [1, 5]) assert.ok(apart(latentsAlongFlow(teacher({ steps, endShare: 0.3 }), noise, t, y()), tf.add(latent, tf.mul(0.3, tf.sub(noise, latent)))) < 1e-5);
  });

  it("nears the closed form of Gaussian latents as its steps get shorter", () => {
    // The image is the latent: with latents of mean m and deviation d, E[z | z_t] = m + (1 - t) d^2 / spread(t)^2 (z_t - (1 - t) m), spread(t)^2 = (1 - t)^2 d^2 + t^2.
    const [mean, deviation, t, end] = [0.1, 0.2, 0.9, 0.3];
    const field: ImageField = (zT, times) => {
      const left = perSample(tf.sub(1, times));
      const spread = tf.add(tf.square(tf.mul(left, deviation)), tf.square(perSample(times)));
      return tf.add(mean, tf.mul(tf.div(tf.mul(left, deviation ** 2), spread), tf.sub(zT, tf.mul(left, mean))));
    };
    const points = [0.2, -0.7, 0.5, 1.1, 0.4, -0.1];
    const spread = (time: number): number => Math.hypot((1 - time) * deviation, time);
    const wanted = tf.tensor4d(points.map((point) => (1 - end) * mean + ((point - (1 - t) * mean) * spread(end)) / spread(t)), [2, 1, 1, 3]);
    const error = (steps: number): number => apart(latentsAlongFlow(ownFlowTeacher(field, (images) => images, { steps, endShare: end / t }), tf.tensor4d(points, [2, 1, 1, 3]), tf.tensor1d([t, t]), y()), wanted);
    assert.ok(error(6) < 0.03 && error(48) < 0.15 * error(6), `${error(6)} with 6 steps, ${error(48)} with 48`);
  });

  it("leads to the target, the teacher's image at its end with r = 0, and leaves no tensor but that", () => {
    const asked: number[][] = [];
    const field: ImageField = (zT, r) => {
      asked.push(Array.from(r.dataSync()));
      return tf.mul(zT, 0.5);
    };
    const teacher = ownFlowTeacher(field, (images) => tf.zerosLike(images), { steps: 2, endShare: 0.5 });
    const [zT, t, labels] = [tf.fill([2, 1, 1, 3], 0.8) as tf.Tensor4D, tf.tensor1d([1, 0.5]), y()];
    const before = tf.memory().numTensors;
    const target = distillationTarget(teacher, zT, t, labels);
    assert.equal(tf.memory().numTensors, before + 1);
    assert.ok(apart(target, tf.fill([2, 1, 1, 3], 0.2)) < 1e-6);
    assert.deepEqual(asked, [[1, 0.5], [0.75, 0.375], [0, 0]]);
  });
});

describe("a latent flow as a teacher", () => {
  it("is followed to the latent itself, at the times of its steps, and its image is the decoder's", () => {
    const [noise, latent] = [1, 2].map((seed) => tf.tensor4d(randomStream(seed, "line").normal(2 * 12), [2, 2, 2, 3]));
    const [t, labels] = [tf.tensor1d([1, 0.6]), y()];
    const asked: number[] = [];
    const velocityAt: Teacher["velocityAt"] = (zT, time) => {
      asked.push(time.dataSync()[1]);
      return tf.div(tf.sub(zT, latent), perSample(time));
    };
    const teacher = latentFlowTeacher(velocityAt, (z) => tf.mul(z, 2), { steps: 3 });
    const before = tf.memory().numTensors;
    const target = distillationTarget(teacher, noise, t, labels);
    assert.equal(tf.memory().numTensors, before + 1);
    assert.ok(apart(target, tf.mul(latent, 2)) < 1e-5);
    [0.6, 0.6 * (2 / 3) ** 1.5, 0.6 * (1 / 3) ** 1.5].forEach((time, step) => assert.ok(Math.abs(asked[step] - time) < 1e-6));
  });
});

describe("a guided flow", () => {
  it("goes away from the guide by the factor, and with the factor 1 nowhere", () => {
    const [zT, t] = [tf.tensor4d(randomStream(1, "line").normal(2 * 12), [2, 2, 2, 3]), tf.tensor1d([1, 0.6])];
    const velocityAt: Teacher["velocityAt"] = (z, time) => tf.mul(z, perSample(time));
    const guideAt: Teacher["velocityAt"] = (z, _, labels) => tf.add(z, tf.cast(perSample(labels), "float32"));
    const labels = tf.tensor1d([0, 3], "int32");
    const before = tf.memory().numTensors;
    // v = t z and v_guide = z + y, so that v_guide + w (v - v_guide) = (1 - w) (z + y) + w t z.
    for (const guidance of [1, 2, 2.5]) {
      const wanted = tf.tidy(() => tf.add(tf.mul(1 - guidance, tf.add(zT, tf.tensor4d([0, 3], [2, 1, 1, 1]))), tf.mul(guidance, tf.mul(zT, tf.tensor4d([1, 0.6], [2, 1, 1, 1])))));
      const guided = guidedVelocity(velocityAt, guideAt, guidance)(zT, t, labels);
      assert.ok(apart(guided, wanted) < 1e-5, `guidance ${guidance}`);
      tf.dispose([wanted, guided]);
    }
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("a reconstruction", () => {
  it("is the teacher's one-step image, clamped, once through the autoencoder", () => {
    const images = tf.tensor4d(randomStream(4, "images").normal(2 * 16 * 16 * 3).map((value) => 2 * value), [2, 16, 16, 3]);
    const z = tf.tensor4d(randomStream(5, "latents").normal(64), [2, 4, 4, 2]);
    const before = tf.memory().numTensors;
    const target = reconstructionTarget({ imageOf: (given) => tf.add(images, tf.mul(0, tf.sum(tf.sub(given, z)))) as tf.Tensor4D }, (clamped) => encoder.decode(encoder.encode(clamped)), z, y());
    assert.equal(tf.memory().numTensors, before + 2); // the classes as well
    const clamped = images.arraySync().map((image) => image.map((row) => row.map((pixel) => pixel.map((value) => Math.min(1, Math.max(-1, value))))));
    // The stub's latent is a block's mean, its image that mean in the first two channels.
    let sum = 0;
    for (let row = 4; row < 8; row++) for (let column = 8; column < 12; column++) sum += clamped[1][row][column][1];
    assert.ok(Math.abs(target.arraySync()[1][5][10][1] - sum / 16) < 1e-5);
    tf.dispose([images, z, target]);
  });
});

describe("a refinement", () => {
  // The image is the latent; the one step goes to 0.3 wherever it starts, the flow to the mean of latents of mean m and no deviation.
  const oneStep: Teacher["imageOf"] = (zT) => tf.fill(zT.shape, 0.3) as tf.Tensor4D;
  const towards = (mean: number, asked: number[][] = []): Teacher => latentFlowTeacher((zT, t) => {
    asked.push(Array.from(t.dataSync()));
    return tf.div(tf.sub(zT, mean), perSample(tf.maximum(t, 1e-6))) as tf.Tensor4D;
  }, (z) => tf.mul(z, 2) as tf.Tensor4D);
  const [zT, t] = [tf.tensor4d([1.3, -0.7], [2, 1, 1, 1]), tf.tensor1d([1, 0.5])];

  it("is the teacher's image from a point on the way to the one-step image, at a share of t, and leaves no tensor but that", () => {
    const asked: number[][] = [];
    const points: number[][] = [];
    const teacher = towards(0.3, asked);
    const watched: Teacher = { ...teacher, velocityAt: (point, time, labels) => (points.push(Array.from(point.dataSync())), teacher.velocityAt(point, time, labels)) };
    const labels = y();
    const before = tf.memory().numTensors;
    const target = refinementTarget(watched, oneStep, (images) => images, zT, t, labels, { start: 0.4 });
    assert.equal(tf.memory().numTensors, before + 1);
    const near = (actual: number[], wanted: number[]): boolean => actual.every((value, index) => Math.abs(value - wanted[index]) < 1e-6);
    assert.ok(near(points[0], [0.3 + 0.4 * 1, 0.3 - 0.4 * 1]), points[0].join());
    assert.ok(near(asked[0], [0.4, 0.2]), "times are the share of t");
    assert.ok(near(asked[3], [0.4 / 8, 0.2 / 8]) && asked.length === 4, "four steps, the last where a quarter to the power of 1.5 is left");
    // Both agree on where the line ends.
    assert.ok(apart(target, tf.fill([2, 1, 1, 1], 0.6)) < 1e-6);
  });

  it("with exchanged noise starts from another point at the same distance, made of noise at right angles", () => {
    const z = tf.tensor4d(randomStream(5, "noise").normal(2 * 3 * 3 * 4), [2, 3, 3, 4]);
    const time = tf.tensor1d([1, 0.4]);
    const points: tf.Tensor[] = [];
    const teacher = latentFlowTeacher((point) => (points.push(tf.keep(point.clone())), tf.zerosLike(point)), (latents) => latents);
    const image = tf.fill([2, 3, 3, 4], 0.25) as tf.Tensor4D;
    for (const noise of ["own", "exchanged"] as const) refinementTarget(teacher, () => tf.clone(image), (images) => images, z, time, y(), { start: 0.5, noise, steps: 1 });
    // The end is the image: z_t = (1 - t) image + t eps, and the point is (1 - t / 2) image + (t / 2) eps, exchanged or not.
    const eps = tf.div(tf.sub(z, tf.mul(tf.sub(1, perSample(time)), image)), perSample(time));
    const [own, exchanged] = points.map((point) => tf.div(tf.sub(point, tf.mul(tf.sub(1, tf.div(perSample(time), 2)), image)), tf.div(perSample(time), 2)));
    assert.ok(apart(own, eps) < 1e-5);
    const [a, b] = [eps, exchanged].map((tensor) => Array.from(tensor.dataSync()));
    for (let place = 0; place < a.length; place += 4) {
      [b[place] - a[place + 3], b[place + 1] + a[place + 2], b[place + 2] - a[place + 1], b[place + 3] + a[place]].forEach((difference) => assert.ok(Math.abs(difference) < 1e-5));
      assert.ok(Math.abs([0, 1, 2, 3].reduce((sum, channel) => sum + a[place + channel] * b[place + channel], 0)) < 1e-4, "at right angles");
    }
    tf.dispose(points);
  });

  it("goes from the one-step image through the autoencoder to the teacher's own image as the share goes from 0 to 1", () => {
    const tenfold = (images: tf.Tensor4D): tf.Tensor4D => tf.mul(images, 10) as tf.Tensor4D;
    const bright: Teacher["imageOf"] = (z) => tf.fill(z.shape, 4) as tf.Tensor4D;
    assert.ok(apart(refinementTarget(towards(-2), bright, tenfold, zT, t, y(), { start: 0 }), tf.fill([2, 1, 1, 1], 20)) < 1e-4, "clamped to 1, encoded to 10, decoded to 20");
    const whole = refinementTarget(towards(-2), bright, tenfold, zT, t, y(), { start: 1 });
    assert.ok(apart(whole, distillationTarget({ ...towards(-2), steps: 4 }, zT, t, y())) < 1e-5);
    assert.ok(apart(whole, tf.fill([2, 1, 1, 1], -4)) < 1e-5);
  });
});

describe("a training by distillation", () => {
  const options = { runsFolder: folder, resources: { ...resources, encoder } };
  const config = { ...base, steps: 4, diagonalShare: 0.25, endShare: 0.5 };

  it("runs compiled as it does step by step, leaves no tensor, and its teacher stays as it was", async () => {
    for await (const event of train({ ...config, name: "teacher" }, options)) assert.ok(Number.isFinite(event.total));
    const initialModel = join(folder, "teacher", "model.safetensors");
    const before = tf.memory().numTensors;
    const totals = async (name: string, compile: boolean): Promise<number[]> => {
      const values: number[] = [];
      for await (const { total } of train({ ...config, name, initialModel, endTarget: "distillation", compile }, options)) values.push(total);
      return values;
    };
    const [compiled, eager] = [await totals("compiled", true), await totals("eager", false)];
    compiled.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    const other = { ...options, resources: { ...resources, encoder: { ...encoder, fingerprint: "another" } } };
    await assert.rejects(async () => {
      for await (const event of train({ ...config, name: "other-encoder", initialModel, endTarget: "distillation" }, other)) assert.fail(`step ${event.step}`);
    }, /model\.safetensors can not teach this training: it was trained on the latents of another encoder/);
    assert.equal(tf.memory().numTensors, before);
  });

  it("by a latent flow starts from nothing or from a model, and its images are the autoencoder's", async () => {
    for await (const event of train({ ...base, name: "flow", method: "latent-flow", losses: { "pixel-paper-l2": 1 }, steps: 3 }, options)) assert.ok(Number.isFinite(event.total));
    const teacherModel = join(folder, "flow", "model.safetensors");
    const before = tf.memory().numTensors;
    for (const [name, initialModel] of [["from-nothing", ""], ["from-a-model", join(folder, "teacher", "model.safetensors")]]) {
      for await (const event of train({ ...config, name, teacherModel, initialModel, endTarget: "distillation" }, options)) assert.ok(Number.isFinite(event.total));
    }
    const { teacher, dispose } = await loadTeacher({ teacherModel, initialModel: "" }, { ...resources, encoder, encoderFingerprint: encoder.fingerprint });
    tf.tidy(() => {
      const z = tf.tensor4d(randomStream(3, "latents").normal(64), [2, 4, 4, 2]);
      assert.ok(apart(teacher.imageOf(z, y()), encoder.decode(z)) < 1e-6);
    });
    dispose();
    assert.equal(tf.memory().numTensors, before);
  });

  it("by reconstructions brings one-step images nearer to what the autoencoder makes of the frozen network's, compiled as step by step", async () => {
    const initialModel = join(folder, "teacher", "model.safetensors");
    const before = tf.memory().numTensors;
    const totals = async (name: string, given: Partial<TrainConfig>): Promise<number[]> => {
      const values: number[] = [];
      for await (const { total } of train({ ...config, name, initialModel, endTarget: "reconstruction", ...given }, options)) values.push(total);
      return values;
    };
    const [compiled, eager] = [await totals("reconstructed", {}), await totals("reconstructed-eager", { compile: false })];
    compiled.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    const cleaned = await totals("cleaned", { diagonalShare: 0, endShare: 1, noiseShare: 1, steps: 30, losses: { "pixel-absolute": 1 } });
    const ends = [cleaned.slice(0, 5), cleaned.slice(-5)].map((values) => values.reduce((sum, value) => sum + value) / 5);
    assert.ok(ends[1] < 0.8 * ends[0], `distance ${ends[0]} at first, ${ends[1]} at last`);
    await assert.rejects(totals("of-a-flow", { teacherModel: join(folder, "flow", "model.safetensors") }), /endTarget "reconstruction" learns from the one-step images of a CrossFlow network, and .*flow.model\.safetensors is a latent flow/);
    assert.equal(tf.memory().numTensors, before);
  });

  it("by refinements brings one-step images nearer to what the flow makes of the frozen network's, compiled as step by step, and goes on bit for bit", async () => {
    const [initialModel, teacherModel] = ["teacher", "flow"].map((name) => join(folder, name, "model.safetensors"));
    const before = tf.memory().numTensors;
    const totals = async (name: string, given: Partial<TrainConfig>, until = Infinity, existing: "fail" | "resume" = "fail"): Promise<number[]> => {
      const values: number[] = [];
      for await (const { step, total } of train({ ...config, name, initialModel, teacherModel, endTarget: "refinement", refinementStart: 0.5, ...given }, { ...options, existing })) {
        values.push(total);
        if (step === until) break;
      }
      return values;
    };
    const [compiled, eager] = [await totals("refined", {}), await totals("refined-eager", { compile: false })];
    compiled.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    // Equal trainings agree bit for bit, so that any difference is that of the flow's steps, small as it is with a flow that has learned one step.
    assert.notEqual((await totals("refined-in-one", { refinementEvaluations: 1 }, 1))[0], compiled[0]);
    assert.deepEqual([...(await totals("refined-halves", {}, 2)), ...(await totals("refined-halves", {}, 4, "resume"))], compiled);
    // Beside the matching of distributions the same images are the targets, and they stay when the network and its average change.
    const beside = async (name: string, emaDecay: number): Promise<number[]> => totals(name, { endTarget: "distribution", distilledShare: 0, refinedShare: 1, emaDecay });
    const [swift, slow] = [await beside("beside-swift", 0.1), await beside("beside-slow", 0.9999)];
    assert.ok(Math.abs(swift[0] - compiled[0]) < 1e-4 * compiled[0], `${swift[0]} beside the matching, ${compiled[0]} alone`);
    assert.deepEqual(swift, slow);
    const finished = await totals("finished", { diagonalShare: 0, endShare: 1, noiseShare: 1, steps: 30, losses: { "pixel-absolute": 1 } });
    const ends = [finished.slice(0, 5), finished.slice(-5)].map((values) => values.reduce((sum, value) => sum + value) / 5);
    assert.ok(ends[1] < 0.8 * ends[0], `distance ${ends[0]} at first, ${ends[1]} at last`);
    await assert.rejects(totals("no-flow", { teacherModel: initialModel }), /endTarget "refinement" needs a teacher of the method "latent-flow", and .*teacher.model\.safetensors is another/);
    await assert.rejects(totals("no-image", { initialModel: teacherModel }), /endTarget "refinement" refines the one-step images of a CrossFlow network, and .*flow.model\.safetensors is a latent flow/);
    await assert.rejects(totals("no-image-beside", { endTarget: "distribution", refinedShare: 0.5, initialModel: teacherModel }), /refinedShare refines the one-step images of a CrossFlow network, and .*flow.model\.safetensors is a latent flow: .* or set refinedShare to 0/);
    assert.equal(tf.memory().numTensors, before);
  });

  it("follows the flow that a worse model guides, compiled as step by step, and frees both", async () => {
    for await (const event of train({ ...base, name: "early-flow", method: "latent-flow", losses: { "pixel-paper-l2": 1 }, steps: 1 }, options)) assert.ok(Number.isFinite(event.total));
    const [teacherModel, guideModel] = ["flow", "early-flow"].map((name) => join(folder, name, "model.safetensors"));
    const before = tf.memory().numTensors;
    const totals = async (name: string, guide: Partial<TrainConfig>): Promise<number[]> => {
      const values: number[] = [];
      for await (const { total } of train({ ...config, name, teacherModel, endTarget: "distillation", ...guide }, options)) values.push(total);
      return values;
    };
    const [alone, one, guided, eager] = [await totals("alone", {}), await totals("one", { guideModel, guidance: 1 }), await totals("guided", { guideModel, guidance: 3 }), await totals("guided-eager", { guideModel, guidance: 3, compile: false })];
    one.forEach((value, step) => assert.ok(Math.abs(value - alone[step]) < 1e-4 * Math.abs(value), `step ${step + 1}: ${value} with guidance 1, ${alone[step]} alone`));
    guided.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    assert.ok(Math.abs(guided[0] - alone[0]) > 1e-5 * alone[0], `${guided[0]} guided, ${alone[0]} alone`);
    assert.equal(tf.memory().numTensors, before);
  });

  it("has the images of a network that decodes in the autoencoder's place, compiled as step by step, and frees it", async () => {
    const [initialModel, teacherModel] = ["teacher", "flow"].map((name) => join(folder, name, "model.safetensors"));
    for await (const event of train({ ...base, name: "decoder", method: "decoder", losses: { pixel: 1 }, steps: 1, minimumTime: 0.1 }, options)) assert.ok(event.step);
    const decoderModel = join(folder, "decoder", "model.safetensors");
    const subject = { network: resources.network, encoderFingerprint: encoder.fingerprint, encoder };
    const z = tf.tensor4d(randomStream(6, "latents").normal(64), [2, 4, 4, 2]);
    const labels = tf.tensor1d([0, 1], "int32");
    for (const file of [decoderModel, initialModel]) {
      const before = tf.memory().numTensors;
      const model = await loadModel(file);
      const { teacher, dispose } = await loadTeacher({ teacherModel, initialModel: "", decoderModel: file }, subject);
      const images = teacher.imageOf(z, labels);
      // decode() clamps, a target need not.
      const [clamped, wanted] = [tf.clipByValue(images, -1, 1), decode(model, z, labels.arraySync())];
      assert.ok(apart(clamped, wanted) < 1e-6);
      tf.dispose([images, clamped, wanted]);
      dispose();
      disposeModel(model);
      assert.equal(tf.memory().numTensors, before);
    }
    const before = tf.memory().numTensors;
    const totals = async (name: string, given: Partial<TrainConfig>): Promise<number[]> => {
      const values: number[] = [];
      for await (const { total } of train({ ...config, name, initialModel, teacherModel, endTarget: "refinement", refinementStart: 0.5, ...given }, options)) values.push(total);
      return values;
    };
    const [decoded, eager, plain] = [await totals("decoded", { decoderModel }), await totals("decoded-eager", { decoderModel, compile: false }), await totals("not-decoded", {})];
    decoded.forEach((value, step) => assert.ok(Math.abs(value - eager[step]) < 1e-3 * Math.abs(value), `step ${step + 1}: ${value} compiled, ${eager[step]} eager`));
    assert.ok(Math.abs(decoded[0] - plain[0]) > 1e-3 * plain[0], `${decoded[0]} by the network, ${plain[0]} by the autoencoder`);
    await assert.rejects(loadTeacher({ teacherModel, initialModel: "", decoderModel: teacherModel }, subject), /flow.model\.safetensors can not teach this training: a model of the method "latent-flow" makes no images of latents\. Choose one of the method crossflow or decoder/);
    await assert.rejects(loadTeacher({ teacherModel: "", initialModel, decoderModel }, subject), /decoderModel makes the images of a latent flow, and .*teacher.model\.safetensors is a CrossFlow network, which makes its own: leave out decoderModel/);
    assert.equal(tf.memory().numTensors, before);
    tf.dispose([z, labels]);
  });

  it("refuses a teacher that knows no flow, and latents whose encoder is not there", async () => {
    for await (const event of train({ ...base, name: "gan", method: "gan", losses: { pixel: 1 }, steps: 1 }, options)) assert.ok(event.step);
    const file = (name: string): string => join(folder, name, "model.safetensors");
    const before = tf.memory().numTensors;
    const { network } = resources;
    const latents = { network, encoderFingerprint: encoder.fingerprint };
    await assert.rejects(loadTeacher({ teacherModel: file("gan"), initialModel: "" }, { ...latents, encoder }), /gan.model\.safetensors can not teach this training: a model of the method "gan" knows no flow/);
    await assert.rejects(loadTeacher({ teacherModel: file("flow"), initialModel: "" }, { ...latents, encoder, network: { ...network, classes: 3 } }), /flow.model\.safetensors can not teach this training: it was trained with other latents or classes, classes \(2 there, 3 here\)/);
    await assert.rejects(loadTeacher({ teacherModel: file("flow"), initialModel: "", guideModel: file("gan"), guidance: 2 }, { ...latents, encoder }), /gan.model\.safetensors can not teach this training: a model of the method "gan" knows no flow/);
    await assert.rejects(loadTeacher({ teacherModel: file("flow"), initialModel: "" }, latents), /needs the autoencoder, and these latents come without it/);
    assert.equal(tf.memory().numTensors, before);
  });

  it("says what it needs", () => {
    assert.throws(() => resolveConfig({ endTarget: "distillation" }), /learns from a trained network: set teacherModel to its file \(train --teacher FILE\), or initialModel/);
    assert.throws(() => resolveConfig({ teacherModel: "model.safetensors" }), /teacherModel serves endTarget "distillation", "distribution", "reconstruction", and "refinement", and endTarget is "derivative"/);
    for (const given of [{ initialModel: "model.safetensors" }, { teacherModel: "flow.safetensors" }]) assert.throws(() => resolveConfig({ endTarget: "refinement", ...given }), /endTarget "refinement" learns from a network's one-step images as a trained latent flow ends them: set initialModel .*\(train --from FILE\) and teacherModel .*\(train --teacher FILE\)/);
    assert.throws(() => resolveConfig({ refinementNoise: "swapped" }), /refinementNoise must be one of own, exchanged/);
    assert.throws(() => resolveConfig({ refinementEvaluations: 0 }), /refinementEvaluations must be a whole number of at least 1/);
    assert.throws(() => resolveConfig({ refinementStart: 1.5 }), /refinementStart must be a number from 0 to 1/);
    assert.throws(() => resolveConfig({ endTarget: "reconstruction" }), /endTarget "reconstruction" learns from a trained network: set teacherModel/);
    assert.throws(() => resolveConfig({ endTarget: "reconstruction", initialModel: "model.safetensors", guideModel: "early.safetensors" }), /guideModel serves endTarget "distillation", "distribution", and "refinement", and endTarget is "reconstruction"/);
    assert.throws(() => resolveConfig({ guideModel: "early.safetensors" }), /guideModel serves endTarget "distillation", "distribution", and "refinement", and endTarget is "derivative"/);
    assert.throws(() => resolveConfig({ endTarget: "reconstruction", initialModel: "model.safetensors", decoderModel: "decoder.safetensors" }), /decoderModel serves endTarget "distillation", "distribution", and "refinement", and endTarget is "reconstruction"/);
    assert.throws(() => resolveConfig({ endTarget: "distillation", initialModel: "model.safetensors", guidance: 0.5 }), /guidance must be a number of at least 1, not 0\.5/);
    assert.throws(() => resolveConfig({ endTarget: "distillation", method: "gan" }), /endTarget "distillation" is for the method "crossflow", not "gan"/);
  });
});
