import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { defineJvpRule, jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";

const scalarOf = (tensor: tf.Tensor): number => tensor.dataSync()[0];
const close = (actual: number, expected: number, tolerance = 2e-6): void =>
  assert.ok(Math.abs(actual - expected) <= tolerance * Math.max(1, Math.abs(expected)), `${actual} is not ${expected}`);

/** The number of tensors alive after `action`, over what was alive before. */
function tensorsLeft(action: () => void): number {
  const before = tf.memory().numTensors;
  action();
  return tf.memory().numTensors - before;
}

/** A residual block with attention over two positions: softmax, matrix products, sigmoid and normalisation. */
function block(x: tf.Tensor, weight: tf.Tensor): tf.Tensor {
  const normalised = tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-5)));
  const hidden = tf.matMul(normalised, weight);
  const attention = tf.softmax(tf.matMul(hidden, hidden, false, true));
  return tf.add(x, tf.mul(tf.matMul(attention, hidden), tf.sigmoid(hidden)));
}

describe("jvp", () => {
  it("gives the value and the derivative along the tangent", () => {
    const { value, tangent } = jvp((x) => tf.mul(tf.sin(x), x), [tf.scalar(0.7)], [tf.scalar(2)]);
    close(scalarOf(value), Math.sin(0.7) * 0.7);
    close(scalarOf(tangent), 2 * (Math.cos(0.7) * 0.7 + Math.sin(0.7)));
  });

  it("is the transpose of reverse mode: <u, J v> = <J^T u, v>", () => {
    const x = tf.randomNormal([2, 4], 0, 1, "float32", 1);
    const weight = tf.randomNormal([4, 4], 0, 1, "float32", 2);
    const v = tf.randomNormal([2, 4], 0, 1, "float32", 3);
    const dWeight = tf.randomNormal([4, 4], 0, 1, "float32", 4);
    const u = tf.randomNormal([2, 4], 0, 1, "float32", 5);
    const forward = scalarOf(tf.sum(tf.mul(u, jvp(block, [x, weight], [v, dWeight]).tangent)));
    const [fromX, fromWeight] = tf.grads(block)([x, weight], u);
    close(forward, scalarOf(tf.add(tf.sum(tf.mul(fromX, v)), tf.sum(tf.mul(fromWeight, dWeight)))), 1e-5);
  });

  it("keeps the structure that f returns: arrays and records", () => {
    const x = tf.tensor1d([1, 2]);
    const list = jvp((t) => [tf.square(t), tf.neg(t)], [x], [tf.onesLike(x)]);
    assert.deepEqual(list.tangent.map((t) => Array.from(t.dataSync())), [[2, 4], [-1, -1]]);
    const record = jvp((t) => ({ square: tf.square(t), constant: tf.ones([3]) }), [x], [tf.onesLike(x)]);
    assert.deepEqual(Array.from(record.tangent.square.dataSync()), [2, 4]);
    assert.deepEqual(Array.from(record.tangent.constant.dataSync()), [0, 0, 0]);
  });

  it("takes a null tangent for zero and runs no rule for it", () => {
    const { tangent } = jvp((a, b) => tf.mul(a, tf.exp(b)), [tf.scalar(3), tf.scalar(1)], [tf.scalar(1), null]);
    close(scalarOf(tangent), Math.E);
    // tf.unique has no rule: with a zero tangent none is asked for.
    assert.equal(scalarOf(jvp((a) => tf.unique(a).values, [tf.tensor1d([1])], [null]).tangent), 0);
  });

  it("treats what f takes from outside as a constant, the primal itself included", () => {
    const x = tf.scalar(3);
    close(scalarOf(jvp((t) => tf.mul(t, x), [x], [tf.scalar(1)]).tangent), 3);
    close(scalarOf(jvp((a, b) => tf.sub(a, tf.mul(b, 2)), [x, x], [tf.scalar(1), tf.scalar(1)]).tangent), -1);
  });

  it("returns the primal and its tangent where f is the identity", () => {
    const [x, dx] = [tf.scalar(3), tf.scalar(4)];
    const { value, tangent } = jvp((t) => t, [x], [dx]);
    tf.dispose([value, tangent]);
    assert.ok(!x.isDisposed && !dx.isDisposed);
  });

  it("gives second derivatives when nested, in either argument", () => {
    const one = tf.scalar(1);
    const second = jvp((x) => jvp((t) => tf.exp(tf.sin(t)), [x], [one]).tangent, [tf.scalar(0.7)], [one]).tangent;
    close(scalarOf(second), Math.exp(Math.sin(0.7)) * (Math.cos(0.7) ** 2 - Math.sin(0.7)));
    // d/dx (x d/dy (x y)) = 2 x: the inner derivative must not mistake the outer argument for its own.
    close(scalarOf(jvp((x) => tf.mul(x, jvp((y) => tf.mul(x, y), [tf.scalar(5)], [one]).tangent), [tf.scalar(3)], [one]).tangent), 6);
  });

  it("gives Hessian-vector products of a gradient taken inside f", () => {
    const x = tf.tensor1d([0.3, -0.8, 1.2]);
    const v = tf.tensor1d([1, 0.5, -2]);
    // f(x) = (sum x^2)^2 has the Hessian 4 (sum x^2) I + 8 x x^T.
    const gradient = tf.grad((t: tf.Tensor) => tf.square(tf.sum(tf.square(t))));
    const { tangent } = jvp(gradient, [x], [v]);
    const values = Array.from(x.dataSync());
    const direction = Array.from(v.dataSync());
    const square = values.reduce((sum, value) => sum + value ** 2, 0);
    const inner = values.reduce((sum, value, index) => sum + value * direction[index], 0);
    tangent.dataSync().forEach((value, index) => close(value, 4 * square * direction[index] + 8 * inner * values[index], 1e-5));
  });

  it("leaves the value differentiable, and the tangent a constant unless asked", () => {
    const [x, one] = [tf.scalar(0.4), tf.scalar(1)];
    const both = (differentiable: boolean): number =>
      scalarOf(tf.grad((t: tf.Tensor) => {
        const { value, tangent } = jvp((s) => tf.sin(s), [t], [one], { differentiable });
        return tf.add(value, tf.mul(tangent, 10));
      })(x));
    close(both(false), Math.cos(0.4));
    close(both(true), Math.cos(0.4) - 10 * Math.sin(0.4));
  });

  it("works inside tf.variableGrads, where the tangent is a constant target", () => {
    const weight = tf.variable(tf.scalar(2));
    try {
      const x = tf.scalar(3);
      const { value, grads } = tf.variableGrads(() => {
        const { value: y, tangent } = jvp((t) => tf.mul(tf.square(t), weight), [x], [tf.scalar(1)]);
        return tf.square(tf.sub(y, tangent)).asScalar();
      }, [weight]);
      // y = 18, dy/dx = 12; d/dw (w x^2 - 12)^2 = 2 (18 - 12) 9
      close(scalarOf(value), 36);
      close(scalarOf(grads[weight.name]), 108);
    } finally {
      weight.dispose();
    }
  });

  it("differentiates the forward function of tf.customGrad", () => {
    const straightThrough = tf.customGrad((x) => ({ value: tf.square(x as tf.Tensor), gradFunc: (dy: tf.Tensor) => dy }));
    close(scalarOf(jvp((x) => straightThrough(x), [tf.scalar(3)], [tf.scalar(1)]).tangent), 6);
    const logits = tf.tensor1d([0.2, -1, 0.5]);
    const direction = tf.tensor1d([1, 2, -1]);
    const expected = jvp((x) => tf.log(tf.softmax(x)), [logits], [direction]).tangent.dataSync();
    jvp((x) => tf.logSoftmax(x), [logits], [direction]).tangent.dataSync().forEach((value, index) => close(value, expected[index], 1e-5));
  });

  it("gives outputs of integers or booleans a tangent of zeros, and follows no further", () => {
    const x = tf.tensor1d([0.2, 0.9, 0.4]);
    const { tangent } = jvp((t) => [tf.argMax(t), tf.greater(t, 0.3), tf.cast(tf.cast(t, "int32"), "float32")], [x], [tf.onesLike(x)]);
    for (const zero of tangent) assert.ok(zero.dataSync().every((value) => value === 0) && zero.dtype === "float32");
  });

  it("shares the tangent of a maximum among ties and takes the gradient's side at a kink", () => {
    const ties = jvp((t) => tf.max(t), [tf.tensor1d([1, 3, 3])], [tf.tensor1d([5, 1, 2])]).tangent;
    close(scalarOf(ties), 1.5);
    for (const f of [tf.relu, tf.relu6] as ((t: tf.Tensor) => tf.Tensor)[]) {
      assert.equal(scalarOf(jvp(f, [tf.scalar(0)], [tf.scalar(1)]).tangent), 0);
      assert.equal(scalarOf(tf.grad(f)(tf.scalar(0))), 0);
    }
  });

  it("leaves no tensor behind but the results", () => {
    const x = tf.randomNormal([2, 4]);
    const weight = tf.randomNormal([4, 4]);
    assert.equal(tensorsLeft(() => tf.dispose(jvp(block, [x, weight], [x, weight]))), 0);
    assert.equal(tensorsLeft(() => tf.dispose(jvp((t) => tf.grad((s: tf.Tensor) => tf.sum(block(s, weight)))(t), [x], [x]))), 0);
    assert.equal(tensorsLeft(() => tf.dispose(tf.grads((a: tf.Tensor, b: tf.Tensor) => {
      const { value, tangent } = jvp(block, [a, b], [x, null]);
      return tf.sum(tf.mul(value, tangent));
    })([x, weight]))), 0);
    assert.equal(tensorsLeft(() => tf.tidy(() => void jvp(block, [x, weight], [x, weight]))), 0);
  });

  it("disposes of an intermediate's tangent together with the intermediate", () => {
    const x = tf.zeros([1000]);
    const peak = (tidied: boolean): number => {
      let most = 0;
      const step = (t: tf.Tensor): tf.Tensor => tf.add(tf.mul(tf.sin(t), 2), t);
      const f = (t: tf.Tensor): tf.Tensor => {
        let y = t;
        for (let repetition = 0; repetition < 20; repetition++) {
          const next = tidied ? tf.tidy(() => step(y)) : step(y);
          if (tidied && y !== t) y.dispose();
          y = next;
          most = Math.max(most, tf.memory().numBytes);
        }
        return y;
      };
      tf.dispose(jvp(f, [x], [x]));
      return most - tf.memory().numBytes;
    };
    assert.ok(peak(true) < peak(false) / 4);
  });

  it("restores the engine after an error in f, and leaves no tensor", () => {
    const { runKernel, disposeTensor } = tf.engine();
    const x = tf.scalar(1);
    const kernelDepth = tf.engine().state.kernelDepth;
    assert.equal(tensorsLeft(() => assert.throws(() => jvp((t) => { tf.sin(t); throw new Error("stop"); }, [x], [x]), /^Error: stop$/)), 0);
    assert.equal(tf.engine().runKernel, runKernel);
    assert.equal(tf.engine().disposeTensor, disposeTensor);
    assert.ok(!Object.hasOwn(tf.engine(), "runKernel"));
    assert.equal(tf.engine().state.kernelDepth, kernelDepth);
    close(scalarOf(tf.grad((t: tf.Tensor) => tf.sin(t))(x)), Math.cos(1));
  });

  it("names the kernel without a rule, what it received and how to add one", () => {
    assert.throws(
      () => jvp((t) => tf.unique(t).values, [tf.tensor1d([1, 2])], [tf.tensor1d([1, 1])]),
      /no forward-mode rule for kernel "Unique" \(received x: float32 \[2\]\)\. Add one with defineJvpRule\("Unique"/,
    );
  });

  it("takes rules of the user's own", () => {
    const kernelName = "TestCube";
    tf.registerKernel({ kernelName, backendName: tf.getBackend(), kernelFunc: ({ inputs }) => tf.pow(inputs.x as tf.Tensor, 3) });
    try {
      defineJvpRule(kernelName, ({ inputs, tangents }) => tangents.x && tf.mul(tf.mul(tf.square(inputs.x), 3), tangents.x));
      const cube = (x: tf.Tensor): tf.Tensor => tf.engine().runKernel<tf.Tensor>(kernelName, { x });
      close(scalarOf(jvp(cube, [tf.scalar(2)], [tf.scalar(1)]).tangent), 12);
      defineJvpRule(kernelName, () => tf.ones([7]));
      assert.throws(() => jvp(cube, [tf.scalar(2)], [tf.scalar(1)]), /the rule of kernel "TestCube" gave a tangent float32 \[7\] for an output float32 \[\]/);
    } finally {
      tf.unregisterKernel(kernelName, tf.getBackend());
    }
  });

  it("refuses tangents that do not fit, naming them", () => {
    const x = tf.zeros([2, 3]);
    assert.throws(() => jvp((t) => t, [x], [tf.zeros([3, 2])]), /tangents\[0\] is float32 \[3, 2\], but primals\[0\] is float32 \[2, 3\]/);
    assert.throws(() => jvp((t) => t, [x], [tf.zeros([2, 3], "int32")]), /tangents\[0\] is int32 \[2, 3\]/);
    assert.throws(() => jvp((t) => t, [tf.zeros([2], "int32")], [tf.zeros([2])]), /primals\[0\] is int32 \[2\], which carries no tangent; pass null/);
    assert.throws(() => jvp<tf.Tensor[], tf.Tensor>((a) => a, [x, x], [x]), /2 primals need as many tangents/);
  });

  it("refuses derivatives that a rule does not know, and asynchronous functions", () => {
    const image = tf.zeros([1, 4, 4, 1]) as tf.Tensor4D;
    const crop = (boxes: tf.Tensor): tf.Tensor => tf.image.cropAndResize(image, boxes as tf.Tensor2D, tf.tensor1d([0], "int32"), [2, 2]);
    assert.throws(() => jvp(crop, [tf.tensor2d([[0, 0, 1, 1]])], [tf.ones([1, 4])]), /rule of kernel "CropAndResize" knows no derivative with respect to its input "boxes"/);
    const later = (async (t: tf.Tensor) => t) as unknown as (t: tf.Tensor) => tf.Tensor;
    assert.throws(() => jvp(later, [tf.scalar(1)], [tf.scalar(1)]), /f returned a promise/);
  });
});
