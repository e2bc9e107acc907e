// This file runs while the engine is being loaded, so it cannot go through ./tf.
import * as tf from "@tensorflow/tfjs";

/** Mends the kernels of the native TensorFlow engine that do not do what tfjs promises. */
export function mendTensorFlowKernels(): void {
  const backendName = "tensorflow";
  const round = tf.getKernel(tf.Round, backendName);
  // TensorFlow rounds integers to 0; a whole number rounds to itself.
  tf.unregisterKernel(tf.Round, backendName);
  tf.registerKernel({
    ...round,
    kernelFunc: (call) => (call.inputs.x?.dtype === "int32" ? tf.clone(call.inputs.x as tf.Tensor) : round.kernelFunc(call)),
  });
}
