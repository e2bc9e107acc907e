import type { MimeBundle } from "./cell-outputs";
import { display } from "./display";
import { table } from "./table";

/** Anything with a shape: tensors, variables. */
export interface Shaped {
  readonly shape: readonly number[];
}

export interface ModelSummaryOptions {
  caption?: string;
  /** How many steps of the dotted names count as one entry: 1 sums up `blocks` as a whole. Default: every parameter alone. */
  depth?: number;
}

/** The parameters of a network by name: shape, number of values, share of the whole. */
export function modelSummary(parameters: Readonly<Record<string, Shaped>>, { caption, depth = Infinity }: ModelSummaryOptions = {}): MimeBundle {
  const sizes = Object.entries(parameters).map(([name, { shape }]) => ({ name, shape, count: shape.reduce((product, length) => product * length, 1) }));
  const total = sizes.reduce((sum, { count }) => sum + count, 0);
  const groups = new Map<string, typeof sizes>();
  for (const entry of sizes) {
    const group = entry.name.split(".").slice(0, depth).join(".");
    groups.set(group, [...(groups.get(group) ?? []), entry]);
  }
  const rows = [...groups].map(([name, entries]) => {
    const count = entries.reduce((sum, entry) => sum + entry.count, 0);
    const shape = entries.length === 1 ? `[${entries[0].shape.join(", ")}]` : `${entries.length} tensors`;
    return { parameter: name, shape, values: count, share: `${((100 * count) / total).toFixed(1)} %` };
  });
  return table([...rows, { parameter: "total", shape: `${sizes.length} tensors`, values: total, share: "100.0 %" }], { caption });
}

/** Shows a network's parameters below the cell. */
export function showModelSummary(parameters: Readonly<Record<string, Shaped>>, options: ModelSummaryOptions = {}): void {
  display(modelSummary(parameters, options));
}
