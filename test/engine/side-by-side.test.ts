import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { compile, jvp, startEngine } from "../../src/model/engine";
import { sideBySide } from "../../src/model/engine/side-by-side";
import { tf } from "../../src/model/engine/tf";
import { threadsOfAnOperation } from "../../src/model/engine/threads";
import { randomStream } from "../../src/model/random";

before(() => startEngine());

const normal = (name: string, shape: [number, number]): tf.Tensor2D => tf.tensor2d(randomStream(0, name).normal(shape[0] * shape[1]), shape);
const apart = (actual: tf.Tensor, wanted: tf.Tensor): number => tf.tidy(() => tf.max(tf.abs(tf.sub(actual, wanted))).dataSync()[0]);

describe("parts of a batch side by side", () => {
  const weights = normal("weights", [4, 3]);
  const field = (x: tf.Tensor2D): tf.Tensor2D => tf.sigmoid(tf.matMul<tf.Tensor2D>(x, weights));

  it("give what the whole gives, with derivative and gradient, of any batch", () => {
    const learned = tf.variable(weights);
    for (const count of [1, 2, 5]) {
      const [x, tangent] = [normal("x", [count, 4]), normal("tangent", [count, 4])];
      const calls: number[] = [];
      const counted = (part: tf.Tensor2D): tf.Tensor2D => {
        calls.push(part.shape[0]);
        return field(part);
      };
      const step = compile(({ x: batch, tangent: direction }: { x: tf.Tensor2D; tangent: tf.Tensor2D }) => {
        const forward = jvp((part: tf.Tensor) => sideBySide(counted, part as tf.Tensor2D), [batch], [direction]);
        const { value, grads } = tf.variableGrads(() => tf.sum(tf.square(sideBySide((part: tf.Tensor2D) => tf.matMul<tf.Tensor2D>(part, learned as unknown as tf.Tensor2D), batch))) as tf.Scalar, [learned]);
        return { value: forward.value, tangent: forward.tangent, loss: value, gradient: grads[learned.name] };
      });
      step.prepare({ x, tangent }, { x: tf.mul(x, 2), tangent: tf.mul(tangent, 2) });
      assert.deepEqual([...new Set(calls)].sort(), count === 1 || availableParallelism() === 1 ? [count] : [...new Set([Math.floor(count / 2), Math.ceil(count / 2)])], `${count} samples`);
      const outputs = step({ x, tangent });
      const whole = jvp((part: tf.Tensor) => field(part as tf.Tensor2D), [x], [tangent]);
      assert.ok(apart(outputs.value, whole.value) < 1e-6);
      assert.ok(apart(outputs.tangent, whole.tangent) < 1e-6);
      assert.ok(apart(outputs.gradient, tf.matMul(x, tf.mul(2, tf.matMul(x, weights)), true)) < 1e-4);
      step.dispose();
    }
    learned.dispose();
  });

  it("are not cut where nothing is compiled", () => {
    const calls: number[] = [];
    sideBySide((part: tf.Tensor2D) => {
      calls.push(part.shape[0]);
      return field(part);
    }, normal("x", [6, 4]));
    assert.deepEqual(calls, [6]);
  });

  it("share the processors: half of them each, where nobody says otherwise", () => {
    assert.deepEqual([1, 2, 3, 16].map(threadsOfAnOperation), [1, 1, 1, 8]);
    const threads = (environment: Record<string, string>): string => {
      const { TF_NUM_INTRAOP_THREADS: _, ...others } = process.env;
      return execFileSync(process.execPath, ["-e", `require(${JSON.stringify(join(__dirname, "../../src/model/engine"))}); console.log(process.env.TF_NUM_INTRAOP_THREADS)`], { env: { ...others, ...environment }, encoding: "utf8" }).trim();
    };
    assert.equal(threads({}), String(threadsOfAnOperation()));
    assert.equal(threads({ TF_NUM_INTRAOP_THREADS: "3" }), "3");
  });
});
