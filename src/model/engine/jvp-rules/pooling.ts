import { tf } from "../tf";
import { padForWindows, planarAxes, readAtOffset, spatialAxes, windowOffsets, type WindowAxis } from "../windows";
import { composed, linear, tangentOrZeros } from "./combinators";
import type { JvpRule, JvpRules } from "./registry";

/**
 * The tangent at each window's maximum, the first one at a tie: walks over the offsets of the window and keeps the largest score so far with the tangent that belongs to it.
 *
 * @param score at an offset, [B, ...outputs, C]
 * @param tangent at an offset, of the same shape
 */
function tangentOfLargest(axes: readonly WindowAxis[], score: (offset: number[]) => tf.Tensor, tangent: (offset: number[]) => tf.Tensor): tf.Tensor {
  const [first, ...others] = windowOffsets(axes);
  let best = score(first);
  let result = tangent(first);
  for (const offset of others) {
    const candidate = score(offset);
    const larger = tf.greater(candidate, best);
    best = tf.where(larger, candidate, best);
    result = tf.where(larger, tangent(offset), result);
  }
  return result;
}

type Shape4D = [number, number, number, number];
type Shape5D = [number, number, number, number, number];

/** The rule of a maximum over windows, [B, ...inputs, C] to [B, ...outputs, C]. Further outputs (indices) have no tangent. */
const maxPool = <Attributes>(windowAxes: (shape: number[], attributes: Attributes) => WindowAxis[]): JvpRule => ({ inputs: { x }, tangents, attributes }) => {
  if (!tangents.x) return undefined;
  const axes = windowAxes(x.shape, attributes as Attributes);
  const paddedX = padForWindows(x, axes, Number.NEGATIVE_INFINITY);
  const paddedTangent = padForWindows(tangents.x, axes, 0);
  return [tangentOfLargest(axes, (offset) => readAtOffset(paddedX, axes, offset), (offset) => readAtOffset(paddedTangent, axes, offset))];
};

const maxPool2D = maxPool<tf.MaxPoolAttrs>((shape, { filterSize, strides, pad, dimRoundingMode }) =>
  planarAxes(tf.backend_util.computePool2DInfo(shape as Shape4D, filterSize, strides, 1, pad, dimRoundingMode)));

const maxPool3D = maxPool<tf.MaxPool3DAttrs>((shape, { filterSize, strides, pad, dimRoundingMode, dataFormat }) =>
  spatialAxes(tf.backend_util.computePool3DInfo(shape as Shape5D, filterSize, strides, 1, pad, dimRoundingMode, dataFormat)));

/** y = max over the window of x + filter (morphological dilation): dx + dfilter at the maximum. */
const dilation: JvpRule = (call) => {
  const { x, filter } = call.inputs;
  const { strides, pad, dilations } = call.attributes as unknown as tf.Dilation2DAttrs;
  const axes = planarAxes(tf.backend_util.computeDilation2DInfo(x.shape as Shape4D, filter.shape as [number, number, number], strides, pad, "NHWC", dilations));
  const paddedX = padForWindows(x, axes, Number.NEGATIVE_INFINITY);
  const paddedTangent = padForWindows(tangentOrZeros(call, "x"), axes, 0);
  const filterTangent = tangentOrZeros(call, "filter");
  // [C] at each offset of the filter [filterHeight, filterWidth, C]
  const ofFilter = (values: tf.Tensor, [row, column]: number[]): tf.Tensor => tf.reshape(tf.slice(values, [row, column, 0], [1, 1, -1]), [-1]);
  return tangentOfLargest(
    axes,
    (offset) => tf.add(readAtOffset(paddedX, axes, offset), ofFilter(filter, offset)),
    (offset) => tf.add(readAtOffset(paddedTangent, axes, offset), ofFilter(filterTangent, offset)),
  );
};

/** The sum over the channels c - radius ... c + radius, [B, H, W, C] to the same shape. */
function sumOverNeighbours(x: tf.Tensor, radius: number): tf.Tensor {
  const channels = x.shape[x.rank - 1];
  const padded = tf.pad(x, [[0, 0], [0, 0], [0, 0], [radius, radius]]);
  const windows = Array.from({ length: 2 * radius + 1 }, (_, offset) => tf.slice(padded, [0, 0, 0, offset], [-1, -1, -1, channels]));
  return tf.addN(windows);
}

/** bias + alpha (sum of squares over the neighbouring channels), the base of local response normalisation. */
const responseBase = (x: tf.Tensor, { depthRadius, bias, alpha }: tf.LRNAttrs): tf.Tensor => tf.add(tf.mul(sumOverNeighbours(tf.square(x), depthRadius), alpha), bias);

/** Rules of the kernels that slide a window over an image or over its channels. */
export const poolingRules: JvpRules = {
  AvgPool: linear(["x"]),
  AvgPool3D: linear(["x"]),
  AvgPoolGrad: linear(["dy"], { ignored: ["input"] }),
  AvgPool3DGrad: linear(["dy"], { ignored: ["input"] }),
  MaxPool: maxPool2D,
  MaxPool3D: maxPool3D,
  MaxPoolWithArgmax: maxPool2D,
  // Which element was largest changes in steps: the gradient is linear in dy, and constant in the rest but for those steps.
  MaxPoolGrad: linear(["dy"], { ignored: ["input", "output"] }),
  MaxPool3DGrad: linear(["dy"], { ignored: ["input", "output"] }),
  Dilation2D: dilation,
  Dilation2DBackpropInput: linear(["dy"], { ignored: ["x", "filter"] }),
  Dilation2DBackpropFilter: linear(["dy"], { ignored: ["x", "filter"] }),
  // y = x base^-beta (Krizhevsky et al. 2012, section 3.3)
  LRN: composed<tf.LRNAttrs>(({ x }, attributes) => tf.mul(x, tf.pow(responseBase(x, attributes), -attributes.beta))),
  // dx = dy base^-beta - 2 alpha beta x (sum over the neighbouring channels of dy y / base)
  LRNGrad: composed<tf.LRNGradAttrs>(({ x, y, dy }, attributes) => {
    const base = responseBase(x, attributes);
    const direct = tf.mul(dy, tf.pow(base, -attributes.beta));
    return tf.sub(direct, tf.mul(tf.mul(x, 2 * attributes.alpha * attributes.beta), sumOverNeighbours(tf.div(tf.mul(dy, y), base), attributes.depthRadius)));
  }),
};
