import { tf } from "../engine/tf";

export interface KernelDistance {
  /** Unbiased, so it may fall below 0 when the distributions are alike. */
  value: number;
  /** Standard error over draws of the images. */
  standardError: number;
}

/** Rows of the kernel matrix that are in memory at a time. */
const BLOCK = 1024;

/**
 * The kernel inception distance (Binkowski et al., arXiv 1801.01401): the squared maximum mean discrepancy with the kernel
 * k(a, b) = (a.b / D + 1)^3, by the unbiased estimator over all pairs. Unlike the Frechet distance its expectation does
 * not depend on the number of images.
 *
 * The standard error follows from the estimator's decomposition (Hoeffding, 1948) into a part that is linear in the images
 * (each counts by its mean kernel with its own kind less that with the other) and the rest, which rules when the two
 * distributions are alike.
 * @param x features [N, D], N >= 2
 * @param y features [M, D], M >= 2
 */
export async function kernelDistance(x: tf.Tensor2D, y: tf.Tensor2D): Promise<KernelDistance> {
  const [n, dimension] = x.shape;
  const [m, otherDimension] = y.shape;
  if (dimension !== otherDimension) throw new Error(`kernelDistance: features of ${dimension} and ${otherDimension} numbers cannot be compared.`);
  if (n < 2 || m < 2) throw new Error(`kernelDistance: at least 2 images on each side are needed, not ${n} and ${m}.`);
  const xx = await kernelMoments(x, x);
  const yy = await kernelMoments(y, y);
  const xy = await kernelMoments(x, y);
  const yx = await kernelMoments(y, x);
  const [xOwn, yOwn] = await Promise.all([selfKernels(x), selfKernels(y)]);
  const influenceOfX = xx.rowSums.map((sum, i) => (sum - xOwn[i]) / (n - 1) - xy.rowSums[i] / m);
  const influenceOfY = yy.rowSums.map((sum, i) => (sum - yOwn[i]) / (m - 1) - yx.rowSums[i] / n);

  // The variance of the influences holds noise of the means that they are made of; without it the linear part remains.
  const [restXX, restYY, restXY] = [interaction(xx, xx), interaction(yy, yy), interaction(xy, yx)];
  const linearX = Math.max(0, variance(influenceOfX) - restXX / n - restXY / m);
  const linearY = Math.max(0, variance(influenceOfY) - restYY / m - restXY / n);
  const squaredError = (4 * linearX) / n + (4 * linearY) / m + (2 * restXX) / (n * (n - 1)) + (2 * restYY) / (m * (m - 1)) + (4 * restXY) / (n * m);
  return { value: mean(influenceOfX) + mean(influenceOfY), standardError: Math.sqrt(squaredError) };
}

interface KernelMoments {
  /** Sum over j of k(a_i, b_j): [N] */
  rowSums: Float64Array;
  /** Mean over i and j of k(a_i, b_j)^2. */
  meanSquare: number;
  /** Number of b. */
  columns: number;
}

async function kernelMoments(a: tf.Tensor2D, b: tf.Tensor2D): Promise<KernelMoments> {
  const [count, dimension] = a.shape;
  const columns = b.shape[0];
  const rowSums = new Float64Array(count);
  let squares = 0;
  for (let start = 0; start < count; start += BLOCK) {
    const [sums, squareSums] = tf.tidy(() => {
      const rows = a.slice([start, 0], [Math.min(BLOCK, count - start), dimension]);
      const kernels = polynomialKernel(tf.matMul(rows, b, false, true), dimension);
      return [kernels.sum(1), kernels.square().sum(1)];
    });
    rowSums.set(await sums.data(), start);
    for (const sum of await squareSums.data()) squares += sum;
    tf.dispose([sums, squareSums]);
  }
  return { rowSums, meanSquare: squares / (count * columns), columns };
}

/** Mean square of k(a_i, b_j) less what its row and its column alone explain. */
function interaction(byRow: KernelMoments, byColumn: KernelMoments): number {
  const rowMeans = byRow.rowSums.map((sum) => sum / byRow.columns);
  const columnMeans = byColumn.rowSums.map((sum) => sum / byColumn.columns);
  const square = (values: Float64Array): number => mean(values.map((value) => value * value));
  return Math.max(0, byRow.meanSquare - square(rowMeans) - square(columnMeans) + mean(rowMeans) ** 2);
}

/** k(a_i, a_i): [N] */
async function selfKernels(a: tf.Tensor2D): Promise<Float64Array> {
  const kernels = tf.tidy(() => polynomialKernel(a.square().sum(1), a.shape[1]));
  const values = Float64Array.from(await kernels.data());
  kernels.dispose();
  return values;
}

function polynomialKernel<T extends tf.Tensor>(products: T, dimension: number): T {
  const base = products.div(dimension).add(1);
  return base.mul(base).mul(base);
}

function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variance(values: Float64Array): number {
  const center = mean(values);
  return values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1);
}
