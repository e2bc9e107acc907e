import { tf } from "../tf";
import { linear } from "./combinators";
import type { JvpRule, JvpRules, KernelCall } from "./registry";

/** The axes that the call reduces, from 0 up; all of them where none are named. */
function reducedAxes({ inputs, attributes }: KernelCall): number[] {
  const axis = (attributes.axis ?? attributes.reductionIndices) as number | number[] | undefined;
  return tf.util.parseAxisParam(axis ?? inputs.x.shape.map((_, index) => index), inputs.x.shape);
}

/** The output with the reduced axes as ones, to broadcast against the input. */
const withReducedAxes = (call: KernelCall): tf.Tensor => {
  const axes = reducedAxes(call);
  return tf.reshape(call.outputs[0], call.inputs.x.shape.map((length, index) => (axes.includes(index) ? 1 : length)));
};

/** The tangent where the extreme value is taken, the mean of the tangents over ties. */
const extremum: JvpRule = (call) => {
  const tangent = call.tangents.x;
  if (!tangent) return undefined;
  const axes = reducedAxes(call);
  const taken = tf.cast(tf.equal(call.inputs.x, withReducedAxes(call)), "float32");
  return tf.reshape(tf.div(tf.sum(tf.mul(taken, tangent), axes), tf.sum(taken, axes)), call.outputs[0].shape);
};

/** d (prod_j x_j) = sum_j dx_j prod_{i < j} x_i prod_{i > j} x_i, which needs no division and so allows zeros. */
const product: JvpRule = (call) => {
  if (!call.tangents.x) return undefined;
  const axes = reducedAxes(call);
  const kept = call.inputs.x.shape.map((_, index) => index).filter((index) => !axes.includes(index));
  const flatten = (x: tf.Tensor): tf.Tensor => tf.reshape(tf.transpose(x, [...kept, ...axes]), [...kept.map((index) => x.shape[index]), -1]);
  const x = flatten(call.inputs.x);
  const axis = x.rank - 1;
  const others = tf.mul(tf.cumprod(x, axis, true, false), tf.cumprod(x, axis, true, true));
  return tf.reshape(tf.sum(tf.mul(flatten(call.tangents.x), others), axis), call.outputs[0].shape);
};

/** p_k = p_{k-1} x_k gives dp_k = dp_{k-1} x_k + p_{k-1} dx_k, one step at a time along the axis. */
const cumulativeProduct: JvpRule = (call) => {
  if (!call.tangents.x) return undefined;
  const { axis, exclusive, reverse } = call.attributes as unknown as tf.CumprodAttrs;
  const along = tf.util.parseAxisParam(axis, call.inputs.x.shape)[0];
  const inOrder = <Item>(items: Item[]): Item[] => (reverse ? [...items].reverse() : items);
  const xs = inOrder(tf.unstack(call.inputs.x, along));
  const dxs = inOrder(tf.unstack(call.tangents.x, along));
  let p: tf.Tensor = tf.onesLike(xs[0]);
  let dp: tf.Tensor = tf.zerosLike(xs[0]);
  const tangents: tf.Tensor[] = [];
  xs.forEach((x, index) => {
    if (exclusive) tangents.push(dp);
    dp = tf.add(tf.mul(dp, x), tf.mul(p, dxs[index]));
    p = tf.mul(p, x);
    if (!exclusive) tangents.push(dp);
  });
  return tf.stack(inOrder(tangents), along);
};

/** Rules of the kernels that reduce or accumulate along axes. */
export const reductionRules: JvpRules = {
  Sum: linear(["x"]),
  Mean: linear(["x"]),
  Cumsum: linear(["x"]),
  Max: extremum,
  Min: extremum,
  Prod: product,
  Cumprod: cumulativeProduct,
  // d softmax(x) = y (dx - sum(y dx))
  Softmax: ({ tangents: { logits }, attributes, outputs: [y] }) => {
    if (!logits) return undefined;
    const weighted = tf.mul(y, logits);
    return tf.sub(weighted, tf.mul(y, tf.sum(weighted, attributes.dim as number, true)));
  },
  // The k largest stay where they are: the tangents at their indices, along the last axis.
  TopK: ({ inputs: { x }, tangents, outputs: [values, indices] }) => {
    if (!tangents.x) return [undefined, undefined];
    const length = x.shape[x.rank - 1];
    const selected = tf.oneHot(tf.cast(indices, "int32"), length);
    return [tf.reshape(tf.sum(tf.mul(selected, tf.expandDims(tangents.x, -2)), -1), values.shape), undefined];
  },
};
