import { availableParallelism } from "node:os";

/** How many operations share the processors: as many as the parts into which sideBySide() cuts a batch. */
export const OPERATIONS_AT_ONCE = 2;

/**
 * Processors that one operation may use. An operation as small as a training step's loses more by being shared among processors than it gains, so that
 * two operations have half of them each (docs/engine.md has the measurement).
 */
export function threadsOfAnOperation(processors: number = availableParallelism()): number {
  return Math.max(1, Math.floor(processors / OPERATIONS_AT_ONCE));
}
