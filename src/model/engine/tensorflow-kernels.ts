// This file runs while the engine is being loaded, so it cannot go through ./tf.
import * as tf from "@tensorflow/tfjs";
import { isRecording } from "./compile/recording";

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
  const gather = tf.getKernel(tf.GatherV2, backendName);
  // The package reads the indices to check them. A compiled function has none to read yet: TensorFlow checks them at each call.
  tf.unregisterKernel(tf.GatherV2, backendName);
  tf.registerKernel({
    ...gather,
    kernelFunc: (call) => gather.kernelFunc(isRecording(call.backend as object) ? { ...call, backend: Object.create(call.backend as object, { readSync: { value: () => [] } }) as object } : call),
  });
}
