import type { tf } from "../engine/tf";
import { rounded } from "./regions";

type Variables = Record<string, tf.Variable>;

/** The part of the network that a parameter belongs to: "embedding", "blocks" or "head". */
function partOf(name: string): string {
  if (name.startsWith("blocks.")) return "blocks";
  return name.startsWith("head") || name.startsWith("finalNorm") ? "head" : "embedding";
}

/** Copies of all values, to be compared with later ones. */
export function copyOfValues(variables: Variables): Record<string, Float32Array> {
  return Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, (variable.dataSync() as Float32Array).slice()]));
}

/**
 * By how much a step moved the weights, |after - before| / |before|, for each part of the network. About 0.001 to 0.01 is usual; a part whose
 * ratio nears 1 is replaced rather than trained.
 * @param before values before the step, by parameter
 * @param variables the parameters after it
 */
export function updateToWeight(before: Record<string, Float32Array>, variables: Variables): Record<string, number> {
  const sums: Record<string, { moved: number; size: number }> = {};
  for (const [name, variable] of Object.entries(variables)) {
    const after = variable.dataSync();
    const part = (sums[partOf(name)] ??= { moved: 0, size: 0 });
    before[name].forEach((value, index) => {
      part.moved += (after[index] - value) ** 2;
      part.size += value ** 2;
    });
  }
  return Object.fromEntries(Object.entries(sums).map(([part, { moved, size }]) => [part, rounded(Math.sqrt(moved / Math.max(size, 1e-12)))]));
}
