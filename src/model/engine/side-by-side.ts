import { availableParallelism } from "node:os";
import { isRecording } from "./compile/recording";
import { tf } from "./tf";
import { OPERATIONS_AT_ONCE } from "./threads";

/**
 * Evaluates a function of a batch in parts that do not wait for each other, so that a compiled graph works on them at the same time, and joins what comes out. Run op
 * by op, on WebAssembly, on a GPU or a single processor the function is called once, with all.
 * @param evaluate a function of each sample alone: what it makes of a part is that part of what it makes of the whole
 * @param batch tensors [B, ...]
 * @returns [B, ...]
 */
export function sideBySide<Batch extends tf.Tensor[], T extends tf.Tensor>(evaluate: (...batch: Batch) => T, ...batch: Batch): T {
  const count = batch[0].shape[0];
  const parts = Math.min(OPERATIONS_AT_ONCE, count);
  if (parts === 1 || !cutsBatches()) return evaluate(...batch);
  const start = (part: number): number => Math.floor((count * part) / parts);
  return tf.concat(Array.from({ length: parts }, (_, part) => evaluate(...(batch.map((tensor) => tf.slice(tensor, start(part), start(part + 1) - start(part))) as Batch))), 0) as T;
}

function cutsBatches(): boolean {
  const backend = tf.backend() as { isUsingGpuDevice?: boolean };
  return isRecording(backend) && !backend.isUsingGpuDevice && availableParallelism() > 1;
}
