import { isElementwise, isReduction } from "./elementwise-program";
import type { RecordedNode, Recording, Source } from "./record";

/** Constants up to this size are looked at for repetition. */
const SMALL_CONSTANT_BYTES = 64;

/** The nodes on which something depends that the recording returns or assigns, in the order in which they ran. */
export function usedNodes({ nodes, outputs, assignments }: Recording): number[] {
  const used = new Set<number>();
  const waiting = [...Object.values(outputs), ...assignments.values()];
  for (let source = waiting.pop(); source; source = waiting.pop()) {
    if (source.kind !== "node" || used.has(source.node)) continue;
    used.add(source.node);
    waiting.push(...nodes[source.node].inputs, ...(nodes[source.node].after ?? []));
  }
  return [...used].sort((a, b) => a - b);
}

/** Replaces operations that repeat an earlier one on the same values by the earlier one's results. */
export function withoutRepetition(recording: Recording): Recording {
  const first = new Map<string, number>();
  const renamed: number[] = [];
  const rename = (source: Source): Source => (source.kind === "node" ? { ...source, node: renamed[source.node] } : source);
  const nodes = recording.nodes.map((node, index): RecordedNode => {
    const read = { ...node, inputs: node.inputs.map(rename), ...(node.after && { after: node.after.map(rename) }) };
    const pure = !node.after && (isElementwise(node) || isReduction(node) || node.operation === "Reshape" || node.operation === "Cast" || (node.constant !== undefined && node.constant.bytes.length <= SMALL_CONSTANT_BYTES));
    const key = pure ? JSON.stringify([read.operation, read.attributes, read.inputs, read.constant && [read.constant.dtype, read.constant.shape, Buffer.from(read.constant.bytes).toString("hex")]]) : "";
    renamed[index] = pure ? (first.get(key) ?? (first.set(key, index), index)) : index;
    return read;
  });
  return { ...recording, nodes, outputs: Object.fromEntries(Object.entries(recording.outputs).map(([name, source]) => [name, rename(source)])), assignments: new Map([...recording.assignments].map(([index, source]) => [index, rename(source)])) };
}
