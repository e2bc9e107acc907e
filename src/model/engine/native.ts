import nodeUtil from "node:util";
import { mendTensorFlowKernels } from "./tensorflow-kernels";
import { threadsOfAnOperation } from "./threads";

// TensorFlow reads these when its library is loaded, so they come before that.
// Only warnings and errors are logged.
process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
// Two operations at a time share the processors, where the default gives all of them to each.
process.env.TF_NUM_INTRAOP_THREADS ??= String(threadsOfAnOperation());
// A GPU's memory is taken as it is needed, so that a notebook and a training can share the device.
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= "true";
// oneDNN's convolutions and matrix products are the fastest on x86. It also brings an allocator that keeps large blocks:
// the default one maps and unmaps them at every operation, which triples the time of an addition.
process.env.TF_ENABLE_ONEDNN_OPTS ??= "1";
// TensorFlow's best-fit allocator keeps what a step frees for the next one.
process.env.TF_CPU_ALLOCATOR_USE_BFC ??= "true";

// The package calls these functions of node:util, which Node 24 no longer has, and of which Node 22 warns below a notebook's cell.
Object.assign(nodeUtil, { isNullOrUndefined: (value: unknown) => value == null, isArray: Array.isArray });

/** Why the native TensorFlow engine could not be loaded; undefined when it could. */
export const nativeEngineError: Error | undefined = loadNativeEngine();

function loadNativeEngine(): Error | undefined {
  try {
    require("@tensorflow/tfjs-node-gpu");
  } catch (error) {
    return error as Error;
  }
  mendTensorFlowKernels();
  return undefined;
}
