import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { checkComparable, type FeatureStatistics } from "./statistics";

/** Eigenvalues below this share of the largest are rounding, not spread: their directions are left out. */
const RANK_TOLERANCE = 1e-13;

/**
 * The Frechet distance between two normal distributions (Dowson and Landau, 1982; on network features: Heusel et al.,
 * arXiv 1706.08500): |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), at least 0; 0 for equal statistics.
 *
 * With C1 = A A^T the eigenvalues of C1 C2 other than zero are those of the symmetric matrix A^T C2 A, so the trace of the
 * root needs no root of a matrix that is not symmetric, and singular covariances (fewer images than dimensions) are no
 * special case. The estimate is biased upwards by about the dimension over the count: compare only equal counts.
 * @throws when the statistics were made by different networks or resizes, or are not finite
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  return frechetDistanceTo(a)(b);
}

/** frechetDistance() from one set of statistics to many: the costly factorisation of the first is done once. */
export function frechetDistanceTo(a: FeatureStatistics): (b: FeatureStatistics) => number {
  let factor: Matrix | undefined;
  return (b) => distanceBetween(a, b, () => (factor ??= covarianceFactor(a)));
}

function distanceBetween(a: FeatureStatistics, b: FeatureStatistics, factorOfA: () => Matrix): number {
  checkComparable(a.origin, b.origin);
  if (a.dimension !== b.dimension) throw new Error(`frechetDistance: dimensions ${a.dimension} and ${b.dimension} differ.`);
  const { dimension } = a;
  let distance = 0;
  for (let d = 0; d < dimension; d++) {
    distance += (a.mean[d] - b.mean[d]) ** 2 + a.covariance[d * dimension + d] + b.covariance[d * dimension + d];
  }
  if (!Number.isFinite(distance)) throw new Error("frechetDistance: the statistics hold NaN or infinity; the images or the network's weights are broken.");
  return Math.max(0, distance - 2 * traceOfRoot(factorOfA(), b));
}

/** tr (C1 C2)^(1/2). @param factor of C1, [D, R] */
function traceOfRoot(factor: Matrix, b: FeatureStatistics): number {
  if (factor.columns === 0) return 0;
  const product = factor.transpose().mmul(squareMatrix(b).mmul(factor)); // [R, R]
  const symmetric = Matrix.add(product, product.transpose()).mul(0.5);
  const eigenvalues = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).realEigenvalues;
  return eigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(0, value)), 0);
}

/** A with C = A A^T, and as many columns as C has rank. */
function covarianceFactor(statistics: FeatureStatistics): Matrix {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(squareMatrix(statistics), { assumeSymmetric: true });
  const largest = Math.max(0, ...realEigenvalues);
  const kept = realEigenvalues.flatMap((value, i) => (value > RANK_TOLERANCE * largest ? [i] : []));
  const factor = new Matrix(statistics.dimension, kept.length);
  kept.forEach((from, to) => {
    const scale = Math.sqrt(realEigenvalues[from]);
    for (let row = 0; row < statistics.dimension; row++) factor.set(row, to, eigenvectorMatrix.get(row, from) * scale);
  });
  return factor;
}

function squareMatrix({ covariance, dimension }: FeatureStatistics): Matrix {
  const matrix = new Matrix(dimension, dimension);
  for (let row = 0; row < dimension; row++) {
    for (let column = 0; column < dimension; column++) matrix.set(row, column, covariance[row * dimension + column]);
  }
  return matrix;
}
