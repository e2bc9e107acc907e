/** Edges of the bins of times; finest near 0, where weights such as r / t^2 explode. */
const TIME_EDGES = [0, 0.1, 0.2, 0.4, 0.6, 0.8, 1];
const BINS = TIME_EDGES.length - 1;
const binNames = Array.from({ length: BINS }, (_, bin) => `${TIME_EDGES[bin]} to ${TIME_EDGES[bin + 1]}`);

/** Columns of a region map: t. */
export const REGION_COLUMNS: readonly string[] = binNames;
/** Rows of a region map, the first at the top: r = t, then r from large to small, then r = 0. */
export const REGION_ROWS: readonly string[] = ["r = t", ...[...binNames].reverse(), "r = 0"];
/** Row of the samples with r = t. */
export const DIAGONAL_ROW = 0;
/** Row of the samples with r = 0: one-step samples. */
export const END_ROW = BINS + 1;

/** A number for each region of (r, t), by REGION_ROWS and REGION_COLUMNS; null where no sample fell. */
export type RegionMap = (number | null)[][];

/** What each sample of the window showed, on average by region. */
export interface RegionMaps {
  /** Samples in each region. */
  count: number[][];
  /** Norm of the gradient that reaches F for a sample; 1 is the pull of the default pixel loss. */
  gradient: RegionMap;
  /** Root mean square of t R: F's distance from its target. */
  residual: RegionMap;
  /** Root mean square of dF/dt; null on the diagonal, where it is not needed. */
  derivative: RegionMap;
}

/** What a step tells of each sample, [B] each. */
export interface SampleNorms {
  gradient: ArrayLike<number>;
  residual: ArrayLike<number>;
  derivative: ArrayLike<number>;
}

function binOf(time: number): number {
  const bin = TIME_EDGES.findIndex((edge) => time < edge) - 1;
  return bin < 0 ? BINS - 1 : bin;
}

/** Row and column of a pair of times in a region map. */
export function regionOf(r: number, t: number): [row: number, column: number] {
  return [r === t ? DIAGONAL_ROW : r === 0 ? END_ROW : BINS - binOf(r), binOf(t)];
}

/** Sums of what samples showed, by region. */
export interface RegionSums {
  add(r: ArrayLike<number>, t: ArrayLike<number>, norms: SampleNorms): void;
  /** The averages so far. */
  maps(): RegionMaps;
}

/** Starts to collect. */
export function createRegionSums(): RegionSums {
  const empty = (): number[][] => REGION_ROWS.map(() => REGION_COLUMNS.map(() => 0));
  const [count, gradient, residual, derivative] = [empty(), empty(), empty(), empty()];
  return {
    add(r, t, norms) {
      for (let index = 0; index < r.length; index++) {
        const [row, column] = regionOf(r[index], t[index]);
        count[row][column]++;
        gradient[row][column] += norms.gradient[index];
        residual[row][column] += norms.residual[index];
        derivative[row][column] += norms.derivative[index];
      }
    },
    maps() {
      const mean = (sums: number[][]): RegionMap => sums.map((row, rowIndex) => row.map((sum, column) => (count[rowIndex][column] === 0 ? null : rounded(sum / count[rowIndex][column]))));
      return { count: count.map((row) => [...row]), gradient: mean(gradient), residual: mean(residual), derivative: mean(derivative).map((row, index) => (index === DIAGONAL_ROW ? row.map(() => null) : row)) };
    },
  };
}

/** Four significant digits, so that a record stays small. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/**
 * Samples and mean of a map over the regions that are asked for.
 * @param wanted takes row and column of a region
 */
export function regionMean(maps: RegionMaps, key: "gradient" | "residual", wanted: (row: number, column: number) => boolean): { count: number; mean: number } {
  let [count, sum] = [0, 0];
  maps.count.forEach((row, rowIndex) =>
    row.forEach((samples, column) => {
      const value = maps[key][rowIndex][column];
      if (value === null || !wanted(rowIndex, column)) return;
      count += samples;
      sum += samples * value;
    }),
  );
  return { count, mean: count === 0 ? 0 : sum / count };
}
