import assert from "node:assert/strict";
import { test } from "node:test";
import { compile } from "../../src/model/engine/compile";
import { jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { relu6 } from "../../src/model/features/relu6";

const X = [-2, -1e-6, 1e-6, 3, 5.999, 6.001, 40];
const DY = [1, 2, 3, 4, 5, 6, 7];
const GRADIENT = [0, 0, 3, 4, 5, 0, 0];

for (const engine of [tf.getBackend(), "cpu"]) {
  test(`relu6 on ${engine}: value, gradient, forward mode, no leak`, async () => {
    const before = tf.getBackend();
    await tf.setBackend(engine);
    const x = tf.tensor1d(X);
    const dy = tf.tensor1d(DY);
    const tensors = tf.memory().numTensors;
    const [value, gradient] = [relu6(x), tf.grad((input) => relu6(input))(x, dy)];
    const { tangent } = jvp((input) => relu6(input), [x], [dy]);
    assert.deepEqual(value.dataSync(), Float32Array.from(X, (number) => Math.min(6, Math.max(0, number))));
    assert.deepEqual(gradient.dataSync(), Float32Array.from(GRADIENT));
    assert.deepEqual(tangent.dataSync(), Float32Array.from(GRADIENT));
    tf.dispose([value, gradient, tangent]);
    assert.ok(tf.memory().numTensors <= tensors + 1); // forward mode's value
    tf.dispose([x, dy]);
    await tf.setBackend(before);
  });
}

test("a compiled gradient through relu6 equals the eager one", () => {
  const gradient = compile(({ x }: { x: tf.Tensor1D }) => ({ y: tf.grad((input) => relu6(input).square())(x) }));
  for (let call = 0; call < 4; call++) {
    const x = tf.tensor1d(X.map((value) => value + call / 8));
    const { y } = gradient({ x });
    assert.deepEqual(y.dataSync(), Float32Array.from(x.dataSync(), (value) => (value > 0 && value < 6 ? 2 * value : 0)));
    tf.dispose([x, y]);
  }
  gradient.dispose();
});
