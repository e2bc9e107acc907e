import { tf } from "../tf";
import { piecewiseConstant } from "./combinators";
import type { JvpRule, JvpRules } from "./registry";

/** d output / d input, elementwise, from the input x, the output y and the kernel's attributes. */
type Derivative<Attributes> = (x: tf.Tensor, y: tf.Tensor, attributes: Attributes) => tf.Tensor;

/** The rule of `y = f(x)` applied to each element: `dy = f'(x) dx`. */
function elementwise<Attributes = tf.NamedAttrMap>(derivative: Derivative<Attributes>): JvpRule {
  return ({ inputs, tangents, attributes, outputs }) => tangents.x && tf.mul(derivative(inputs.x, outputs[0], attributes as Attributes), tangents.x);
}

/** 1 where the condition holds, else 0. */
const indicator = (condition: tf.Tensor): tf.Tensor => tf.cast(condition, "float32");

/** `positive` where x > 0 and `otherwise` elsewhere. */
const bySign = (x: tf.Tensor, positive: tf.Tensor, otherwise: tf.Tensor): tf.Tensor => tf.where(tf.greater(x, 0), positive, otherwise);

/** The scale of SELU and its product with alpha (Klambauer et al. 2017, "Self-Normalizing Neural Networks"). */
const SELU_SCALE = tf.backend_util.SELU_SCALE;
const SELU_SCALE_ALPHA = tf.backend_util.SELU_SCALEALPHA;

/** Rules of the kernels that map each element of one tensor. */
export const elementwiseRules: JvpRules = {
  Neg: ({ tangents }) => tangents.x && tf.neg(tangents.x),
  Square: elementwise((x) => tf.mul(x, 2)),
  Reciprocal: elementwise((_x, y) => tf.neg(tf.square(y))),
  Sqrt: elementwise((_x, y) => tf.div(0.5, y)),
  Rsqrt: elementwise((_x, y) => tf.mul(tf.mul(tf.square(y), y), -0.5)),
  Exp: elementwise((_x, y) => y),
  Expm1: elementwise((_x, y) => tf.add(y, 1)),
  Log: elementwise((x) => tf.reciprocal(x)),
  Log1p: elementwise((x) => tf.reciprocal(tf.add(x, 1))),
  Sin: elementwise((x) => tf.cos(x)),
  Cos: elementwise((x) => tf.neg(tf.sin(x))),
  Tan: elementwise((_x, y) => tf.add(tf.square(y), 1)),
  Asin: elementwise((x) => tf.rsqrt(tf.sub(1, tf.square(x)))),
  Acos: elementwise((x) => tf.neg(tf.rsqrt(tf.sub(1, tf.square(x))))),
  Atan: elementwise((x) => tf.reciprocal(tf.add(tf.square(x), 1))),
  Sinh: elementwise((x) => tf.cosh(x)),
  Cosh: elementwise((x) => tf.sinh(x)),
  Tanh: elementwise((_x, y) => tf.sub(1, tf.square(y))),
  Asinh: elementwise((x) => tf.rsqrt(tf.add(tf.square(x), 1))),
  Acosh: elementwise((x) => tf.rsqrt(tf.sub(tf.square(x), 1))),
  Atanh: elementwise((x) => tf.reciprocal(tf.sub(1, tf.square(x)))),
  // d erf(x)/dx = 2/sqrt(pi) exp(-x^2)
  Erf: elementwise((x) => tf.mul(tf.exp(tf.neg(tf.square(x))), 2 / Math.sqrt(Math.PI))),
  Sigmoid: elementwise((_x, y) => tf.mul(y, tf.sub(1, y))),
  Softplus: elementwise((x) => tf.sigmoid(x)),
  Elu: elementwise((x, y) => bySign(x, tf.onesLike(x), tf.add(y, 1))),
  // y = scale alpha (e^x - 1) below zero, whose derivative is y + scale alpha.
  Selu: elementwise((x, y) => bySign(x, tf.fill(x.shape, SELU_SCALE), tf.add(y, SELU_SCALE_ALPHA))),
  Relu: elementwise((x) => tf.step(x)),
  Relu6: elementwise((x) => tf.mul(tf.step(x), indicator(tf.lessEqual(x, 6)))),
  LeakyRelu: elementwise<tf.LeakyReluAttrs>((x, _y, { alpha }) => tf.step(x, alpha)),
  Abs: elementwise((x) => tf.sign(x)),
  ClipByValue: elementwise<tf.ClipByValueAttrs>((x, _y, { clipValueMin, clipValueMax }) =>
    indicator(tf.logicalAnd(tf.greaterEqual(x, clipValueMin), tf.lessEqual(x, clipValueMax)))),
  Step: piecewiseConstant,
  Sign: piecewiseConstant,
  Floor: piecewiseConstant,
  Ceil: piecewiseConstant,
  Round: piecewiseConstant,
  ZerosLike: piecewiseConstant,
  OnesLike: piecewiseConstant,

  // y = EluGrad(dy, y) = dy where y >= 0, dy (y + 1) below.
  EluGrad: ({ inputs, tangents }) => {
    const slope = tf.where(tf.greaterEqual(inputs.y, 0), tf.onesLike(inputs.y), tf.add(inputs.y, 1));
    const zero = tf.zerosLike(inputs.y);
    const fromDy = tangents.dy ? tf.mul(tangents.dy, slope) : zero;
    return tangents.y ? tf.add(fromDy, tf.where(tf.less(inputs.y, 0), tf.mul(inputs.dy, tangents.y), zero)) : fromDy;
  },
};
