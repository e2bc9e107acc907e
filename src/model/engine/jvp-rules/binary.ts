import { tf } from "../tf";
import { multilinear, piecewiseConstant, sumOfTerms, tangentOrZeros } from "./combinators";
import type { JvpRule, JvpRules, KernelCall } from "./registry";

/** d output / d a or d output / d b, elementwise, from a, b and the output y (a and b broadcast against each other). */
type PartialDerivative = (a: tf.Tensor, b: tf.Tensor, y: tf.Tensor) => tf.Tensor;

/** The tangent, of an input's shape, repeated to the output's shape. */
const toOutputShape = (tangent: tf.Tensor, output: tf.Tensor): tf.Tensor =>
  tf.util.arraysEqual(tangent.shape, output.shape) ? tangent : tf.broadcastTo(tangent, output.shape as tf.ShapeMap[tf.Rank]);

/** The rule of `y = f(a, b)` applied to each pair of elements: `dy = f_a(a, b) da + f_b(a, b) db`. */
function binary(withA: PartialDerivative, withB: PartialDerivative): JvpRule {
  return ({ inputs: { a, b }, tangents, outputs: [y] }) => {
    const terms: tf.Tensor[] = [];
    if (tangents.a) terms.push(tf.mul(withA(a, b, y), tangents.a));
    if (tangents.b) terms.push(tf.mul(withB(a, b, y), tangents.b));
    const tangent = sumOfTerms(terms);
    return tangent && toOutputShape(tangent, y);
  };
}

/** The rule of a + b (sign 1) and a - b (sign -1). */
const sumRule = (sign: 1 | -1): JvpRule => ({ tangents: { a, b }, outputs: [y] }) => {
  if (a && b) return sign === 1 ? tf.add(a, b) : tf.sub(a, b);
  return a ? toOutputShape(a, y) : b && toOutputShape(sign === 1 ? b : tf.neg(b), y);
};

/** The tangent of whichever of a and b was chosen. */
const choose = (chooseA: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): JvpRule => (call: KernelCall) =>
  tf.where(toOutputShape(chooseA(call.inputs.a, call.inputs.b), call.outputs[0]), toOutputShape(tangentOrZeros(call, "a"), call.outputs[0]), toOutputShape(tangentOrZeros(call, "b"), call.outputs[0]));

/** log(a) where a > 0, else 0: the derivative of 0^b with b is 0, and a negative base has none. */
const logOrZero = (a: tf.Tensor): tf.Tensor => {
  const positive = tf.greater(a, 0);
  return tf.where(positive, tf.log(tf.where(positive, a, tf.onesLike(a))), tf.zerosLike(a));
};

/** Rules of the kernels of two tensors that broadcast against each other. */
export const binaryRules: JvpRules = {
  Add: sumRule(1),
  Sub: sumRule(-1),
  AddN: ({ tangents }) => sumOfTerms(Object.values(tangents).filter((tangent) => tangent !== undefined)),
  Multiply: multilinear(["a", "b"]),
  RealDiv: binary((_a, b) => tf.reciprocal(b), (_a, b, y) => tf.neg(tf.div(y, b))),
  Pow: binary((a, b) => tf.mul(b, tf.pow(a, tf.sub(b, 1))), (a, _b, y) => tf.mul(y, logOrZero(a))),
  SquaredDifference: binary((a, b) => tf.mul(tf.sub(a, b), 2), (a, b) => tf.mul(tf.sub(b, a), 2)),
  Atan2: binary((a, b) => tf.div(b, tf.add(tf.square(a), tf.square(b))), (a, b) => tf.neg(tf.div(a, tf.add(tf.square(a), tf.square(b))))),
  // a mod b = a - floor(a / b) b
  Mod: binary((a, b) => tf.onesLike(tf.add(a, b)), (a, b) => tf.neg(tf.floor(tf.div(a, b)))),
  FloorDiv: piecewiseConstant,
  // At a tie the first argument counts, as in the gradients of tfjs.
  Maximum: choose((a, b) => tf.greaterEqual(a, b)),
  Minimum: choose((a, b) => tf.lessEqual(a, b)),
  Select: (call) => tf.where(conditionOfShape(call), tangentOrZeros(call, "t"), tangentOrZeros(call, "e")),
  // y = x where x > 0, alpha x elsewhere
  Prelu: ({ inputs: { x, alpha }, tangents }) => {
    const positive = tf.greater(x, 0);
    const terms: tf.Tensor[] = [];
    if (tangents.x) terms.push(tf.mul(tangents.x, tf.where(positive, tf.onesLike(x), tf.mul(alpha, tf.onesLike(x)))));
    if (tangents.alpha) terms.push(tf.mul(tangents.alpha, tf.where(positive, tf.zerosLike(x), x)));
    return sumOfTerms(terms);
  },
};

/** A vector of conditions selects whole rows: it is given trailing dimensions of one. */
function conditionOfShape({ inputs: { condition, t } }: KernelCall): tf.Tensor {
  if (condition.rank === t.rank) return condition;
  return tf.reshape(condition, [...condition.shape, ...new Array<number>(t.rank - condition.rank).fill(1)]);
}
