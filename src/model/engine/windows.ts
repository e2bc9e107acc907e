import { tf } from "./tf";

/** How a window slides along one axis, in elements. */
export interface WindowAxis {
  /** Length of the axis in the input. */
  input: number;
  /** Length of the axis in the output: the number of positions of the window. */
  output: number;
  /** Number of elements that the window reads. */
  filter: number;
  stride: number;
  /** Distance of neighbouring elements of the window. */
  dilation: number;
  padBefore: number;
  padAfter: number;
}

/** What tfjs computes about the height and the width of a convolution or pooling. */
type PlanarInfo = Omit<tf.backend_util.Conv2DInfo, "inShape" | "outShape" | "filterShape">;

/** The axes of a two-dimensional window, height before width. */
export function planarAxes(info: PlanarInfo): WindowAxis[] {
  const { padInfo } = info;
  return [
    {
      input: info.inHeight,
      output: info.outHeight,
      filter: info.filterHeight,
      stride: info.strideHeight,
      dilation: info.dilationHeight,
      padBefore: padInfo.top,
      padAfter: padInfo.bottom,
    },
    {
      input: info.inWidth,
      output: info.outWidth,
      filter: info.filterWidth,
      stride: info.strideWidth,
      dilation: info.dilationWidth,
      padBefore: padInfo.left,
      padAfter: padInfo.right,
    },
  ];
}

/** The axes of a three-dimensional window: depth, height, width. */
export function spatialAxes(info: tf.backend_util.Conv3DInfo): WindowAxis[] {
  const { padInfo } = info;
  const depth: WindowAxis = {
    input: info.inDepth,
    output: info.outDepth,
    filter: info.filterDepth,
    stride: info.strideDepth,
    dilation: info.dilationDepth,
    padBefore: padInfo.front,
    padAfter: padInfo.back,
  };
  return [depth, ...planarAxes(info)];
}

/** All offsets within a window, the last axis fastest. */
export function windowOffsets(axes: readonly WindowAxis[]): number[][] {
  const indices = (length: number): number[] => Array.from({ length }, (_, index) => index);
  return axes.reduce<number[][]>(
    (partial, { filter }) => partial.flatMap((offset) => indices(filter).map((next) => [...offset, next])),
    [[]],
  );
}

/** x [B, ...inputs, C] with the window's padding around the spatial axes. */
export function padForWindows(x: tf.Tensor, axes: readonly WindowAxis[], padValue: number): tf.Tensor {
  const paddings = axes.map(({ padBefore, padAfter }): [number, number] => [padBefore, padAfter]);
  return tf.pad(x, [[0, 0], ...paddings, [0, 0]], padValue);
}

/** What each window holds at one offset: [B, ...outputs, C] from the padded input [B, ...padded, C]. */
export function readAtOffset(padded: tf.Tensor, axes: readonly WindowAxis[], offset: readonly number[]): tf.Tensor {
  const begin = axes.map(({ dilation }, index) => offset[index] * dilation);
  const end = axes.map(({ output, stride }, index) => begin[index] + (output - 1) * stride + 1);
  const strides = axes.map(({ stride }) => stride);
  const channels = padded.shape[padded.rank - 1];
  return tf.stridedSlice(padded, [0, ...begin, 0], [padded.shape[0], ...end, channels], [1, ...strides, 1]);
}

/**
 * The transpose of padding and `readAtOffset`: adds each window's value to the input element it was read from, and 0 elsewhere.
 * Values that belong to the padding are dropped.
 *
 * @param values [B, ...outputs, C]
 * @returns [B, ...inputs, C]
 */
export function writeAtOffset(values: tf.Tensor, axes: readonly WindowAxis[], offset: readonly number[]): tf.Tensor {
  const [batch, channels] = [values.shape[0], values.shape[values.rank - 1]];
  const spread = axes.reduce((x, { stride }, index) => spreadAxis(x, index + 1, stride), values);
  // Position of the first and one past the last value in the input's coordinates.
  const first = axes.map(({ dilation, padBefore }, index) => offset[index] * dilation - padBefore);
  const last = axes.map(({ output, stride }, index) => first[index] + (output - 1) * stride + 1);
  const begin = first.map((position) => Math.max(0, -position));
  const size = axes.map(({ input }, index) => Math.min(last[index], input) - Math.max(first[index], 0));
  if (size.some((length) => length <= 0)) return tf.zeros([batch, ...axes.map(({ input }) => input), channels]);
  const inside = tf.slice(spread, [0, ...begin, 0], [batch, ...size, channels]);
  const paddings = axes.map(({ input }, index): [number, number] => [
    Math.max(first[index], 0),
    input - Math.min(last[index], input),
  ]);
  return tf.pad(inside, [[0, 0], ...paddings, [0, 0]]);
}

/** x with stride - 1 zeros between neighbours along one axis. */
function spreadAxis(x: tf.Tensor, axis: number, stride: number): tf.Tensor {
  if (stride === 1) return x;
  const length = x.shape[axis];
  const expanded = tf.expandDims(x, axis + 1);
  const padded = tf.pad(
    expanded,
    expanded.shape.map((_, index): [number, number] => [0, index === axis + 1 ? stride - 1 : 0]),
  );
  const merged = [...x.shape];
  merged[axis] = length * stride;
  const size = [...merged];
  size[axis] = (length - 1) * stride + 1;
  return tf.slice(tf.reshape(padded, merged), merged.map(() => 0), size);
}
