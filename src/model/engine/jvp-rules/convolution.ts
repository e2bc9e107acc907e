import { tf } from "../tf";
import { composed, multilinear } from "./combinators";
import type { JvpRules } from "./registry";

/** Adds the bias, if there is one, and applies the activation that a fused kernel names. */
function biasAndActivation(x: tf.Tensor, inputs: Record<string, tf.Tensor>, attributes: { activation: string; leakyreluAlpha?: number }): tf.Tensor {
  const biased = inputs.bias ? tf.add(x, inputs.bias) : x;
  return tf.backend_util.applyActivation(biased, (attributes.activation ?? "linear") as "linear", inputs.preluActivationWeights, attributes.leakyreluAlpha);
}

/** Runs a kernel by its name with the attributes it shares with the fused one. */
const run = (kernelName: string, inputs: Record<string, tf.Tensor>, attributes: object): tf.Tensor => tf.engine().runKernel<tf.Tensor>(kernelName, inputs, attributes as tf.NamedAttrMap);

/** Rules of the convolutions, of the products their gradients are made of, of the fused kernels and of batch normalisation. */
export const convolutionRules: JvpRules = {
  Conv2D: multilinear(["x", "filter"]),
  Conv2DBackpropInput: multilinear(["dy", "filter"]),
  Conv2DBackpropFilter: multilinear(["x", "dy"]),
  Conv3D: multilinear(["x", "filter"]),
  Conv3DBackpropInputV2: multilinear(["dy", "filter"]),
  Conv3DBackpropFilterV2: multilinear(["x", "dy"]),
  DepthwiseConv2dNative: multilinear(["x", "filter"]),
  DepthwiseConv2dNativeBackpropInput: multilinear(["dy", "filter"]),
  DepthwiseConv2dNativeBackpropFilter: multilinear(["x", "dy"]),
  FusedConv2D: composed<tf.FusedConv2DAttrs>((inputs, attributes) =>
    biasAndActivation(run(tf.Conv2D, { x: inputs.x, filter: inputs.filter }, attributes), inputs, attributes)),
  FusedDepthwiseConv2D: composed<tf.FusedDepthwiseConv2DAttrs>((inputs, attributes) =>
    biasAndActivation(run(tf.DepthwiseConv2dNative, { x: inputs.x, filter: inputs.filter }, attributes), inputs, attributes)),
  _FusedMatMul: composed<tf._FusedMatMulAttrs>((inputs, attributes) =>
    biasAndActivation(tf.matMul(inputs.a, inputs.b, attributes.transposeA, attributes.transposeB), inputs, attributes)),
  // y = (x - mean) / sqrt(variance + epsilon) scale + offset
  FusedBatchNorm: composed<tf.FusedBatchNormAttrs>(({ x, mean, variance, offset, scale }, { varianceEpsilon }) => {
    const normalised = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, varianceEpsilon)));
    const scaled = scale ? tf.mul(normalised, scale) : normalised;
    return offset ? tf.add(scaled, offset) : scaled;
  }),
};
