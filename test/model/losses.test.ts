import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { critic, criticShapes, type CriticConfig } from "../../src/model/critic";
import { tf } from "../../src/model/engine/tf";
import { silu } from "../../src/model/layers";
import { evaluateLoss, type CriticScore, type Terms } from "../../src/model/losses";
import { adversarialLoss, criticLoss, gradientPenalty } from "../../src/model/losses/adversarial";
import { perceptualLoss, type PerceptualLossOptions } from "../../src/model/losses/perceptual";
import { pixelLoss, type PixelLossOptions } from "../../src/model/losses/pixel";
import { residualOf } from "../../src/model/objective";
import { assertMatches, readGolden, unpack, unpackAll, type Packed } from "./golden";

interface Case<Options> {
  options: Options;
  value: number;
  gradient: Packed;
}

interface CriticCase {
  value: number;
  gradients: Record<string, Packed>;
}

const { pixel, perceptual, adversarial, local } = readGolden<{
  pixel: { F: Packed; x0: Packed; dFdt: Packed; r: number[]; t: number[]; cases: Case<Partial<PixelLossOptions>>[] };
  perceptual: { xHat: Packed; x0: Packed; r: number[]; t: number[]; maps: Record<"first" | "second", Packed>; cases: Case<Partial<PerceptualLossOptions>>[] };
  adversarial: {
    config: CriticConfig;
    weights: Record<string, Packed>;
    batch: number;
    step: number;
    real: Packed;
    fake: Packed;
    noise: Packed;
    y: number[];
    generator: Record<"hinge" | "relativistic", { value: number; gradient: Packed }>;
    critic: Record<"hinge" | "relativistic" | "penalty", CriticCase>;
  };
  local: { config: CriticConfig; weights: Record<string, Packed> } & CriticCase;
}>("losses");

const TOLERANCE = 3e-5; // of the largest number: float32 against double precision
const images = (packed: Packed): tf.Tensor4D => unpack(packed) as tf.Tensor4D;

function assertValue(actual: tf.Tensor, expected: number, what: string): void {
  const value = actual.dataSync()[0];
  assert.ok(Math.abs(value - expected) <= TOLERANCE * Math.max(Math.abs(expected), 1e-3), `${what}: ${value}, not ${expected}`);
}

describe("losses, against PyTorch", () => {
  const [x0, dFdt] = [images(pixel.x0), images(pixel.dFdt)];
  const [r, t] = [tf.tensor1d(pixel.r), tf.tensor1d(pixel.t)];
  for (const { options, value, gradient } of pixel.cases)
    it(`pixel loss ${Object.values(options).join(", ")}`, () => {
      const loss = (F: tf.Tensor): tf.Scalar => pixelLoss(options)({ F, residual: residualOf(F as tf.Tensor4D, x0, dFdt, r, t), r, t } as unknown as Terms);
      const actual = tf.valueAndGrad(loss)(images(pixel.F));
      assertValue(actual.value, value, "value");
      assertMatches(actual.grad, gradient, TOLERANCE, "gradient in F");
    });

  const powers = [
    { name: "pixel-absolute", what: "gives every pixel the same pull, whatever the error of its image", each: Math.abs, slope: Math.sign },
    { name: "pixel-square", what: "pulls each pixel by its error, whatever the error of its image", each: (error: number) => error ** 2, slope: (error: number) => 2 * error },
  ];
  for (const { name, what, each, slope } of powers)
    it(`${name} ${what}`, () => {
      const at = (F: tf.Tensor): Terms => ({ F, residual: residualOf(F as tf.Tensor4D, x0, dFdt, r, t), r, t }) as unknown as Terms;
      const { value, grad } = tf.valueAndGrad((F: tf.Tensor) => evaluateLoss(name, at(F)))(images(pixel.F));
      const [residuals, gradients] = [at(images(pixel.F)).residual.dataSync(), grad.dataSync()];
      const perImage = residuals.length / pixel.t.length;
      const errors = Array.from(residuals, (residual, index) => pixel.t[Math.floor(index / perImage)] * residual);
      assertValue(value, errors.reduce((sum, error) => sum + each(error), 0) / errors.length, "mean");
      gradients.forEach((gradient, index) => assert.ok(Math.abs(gradient * errors.length - slope(errors[index])) < 1e-5 * (1 + Math.abs(errors[index])), `pixel ${index}`));
    });

  it("pixel-decoding pulls as pixel-absolute does where r = t, and nowhere else", () => {
    const diagonal = Array.from(pixel.t, (time, image) => (image % 2 === 0 ? time : time / 2));
    const pulled = (name: string): Float32Array => tf.grad((F: tf.Tensor) => evaluateLoss(name, { F, residual: residualOf(F as tf.Tensor4D, x0, dFdt, tf.tensor1d(diagonal), t), r: tf.tensor1d(diagonal), t } as unknown as Terms))(images(pixel.F)).dataSync() as Float32Array;
    const [decoding, everywhere] = [pulled("pixel-decoding"), pulled("pixel-absolute")];
    const perImage = decoding.length / pixel.t.length;
    decoding.forEach((pull, index) => assert.equal(pull, Math.floor(index / perImage) % 2 === 0 ? everywhere[index] : 0, `pixel ${index}`));
  });

  // A time of 0.5 halves the residual: e = t R.
  const edges = (error: tf.Tensor): tf.Scalar => evaluateLoss("pixel-edges", { F: error, residual: tf.mul(2, error), r: tf.zeros([error.shape[0]]), t: tf.fill([error.shape[0]], 0.5) } as unknown as Terms);

  const [height, width] = [4, 6];
  const errorAt = (at: (row: number, column: number) => number): tf.Tensor4D => tf.tensor4d(Float32Array.from({ length: 2 * height * width * 3 }, (_, index) => at(Math.floor(index / (3 * width)) % height, Math.floor(index / 3) % width)), [2, height, width, 3]);
  it("pixel-edges sees no error that is the same everywhere, and counts a grain as often as it changes", () => {
    assertValue(edges(errorAt(() => 0.7)), 0, "a constant error");
    assertValue(edges(errorAt((row, column) => 0.1 * row + 0.3 * column)), (0.1 + 0.3) / 2, "a slope");
    assertValue(edges(errorAt((row, column) => 0.01 * (-1) ** (row + column))), 0.02, "a chequered grain");
    const step = edges(errorAt((_, column) => (column < 3 ? 0 : 1)));
    assertValue(step, 0.5 / (width - 1), "a step");
    assertValue(edges(errorAt((_, column) => Math.min(Math.max(column - 1, 0), 3) / 3)), step.dataSync()[0], "the same step, spread over three pixels");
  });

  it("pixel-edges has a gradient in F that is its slope", () => {
    const [noise, direction] = [1, 2].map((seed) => tf.randomNormal([2, 4, 6, 3], 0, 0.1, "float32", seed) as tf.Tensor4D);
    // Far from where a difference changes its sign the loss is linear.
    const error = tf.add(errorAt((row, column) => 0.5 * (-1) ** (row + column)), noise);
    const { grad } = tf.valueAndGrad(edges)(error);
    const step = 0.5;
    const [ahead, behind] = [step, -step].map((by) => edges(tf.add(error, tf.mul(by, direction))).dataSync()[0]);
    const [found, slope] = [tf.sum(tf.mul(grad, direction)).dataSync()[0], (ahead - behind) / (2 * step)];
    assert.ok(Math.abs(found - slope) < 1e-3 * Math.abs(slope), `${found}, ${slope} by differences`);
  });

  for (const { options, value, gradient } of perceptual.cases)
    it(`perceptual loss of ${options.samples || "all"} samples, Huber's delta ${options.huberDelta}`, () => {
      const maps = { first: unpack(perceptual.maps.first), second: unpack(perceptual.maps.second) };
      const mapped = (x: tf.Tensor4D, map: tf.Tensor): tf.Tensor4D => tf.matMul(x.reshape([-1, 3]), map).reshape([...x.shape.slice(0, 3), map.shape[1]!]) as tf.Tensor4D;
      const features = (x: tf.Tensor4D): tf.Tensor4D[] => {
        return [tf.tanh(mapped(x, maps.first)), tf.avgPool(silu(mapped(x, maps.second)), 2, 2, "valid")];
      };
      const terms = { x0: images(perceptual.x0), r: tf.tensor1d(perceptual.r), t: tf.tensor1d(perceptual.t), features, correctionLimit: 1 };
      const actual = tf.valueAndGrad((xHat) => perceptualLoss(options)({ ...terms, xHat } as unknown as Terms))(images(perceptual.xHat));
      assertValue(actual.value, value, "value");
      assertMatches(actual.grad, gradient, TOLERANCE, "gradient in x hat");
    });

  const { config, batch, step } = adversarial;
  const [real, fake, noise] = [images(adversarial.real), images(adversarial.fake), images(adversarial.noise)];
  const y = tf.tensor1d(adversarial.y, "int32");
  const weights = unpackAll(adversarial.weights);
  const names = Object.keys(weights);
  const scored = (tensors: tf.Tensor[]): CriticScore => {
    const parameters = Object.fromEntries(names.map((name, index) => [name, tensors[index]]));
    return (pictures, labels) => critic(config, parameters, pictures, labels);
  };

  it("the critic has the same parameters", () => {
    const shapes = Object.fromEntries(Object.entries(criticShapes(config)).map(([name, { shape }]) => [name, shape]));
    assert.deepEqual(shapes, Object.fromEntries(names.map((name) => [name, weights[name].shape])));
  });

  for (const kind of ["hinge", "relativistic"] as const)
    it(`adversarial loss, ${kind}: value and balanced gradient in the samples`, () => {
      const score = scored(Object.values(weights));
      const F = tf.zeros([batch, config.imageSize, config.imageSize, 3]);
      const actual = tf.valueAndGrad((samples) => adversarialLoss(kind)({ F, critic: score, samples: { images: samples, real, y } } as unknown as Terms))(fake);
      assertValue(actual.value, adversarial.generator[kind].value, "value");
      assertMatches(actual.grad, adversarial.generator[kind].gradient, TOLERANCE, "gradient in the samples");
    });

  const criticLosses: Record<keyof typeof adversarial.critic, (score: CriticScore) => tf.Scalar> = {
    hinge: (score) => criticLoss("hinge", score, real, fake, y),
    relativistic: (score) => criticLoss("relativistic", score, real, fake, y),
    penalty: (score) => gradientPenalty(score, real, noise, y, step),
  };
  for (const [name, loss] of Object.entries(criticLosses))
    it(`the critic's loss, ${name}: value and gradient in every parameter`, () => {
      const golden = adversarial.critic[name as keyof typeof criticLosses];
      // The penalty divides a difference of rounded scores by the step, which costs digits.
      const tolerance = name === "penalty" ? 5 * TOLERANCE : TOLERANCE;
      const actual = tf.valueAndGrads((...tensors: tf.Tensor[]) => loss(scored(tensors)))(Object.values(weights));
      assertValue(actual.value, golden.value, "value");
      names.forEach((parameter, index) => assertMatches(actual.grads[index], golden.gradients[parameter], tolerance, `gradient in ${parameter}`));
    });

  it("the local critic: parameters, and value and gradient of its loss", () => {
    const localNames = Object.keys(local.weights);
    const tensors = Object.values(unpackAll(local.weights));
    assert.deepEqual(Object.entries(criticShapes(local.config)).map(([name, { shape }]) => [name, shape]), localNames.map((name, index) => [name, tensors[index].shape]));
    const scores = (parts: tf.Tensor[]): CriticScore => (pictures, labels) => critic(local.config, Object.fromEntries(localNames.map((name, index) => [name, parts[index]])), pictures, labels);
    const actual = tf.valueAndGrads((...parts: tf.Tensor[]) => criticLoss("relativistic", scores(parts), real, fake, y))(tensors);
    assertValue(actual.value, local.value, "value");
    localNames.forEach((name, index) => assertMatches(actual.grads[index], local.gradients[name], TOLERANCE, `gradient in ${name}`));
  });

  it("the local critic's score of a place knows 17 x 17 pixels around it, and no others", () => {
    const config: CriticConfig = { imageSize: 48, classes: 2, channels: 4, local: true };
    const parameters = Object.fromEntries(Object.entries(criticShapes(config)).map(([name, { shape }]) => [name, tf.randomNormal(shape, 0, 0.5, "float32", 7)]));
    const gradient = tf.grad((pictures) => tf.sum(tf.slice(critic(config, parameters, pictures as tf.Tensor4D, tf.tensor1d([1], "int32")).patches, [0, 12 * 24 + 12], [1, 1])))(tf.randomNormal([1, 48, 48, 3], 0, 1, "float32", 8));
    const seen = Array.from(tf.any(tf.notEqual(gradient, 0), [2, 3]).dataSync()).flatMap((any, row) => (any ? [row] : [])); // of 48 rows
    assert.deepEqual([seen[0], seen[seen.length - 1]], [17, 33]);
  });
});
