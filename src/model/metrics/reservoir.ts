import type { RandomStream } from "../random";

/** A uniform sample of a stream of rows, of bounded size. */
export interface Reservoir {
  /** Add rows, one after another. @param rows [B, D] */
  add(rows: Float32Array): void;
  /** The rows that are kept, [K, D]; all of them, in their order, while they fit. */
  values(): Float32Array;
  /** K. */
  count(): number;
}

/**
 * Keeps at most `capacity` rows of a stream, each with the same probability (Vitter's algorithm R, 1985).
 * @param dimension D
 */
export function createReservoir(capacity: number, dimension: number, stream: RandomStream): Reservoir {
  let kept = new Float32Array(0);
  let seen = 0;
  return {
    add(rows) {
      for (let start = 0; start < rows.length; start += dimension, seen++) {
        const place = seen < capacity ? seen : stream.integers(1, seen + 1)[0];
        if (place >= capacity) continue;
        if ((place + 1) * dimension > kept.length) {
          const larger = new Float32Array(Math.min(capacity, Math.max(256, 2 * (place + 1))) * dimension);
          larger.set(kept);
          kept = larger;
        }
        kept.set(rows.subarray(start, start + dimension), place * dimension);
      }
    },
    values: () => kept.slice(0, Math.min(seen, capacity) * dimension),
    count: () => Math.min(seen, capacity),
  };
}
