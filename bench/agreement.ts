import { readSafetensors } from "../src/model/safetensors";

/** How far the results of two programs for the same work lie apart. */
export interface Agreement {
  /** Largest difference of a loss or a norm, relative to its value. */
  metrics: number;
  /** Norm of the difference of all weights after the steps, relative to the norm of what the steps changed in them; of outputs, relative to their norm. */
  weights: number;
}

/** What float32 allows: sums in another order, and optimisers that divide by what is nearly zero. */
export const TOLERANCE: Record<string, Agreement> = { float32: { metrics: 1e-3, weights: 2e-2 }, bf16: { metrics: 5e-2, weights: 0.5 } };

interface Result {
  metrics: readonly Record<string, number>[];
  /** File of the groups of arrays that came out. */
  file: string;
}

/**
 * Compares two programs' results.
 * @param start the work file, which holds the weights before the steps
 */
export async function agreementOf(ours: Result, theirs: Result, start: string): Promise<Agreement> {
  const [own, other, before] = await Promise.all([ours.file, theirs.file, start].map(async (file) => (await readSafetensors(file)).tensors));
  const differences = ours.metrics.flatMap((values, step) => Object.entries(values).map(([name, value]) => Math.abs(value - (theirs.metrics[step]?.[name] ?? NaN)) / Math.max(Math.abs(value), 1e-6)));
  const squares: Record<string, { difference: number; change: number }> = {};
  for (const [key, { data, shape }] of Object.entries(own)) {
    const twin = other[key];
    if (!twin || twin.shape.join() !== shape.join()) return { metrics: NaN, weights: NaN };
    const [group] = key.split("/");
    const begun = before[key.replace(/^average\//, "parameters/")]?.data;
    const sum = (squares[group] ??= { difference: 0, change: 0 });
    for (let index = 0; index < data.length; index++) {
      const value = Number(data[index]);
      sum.difference += (value - Number(twin.data[index])) ** 2;
      sum.change += (value - Number(begun?.[index] ?? 0)) ** 2;
    }
  }
  return { metrics: Math.max(0, ...differences), weights: Math.max(...Object.values(squares).map(({ difference, change }) => Math.sqrt(difference / change))) };
}

/** Whether two programs did the same work, to within what their arithmetic allows. */
export function agrees({ metrics, weights }: Agreement, precision: string): boolean {
  return metrics <= TOLERANCE[precision].metrics && weights <= TOLERANCE[precision].weights;
}
