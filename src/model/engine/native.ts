import nodeUtil from "node:util";

process.env.TF_CPP_MIN_LOG_LEVEL ??= "2";
process.env.TF_FORCE_GPU_ALLOW_GROWTH ??= "true";
process.env.TF_ENABLE_ONEDNN_OPTS ??= "1";

const shims: Record<string, unknown> = { isNullOrUndefined: (value: unknown) => value == null, isArray: Array.isArray };
for (const [name, shim] of Object.entries(shims)) if (!(name in nodeUtil)) Object.assign(nodeUtil, { [name]: shim });

/** Why the native engine could not be loaded; undefined when it is running. */
export let nativeEngineError: Error | undefined;
try {
  require("@tensorflow/tfjs-node-gpu");
} catch (error) {
  nativeEngineError = error as Error;
}
