import { startGenerator, type Generator } from "./generator";
import type { ImageRequest, WorkerAnswer, WorkerRequest, WorkerStart } from "./messages";

// The page's worker: the first message brings the network, each later one asks for images.
const scope = globalThis as unknown as { onmessage: (event: { data: WorkerStart | WorkerRequest }) => void; postMessage: (answer: WorkerAnswer, transfer?: ArrayBufferLike[]) => void };
const warmUp: ImageRequest = { label: 0, seed: 0, otherSeed: 1, blend: 0, r: 0, strength: 1 };
let generator: Promise<Generator>;

scope.onmessage = async ({ data }) => {
  try {
    const start = performance.now();
    if ("weights" in data) {
      generator = startGenerator(data);
      await (await generator)([warmUp]);
      const warm = performance.now();
      await (await generator)([warmUp]);
      scope.postMessage({ kind: "ready", milliseconds: performance.now() - warm });
    } else {
      const pixels = await (await generator)(data.images);
      scope.postMessage({ kind: "images", id: data.id, pixels, milliseconds: performance.now() - start }, [pixels.buffer]);
    }
  } catch (error) {
    scope.postMessage({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
};
