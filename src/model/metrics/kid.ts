import { tf } from "../engine/tf";

export interface KernelDistance {
  /** Unbiased, so it may fall below 0 when the distributions are alike. */
  value: number;
  /** Standard error over draws of the images, to first order. */
  standardError: number;
}

/** Rows of the kernel matrix that are in memory at a time. */
const BLOCK = 1024;

/**
 * The kernel inception distance (Binkowski et al., arXiv 1801.01401): the squared maximum mean discrepancy with the kernel
 * k(a, b) = (a.b / D + 1)^3, by the unbiased estimator over all pairs. Unlike the Frechet distance its expectation does
 * not depend on the number of images.
 *
 * The standard error is that of the estimator's linear part (Hoeffding, 1948): each image counts by its mean kernel with
 * its own kind less that with the other.
 * @param x features [N, D], N >= 2
 * @param y features [M, D], M >= 2
 */
export async function kernelDistance(x: tf.Tensor2D, y: tf.Tensor2D): Promise<KernelDistance> {
  const [n, dimension] = x.shape;
  const [m, otherDimension] = y.shape;
  if (dimension !== otherDimension) throw new Error(`kernelDistance: features of ${dimension} and ${otherDimension} numbers cannot be compared.`);
  if (n < 2 || m < 2) throw new Error(`kernelDistance: at least 2 images on each side are needed, not ${n} and ${m}.`);
  const xx = await kernelRowSums(x, x);
  const yy = await kernelRowSums(y, y);
  const xy = await kernelRowSums(x, y);
  const yx = await kernelRowSums(y, x);
  const [xOwn, yOwn] = await Promise.all([selfKernels(x), selfKernels(y)]);
  const influenceOfX = Float64Array.from(xx, (sum, i) => (sum - xOwn[i]) / (n - 1) - xy[i] / m);
  const influenceOfY = Float64Array.from(yy, (sum, i) => (sum - yOwn[i]) / (m - 1) - yx[i] / n);
  return {
    value: mean(influenceOfX) + mean(influenceOfY),
    standardError: Math.sqrt((4 * variance(influenceOfX)) / n + (4 * variance(influenceOfY)) / m),
  };
}

/** sum over j of k(a_i, b_j), for each i: [N] */
async function kernelRowSums(a: tf.Tensor2D, b: tf.Tensor2D): Promise<Float64Array> {
  const [count, dimension] = a.shape;
  const sums = new Float64Array(count);
  for (let start = 0; start < count; start += BLOCK) {
    const block = tf.tidy(() => {
      const rows = a.slice([start, 0], [Math.min(BLOCK, count - start), dimension]);
      return polynomialKernel(tf.matMul(rows, b, false, true), dimension).sum(1);
    });
    sums.set(await block.data(), start);
    block.dispose();
  }
  return sums;
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
