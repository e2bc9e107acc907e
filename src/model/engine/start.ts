import { execFileSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, sep } from "node:path";
import { nativeEngineError } from "./native";
import { tf } from "./tf";
import { completeWasmKernels } from "./wasm-kernels";

/** TensorFlow's own C++ engine, or its WebAssembly stand-in where that is not installed. */
export type EngineName = "tensorflow" | "wasm";

export interface EngineOptions {
  /** The engine to use if it can be had. Default "tensorflow"; without it WebAssembly takes over. */
  prefer?: EngineName;
  /** Receives the one line that says so when WebAssembly takes over. Default console.warn. */
  announce?: (line: string) => void;
}

export interface EngineDescription {
  name: EngineName;
  /** The engine's own version: that of TensorFlow, or that of the WebAssembly package. */
  version: string;
  /** The GPU's name, or "CPU" with the number of threads. */
  device: string;
  /** Threads that compute on the CPU. */
  threads: number;
  /** What the tensors alive now take up. */
  memory: { tensors: number; bytes: number };
}

/** How many times as long a training step takes on WebAssembly as a compiled one on TensorFlow; docs/engine.md has the measurement. */
const WASM_SLOWDOWN = "7 to 31";

/**
 * Chooses the engine that all tensors live on, and waits until it runs. Calling it again is harmless.
 *
 * @throws Error if WebAssembly is needed and cannot be started either
 */
export async function startEngine({ prefer = "tensorflow", announce = console.warn }: EngineOptions = {}): Promise<EngineDescription> {
  const name = prefer === "tensorflow" && nativeEngineError ? "wasm" : prefer;
  if (name === "wasm") await loadWasm();
  if (!(await tf.setBackend(name))) throw new Error(`The engine "${name}" did not start.`);
  if (name !== prefer && nativeEngineError) announce(fallbackNotice(nativeEngineError));
  return describeEngine();
}

/** One line: what took over, why, what it costs and how to mend it. */
function fallbackNotice(cause: Error): string {
  const reason = cause.message.split("\n")[0].replace(/\.$/, "");
  return (
    `TensorFlow could not be loaded (${reason}). WebAssembly takes over: a training step takes ${WASM_SLOWDOWN} times as long. ` +
    `"npx crossflow setup" installs TensorFlow.`
  );
}

let wasmLoaded: Promise<void> | undefined;

/** Loads the WebAssembly engine once and completes its kernels. */
function loadWasm(): Promise<void> {
  wasmLoaded ??= import("@tensorflow/tfjs-backend-wasm").then(({ setWasmPaths }) => {
    setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + sep);
    completeWasmKernels();
  });
  return wasmLoaded;
}

/**
 * The engine that runs now, with the memory its tensors take up now.
 *
 * @throws Error if none was started
 */
export function describeEngine(): EngineDescription {
  const { numTensors: tensors, numBytes: bytes } = tf.memory();
  const memory = { tensors, bytes };
  const name = tf.getBackend();
  if (name === "tensorflow") {
    const { binding, isUsingGpuDevice } = tf.backend() as unknown as { binding: { TF_Version: string }; isUsingGpuDevice: boolean };
    // Those of an operation, or those that begin operations: the two share the processors.
    const threads = Math.max(...["TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"].map((name) => Number(process.env[name]) || availableParallelism()));
    return { name, version: binding.TF_Version, device: isUsingGpuDevice ? gpuName() : describeCpu(threads), threads, memory };
  }
  // The WebAssembly package has no threads in Node.
  if (name === "wasm") return { name, version: wasmVersion(), device: describeCpu(1), threads: 1, memory };
  throw new Error("No engine runs yet. Call `await startEngine()` first.");
}

const describeCpu = (threads: number): string => `CPU, ${threads} ${threads === 1 ? "thread" : "threads"}`;

const wasmVersion = (): string => (require("@tensorflow/tfjs-backend-wasm/package.json") as { version: string }).version;

/** The name of the first GPU, as its driver tells it. */
function gpuName(): string {
  try {
    const names = execFileSync("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"], { encoding: "utf8", timeout: 10_000 });
    return names.split("\n")[0].trim() || "GPU";
  } catch {
    return "GPU";
  }
}
