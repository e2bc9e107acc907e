import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { network, parameterShapes, type NetworkConfig } from "../../model/network";
import { randomStream } from "../../model/random";
import { decodeSafetensors, float32Values } from "../../model/safetensors-format";
import type { ImageRequest, WorkerStart } from "./messages";
import { tf } from "./tf";

/** Draws images [N, S, S, 4] (red, green, blue, opaque), 0 to 255. */
export type Generator = (requests: readonly ImageRequest[]) => Promise<Uint8ClampedArray>;

/**
 * Starts the WebAssembly engine on the network's weights.
 * @throws Error where the browser lacks WebAssembly with SIMD, or the weights are not those of the network
 */
export async function startGenerator({ network: config, weights, program }: WorkerStart): Promise<Generator> {
  // Threads would need headers that a file has not.
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  if (!(await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT"))) throw new Error("this browser has no WebAssembly with SIMD: use a current Firefox, Chrome, Edge or Safari");
  const address = URL.createObjectURL(new Blob([program], { type: "application/wasm" }));
  // tfjs wants an address for each of its three programs, though only the one with SIMD and without threads is ever loaded.
  setWasmPaths(Object.fromEntries(["", "-simd", "-threaded-simd"].map((kind) => [`tfjs-backend-wasm${kind}.wasm`, address])));
  await tf.setBackend("wasm");
  await tf.ready();
  URL.revokeObjectURL(address);
  const { tensors } = decodeSafetensors(new Uint8Array(weights), "the page's weights");
  const parameters = Object.fromEntries(Object.keys(parameterShapes(config)).map((name) => [name, tf.tensor(float32Values(tensors[name], name), tensors[name].shape)]));
  return async (requests) => {
    const images = tf.tidy(() => {
      const noise = Float32Array.from(requests.flatMap((request) => Array.from(noiseOf(config, request))));
      const zT = tf.tensor4d(noise, [requests.length, config.latentSize, config.latentSize, config.latentChannels]);
      const r = tf.tensor1d(requests.map((request) => request.r));
      const y = tf.tensor1d(requests.map(({ label }) => label), "int32");
      return network(config, parameters, zT, r, y);
    });
    const values = await images.data();
    images.dispose();
    const pixels = new Uint8ClampedArray((values.length / 3) * 4).fill(255);
    // A clamped array rounds and clips.
    for (let pixel = 0; pixel < values.length / 3; pixel++) for (let channel = 0; channel < 3; channel++) pixels[4 * pixel + channel] = (values[3 * pixel + channel] + 1) * 127.5;
    return pixels;
  };
}

/** Normal noise on the arc from one seed's to the other's: cos(a pi / 2) e0 + sin(a pi / 2) e1 has the length of noise all along. */
function noiseOf({ latentSize, latentChannels }: NetworkConfig, { seed, otherSeed, blend, strength }: ImageRequest): Float32Array {
  const draw = (from: number): Float32Array => randomStream(from, "sampling noise").normal(latentSize * latentSize * latentChannels);
  const angle = (Math.PI / 2) * blend;
  const [first, other] = [draw(seed), blend === 0 ? undefined : draw(otherSeed)];
  return first.map((value, index) => strength * (Math.cos(angle) * value + Math.sin(angle) * (other?.[index] ?? 0)));
}
