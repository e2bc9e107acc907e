import { table } from "../src/kernel-helpers/table";
import { networkConfig, PRESETS } from "../src/model/config";
import { memoryPlan, type MemoryPlan } from "../src/model/summary";

/** Images in a step for which the plan is made: of 32 x 32 pixels where the head is convolutional, of 256 x 256 for the paper's sizes. */
const BATCH_SIZE = 64;
const GIGABYTE = 1e9;
/** Memory of a large GPU, bytes: what batch fits into it. */
const GPU_BYTES = 80 * GIGABYTE;

/** What a training step of each preset needs in memory, with and without recomputing activations, as text. */
export function memoryPlanTable(): string {
  const gigabytes = (bytes: number): string => (bytes / GIGABYTE).toFixed(2);
  const rows = Object.keys(PRESETS).map((preset) => {
    const isSmall = PRESETS[preset as keyof typeof PRESETS].head === "convolution";
    const shapes = isSmall ? { imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8 } : { imageSize: 256, latentSize: 32, latentChannels: 4, classes: 1000 };
    const config = networkConfig(preset, shapes);
    const [plain, recomputed] = [false, true].map((recompute) => memoryPlan(config, { batchSize: BATCH_SIZE, recompute }));
    const largestBatch = ({ total, activations }: MemoryPlan): number => Math.floor((GPU_BYTES - (total - activations)) / (activations / BATCH_SIZE));
    return {
      preset,
      batch: BATCH_SIZE,
      "weights GB": gigabytes(plain.parameters),
      "gradients GB": gigabytes(plain.gradients),
      "optimiser GB": gigabytes(plain.optimizer),
      "average GB": gigabytes(plain.average),
      "activations GB": gigabytes(plain.activations),
      "recomputed GB": gigabytes(recomputed.activations),
      "in all GB": gigabytes(plain.total),
      "in all, recomputed GB": gigabytes(recomputed.total),
      "batch in 80 GB": largestBatch(plain),
      "recomputed, batch in 80 GB": largestBatch(recomputed),
    };
  });
  return table(rows, { caption: "Memory of a training step (float32, pixel loss), at least: with all activations kept, and with the option recompute, under which each block keeps its input alone" })["text/plain"] as string;
}
