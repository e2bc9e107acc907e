import { tf } from "../engine/tf";

export interface PrecisionRecall {
  /** Share of generated images that look real: they lie in the neighbourhood of some real image. 0 to 1. */
  precision: number;
  /** Share of real images that are covered: they lie in the neighbourhood of some generated image. 0 to 1. */
  recall: number;
}

/** Rows of the distance matrix that are in memory at a time. */
const BLOCK = 1024;

/**
 * Improved precision and recall (Kynkaanniemi et al., arXiv 1904.06991): the neighbourhood of an image is the ball that
 * reaches its k-th nearest neighbour of its own kind in feature space.
 * @param real features [N, D], N > neighbours
 * @param generated features [M, D], M > neighbours
 * @param options.neighbours k, default 3
 */
export async function precisionRecall(real: tf.Tensor2D, generated: tf.Tensor2D, options: { neighbours?: number } = {}): Promise<PrecisionRecall> {
  const { neighbours = 3 } = options;
  for (const { shape } of [real, generated]) {
    if (shape[0] <= neighbours) throw new Error(`precisionRecall: ${shape[0]} images are too few for ${neighbours} neighbours; at least ${neighbours + 1} are needed.`);
  }
  return {
    precision: await shareInside(generated, real, neighbours),
    recall: await shareInside(real, generated, neighbours),
  };
}

/** Share of `points` that lie in the neighbourhood of some center. */
async function shareInside(points: tf.Tensor2D, centers: tf.Tensor2D, neighbours: number): Promise<number> {
  const radii = squaredRadii(centers, neighbours);
  let inside = 0;
  for (const block of blocks(points)) {
    const hits = tf.tidy(() => squaredDistances(block, centers).lessEqual(radii).any(1).toInt().sum());
    inside += (await hits.data())[0];
    tf.dispose([block, hits]);
  }
  radii.dispose();
  return inside / points.shape[0];
}

/** Squared distance of each center to its k-th nearest other center: [N] */
function squaredRadii(centers: tf.Tensor2D, neighbours: number): tf.Tensor1D {
  return tf.tidy(() => {
    const radii = [...blocks(centers)].map((block) => {
      const nearest = tf.topk(squaredDistances(block, centers).neg(), neighbours + 1).values; // the nearest of all is the center itself
      return nearest.slice([0, neighbours], [block.shape[0], 1]).neg().reshape<tf.Tensor1D>([-1]);
    });
    return tf.concat1d(radii);
  });
}

function* blocks(features: tf.Tensor2D): Generator<tf.Tensor2D> {
  const [count, dimension] = features.shape;
  for (let start = 0; start < count; start += BLOCK) yield features.slice([start, 0], [Math.min(BLOCK, count - start), dimension]);
}

/** |a_i - b_j|^2, not below 0: [N, M] */
function squaredDistances(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(a, b, false, true).mul(-2).add(a.square().sum(1, true)).add(b.square().sum(1)).relu();
}
