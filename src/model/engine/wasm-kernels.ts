import { planarAxes, padForWindows, readAtOffset, windowOffsets, writeAtOffset, type WindowAxis } from "./windows";
import { tf } from "./tf";

const BACKEND = "wasm";

/** A kernel composed of other kernels: tensors in, one tensor out. */
type Composition = (inputs: Record<string, tf.Tensor>, attributes: tf.NamedAttrMap) => tf.Tensor;

type Shape4D = [number, number, number, number];

/** The attributes that say where the windows of a two-dimensional convolution or pooling lie. */
interface WindowAttributes {
  strides: [number, number] | number;
  pad: "valid" | "same" | number;
  dilations?: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
}

function convolutionAxes(inputShape: number[], filterShape: number[], attributes: tf.NamedAttrMap, depthwise: boolean): WindowAxis[] {
  const { strides, pad, dilations = 1, dimRoundingMode } = attributes as unknown as WindowAttributes;
  const info = tf.backend_util.computeConv2DInfo(
    inputShape as Shape4D,
    filterShape as Shape4D,
    strides,
    dilations,
    pad,
    dimRoundingMode,
    depthwise,
  );
  return planarAxes(info);
}

function poolingAxes(inputShape: number[], attributes: tf.NamedAttrMap): WindowAxis[] {
  const { strides, pad, dimRoundingMode } = attributes as unknown as WindowAttributes;
  const filterSize = attributes.filterSize as [number, number] | number;
  return planarAxes(tf.backend_util.computePool2DInfo(inputShape as Shape4D, filterSize, strides, 1, pad, dimRoundingMode));
}

/** [B, ..., C] as a matrix of positions by channels. */
const asMatrix = (x: tf.Tensor): tf.Tensor2D => tf.reshape(x, [-1, x.shape[x.rank - 1]]);

/** dW[i, j] = X[i, j]^T dY, with X[i, j] what the windows hold at row i and column j: one matrix product an offset. */
const conv2DBackpropFilter: Composition = ({ x, dy }, attributes) => {
  const filterShape = attributes.filterShape as number[];
  const axes = convolutionAxes(x.shape, filterShape, attributes, false);
  const padded = padForWindows(x, axes, 0);
  const dyMatrix = asMatrix(dy);
  const products = windowOffsets(axes).map((offset) => tf.matMul(tf.transpose(asMatrix(readAtOffset(padded, axes, offset))), dyMatrix));
  return tf.reshape(tf.stack(products), filterShape);
};

/** dW[i, j, c, q] = sum over positions of X[i, j, c] dY[c, q]. */
const depthwiseBackpropFilter: Composition = ({ x, dy }, attributes) => {
  const filterShape = attributes.filterShape as number[];
  const [, , channels, multiplier] = filterShape;
  const axes = convolutionAxes(x.shape, filterShape, attributes, true);
  const padded = padForWindows(x, axes, 0);
  const dyByChannel = tf.reshape(dy, [-1, channels, multiplier]);
  const sums = windowOffsets(axes).map((offset) =>
    tf.sum(tf.mul(tf.reshape(readAtOffset(padded, axes, offset), [-1, channels, 1]), dyByChannel), 0),
  );
  return tf.reshape(tf.stack(sums), filterShape);
};

/** dX = sum over offsets (i, j) of dY W[i, j], written back to where the windows read. */
const depthwiseBackpropInput: Composition = ({ dy, filter }, attributes) => {
  const [, , channels, multiplier] = filter.shape;
  const axes = convolutionAxes(attributes.inputShape as number[], filter.shape, attributes, true);
  // [B, H, W, C, Q]
  const dyByChannel = tf.reshape(dy, [...dy.shape.slice(0, 3), channels, multiplier]);
  const parts = windowOffsets(axes).map((offset) => {
    const weights = tf.reshape(tf.slice(filter, [...offset, 0, 0], [1, 1, channels, multiplier]), [channels, multiplier]);
    return writeAtOffset(tf.sum(tf.mul(dyByChannel, weights), -1), axes, offset);
  });
  return tf.addN(parts);
};

/** dy goes to the first element of each window that equals the window's maximum. */
const maxPoolGrad: Composition = ({ dy, input, output }, attributes) => {
  const axes = poolingAxes(input.shape, attributes);
  const padded = padForWindows(input, axes, Number.NEGATIVE_INFINITY);
  let open: tf.Tensor = tf.onesLike(output);
  const parts = windowOffsets(axes).map((offset) => {
    const taken = tf.mul(open, tf.cast(tf.equal(readAtOffset(padded, axes, offset), output), "float32"));
    open = tf.sub(open, taken);
    return writeAtOffset(tf.mul(dy, taken), axes, offset);
  });
  return tf.addN(parts);
};

/** dy is shared equally among the elements of each window; padding does not count. */
const avgPoolGrad: Composition = ({ dy, input }, attributes) => {
  const axes = poolingAxes(input.shape, attributes);
  const paddedOnes = padForWindows(tf.onesLike(input), axes, 0);
  const offsets = windowOffsets(axes);
  const counts = tf.addN(offsets.map((offset) => readAtOffset(paddedOnes, axes, offset)));
  const share = tf.div(dy, counts);
  return tf.addN(offsets.map((offset) => writeAtOffset(share, axes, offset)));
};

/** Sums rows by segment as a matrix product with the segments' one-hot rows; ids outside the range are dropped. */
const unsortedSegmentSum: Composition = ({ x, segmentIds }, attributes) => {
  const numSegments = attributes.numSegments as number;
  // [segments, rows]
  const membership = tf.cast(tf.equal(tf.expandDims(tf.range(0, numSegments, 1, "int32"), 1), tf.reshape(segmentIds, [1, -1])), "float32");
  const rows = tf.reshape(x, [segmentIds.size, -1]);
  const sums = tf.matMul(membership, tf.cast(rows, "float32") as tf.Tensor2D);
  return tf.cast(tf.reshape(sums, [numSegments, ...x.shape.slice(segmentIds.rank)]), x.dtype);
};

/** Kernels that training needs, made of others that the WebAssembly engine has. */
const COMPOSITIONS: Record<string, Composition> = {
  // It lacks these.
  Conv2DBackpropFilter: conv2DBackpropFilter,
  DepthwiseConv2dNativeBackpropFilter: depthwiseBackpropFilter,
  DepthwiseConv2dNativeBackpropInput: depthwiseBackpropInput,
  UnsortedSegmentSum: unsortedSegmentSum,
  // Its own differ from the derivative where windows overlap or reach over the edge.
  MaxPoolGrad: maxPoolGrad,
  AvgPoolGrad: avgPoolGrad,
};

/** Swaps the last two axes. */
const transposeMatrices = (x: tf.Tensor): tf.Tensor => {
  const order = x.shape.map((_, index) => index);
  return tf.transpose(x, [...order.slice(0, -2), order.length - 1, order.length - 2]);
};

/** Registers a kernel of the WebAssembly engine, in the place of its own if it has one; that one is still set up. */
function replaceKernel(kernelName: string, kernelFunc: tf.KernelFunc): void {
  const own = tf.getKernel(kernelName, BACKEND);
  if (own) tf.unregisterKernel(kernelName, BACKEND);
  tf.registerKernel({ ...own, kernelName, backendName: BACKEND, kernelFunc });
}

/**
 * Completes the kernels of the WebAssembly engine: those that training needs are composed of others, the rest of what
 * tfjs has becomes an error that says what does not run there. The matrix product transposes its arguments first, since
 * the engine's own runs a plain loop for transposed arguments.
 */
export function completeWasmKernels(): void {
  for (const [kernelName, composition] of Object.entries(COMPOSITIONS)) {
    replaceKernel(kernelName, ({ inputs, attrs }) => tf.tidy(() => composition(inputs as Record<string, tf.Tensor>, attrs ?? {})));
  }
  for (const { kernelName } of tf.getKernelsForBackend("cpu")) {
    if (!tf.getKernel(kernelName, BACKEND)) replaceKernel(kernelName, () => refuse(kernelName));
  }
  const product = tf.getKernel(tf.BatchMatMul, BACKEND).kernelFunc;
  replaceKernel(tf.BatchMatMul, ({ inputs, attrs, backend }) =>
    tf.tidy(() => {
      const { transposeA, transposeB } = attrs as unknown as tf.BatchMatMulAttrs;
      const { a, b } = inputs as Record<string, tf.Tensor>;
      const plain = { a: transposeA ? transposeMatrices(a) : a, b: transposeB ? transposeMatrices(b) : b };
      return asTensor(product({ inputs: plain, backend, attrs: { transposeA: false, transposeB: false } }));
    }),
  );
}

function refuse(kernelName: string): never {
  throw new Error(
    `The WebAssembly engine cannot run "${kernelName}". Use the TensorFlow engine for this: "npx crossflow setup" installs it, "npx crossflow doctor" says why it does not run.`,
  );
}

/** A kernel's result as a tensor that the enclosing tidy knows. */
function asTensor(result: tf.TensorInfo | tf.TensorInfo[]): tf.Tensor {
  const info = Array.isArray(result) ? result[0] : result;
  return info instanceof tf.Tensor ? info : tf.engine().makeTensorFromTensorInfo(info);
}
