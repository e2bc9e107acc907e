/** How an input's values lie: one a position, one a row, a single one, or repeated with strides over the full shape. */
export type Layout = { kind: "full" } | { kind: "row" } | { kind: "scalar" } | { kind: "strided"; dimensions: number[]; strides: number[] };

/** Numbers in a tensor of a shape. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);

/** Whether a shape is the other one with a last axis of 1. */
export function isRowOf(shape: readonly number[], full: readonly number[]): boolean {
  const padded = [...Array<number>(Math.max(full.length - shape.length, 0)).fill(1), ...shape];
  return padded.length === full.length && padded.every((length, axis) => length === (axis === full.length - 1 ? 1 : full[axis]));
}

/** How a smaller shape repeats over a larger one; axes that repeat alike are joined. */
export function strided(shape: readonly number[], full: readonly number[]): Layout | undefined {
  if (shape.length > full.length) return undefined;
  const padded = [...Array<number>(full.length - shape.length).fill(1), ...shape];
  if (padded.some((length, axis) => length !== 1 && length !== full[axis])) return undefined;
  const strides = padded.map((length, axis) => (length === 1 ? 0 : sizeOf(padded.slice(axis + 1))));
  const dimensions: number[] = [];
  const joined: number[] = [];
  full.forEach((length, axis) => {
    if (length === 1) return;
    const last = joined.length - 1;
    if (last >= 0 && joined[last] === strides[axis] * length) {
      dimensions[last] *= length;
      joined[last] = strides[axis];
    } else {
      dimensions.push(length);
      joined.push(strides[axis]);
    }
  });
  return { kind: "strided", dimensions, strides: joined };
}
