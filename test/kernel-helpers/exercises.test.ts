import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { exerciseNamed, judge } from "../../src/kernel-helpers/exercises/exercise";
import { WALK_EXERCISES } from "../../src/kernel-helpers/exercises/walk";
import { sectionRows } from "../../src/kernel-helpers/workshop-times";
import { latentAt, reconstructionPrediction, residualOf, velocity } from "../../src/model";
import { tf } from "../../src/model/engine/tf";

describe("every exercise of the walk", () => {
  for (const exercise of WALK_EXERCISES) {
    test(`${exercise.name}: takes its solution, and tells each typical mistake from all others`, () => {
      const asGiven = (answer: (typeof exercise)["solution"]): unknown => (exercise.inputs.length > 0 ? answer : answer());
      assert.equal(judge(exercise, asGiven(exercise.solution)).result, "exact");
      for (const { answer, advice } of exercise.mistakes) assert.deepEqual(judge(exercise, asGiven(answer)), { name: exercise.name, result: "wrong", message: `Not yet: ${advice}` });
      assert.ok(exercise.hints.length >= 2);
    });
  }

  test("agrees with what the package computes", () => {
    const one = (value: number): tf.Tensor4D => tf.tensor4d([value], [1, 1, 1, 1]);
    const time = (value: number): tf.Tensor1D => tf.tensor1d([value]);
    const [F, x0, dFdt, r, t, z, eps] = [0.8, 0.5, 2, 0.3, 0.7, 1.2, -0.4];
    const same = (name: string, inputs: number[], tensor: tf.Tensor): void => assert.ok(Math.abs(Number(exerciseNamed(name).solution(...inputs)) - tensor.dataSync()[0]) < 1e-5, name);
    same("residual", [F, x0, dFdt, r, t], residualOf(one(F), one(x0), one(dFdt), time(r), time(t)));
    same("x-hat", [F, dFdt, r, t], reconstructionPrediction(one(F), one(dFdt), time(r), time(t)));
    same("trajectory", [z, eps, t], latentAt(one(z), one(eps), time(t)));
    same("velocity", [z, eps], velocity(one(z), one(eps)));
  });
});

describe("the checker", () => {
  const psnr = exerciseNamed("psnr");
  const message = (answer: unknown): string => judge(psnr, answer).message;

  test("says close, how far off, and what factor", () => {
    assert.deepEqual(judge(psnr, (error: number) => 1.005 * 10 * Math.log10(4 / error)).result, "close");
    assert.match(message((error: number) => 5 * Math.log10(4 / error)), /^Not yet: for \(0\.01\) it is 13\.01, expected 26\.02\. Everything is off by the factor 0\.5\. Try hint\("psnr"\)\.$/);
    assert.match(message((error: number) => -10 * Math.log10(4 / error) + error), /it is -26\.01, expected 26\.02\. Try/);
  });

  test("knows a missing answer, one of another kind or shape, one that throws, and one that isn't a number", () => {
    for (const nothing of [undefined, () => NaN]) assert.equal(judge(psnr, nothing).result, "open");
    assert.match(message(3), /^Expected a function, got a number/);
    assert.match(message(() => [1, 2]), /^Expected one number for \(0\.01\), got 2 numbers/);
    assert.match(message(() => "26"), /threw TypeError: expected a number, a list of numbers or a tensor, got a string/);
    assert.match(message((error: number) => (error > 0.1 ? NaN : 10 * Math.log10(4 / error))), /for \(0\.5\) it is NaN/);
  });

  test("takes tensors and lists, and names the nearest exercise", () => {
    const tensor = tf.scalar(12);
    assert.equal(judge(exerciseNamed("compression"), tensor).result, "exact");
    tensor.dispose();
    assert.throws(() => exerciseNamed("residuals"), /there is no exercise "residuals"; did you mean residual/);
  });
});

test("a section's time runs until the next one, with the exercises solved in it", () => {
  const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 10, minute)).toISOString();
  const rows = sectionRows([
    { time: at(0), kind: "section", name: "01: Latents", minutes: 8 },
    { time: at(3), kind: "exercise", name: "normalise", result: "wrong" },
    { time: at(5), kind: "exercise", name: "normalise", result: "exact" },
    { time: at(6), kind: "section", name: "01: And back", minutes: 6 },
    { time: at(7), kind: "exercise", name: "psnr", result: "close" },
  ]);
  assert.deepEqual(rows, [
    { section: "01: Latents", plan: "8 min", took: "6 min", solved: "normalise" },
    { section: "01: And back", plan: "6 min", took: "1 min", solved: "" },
  ]);
});
