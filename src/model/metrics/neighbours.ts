import { tf } from "../engine/tf";

/** Rows of the distance matrix that are in memory at a time. */
const BLOCK = 1024;

/** @throws RangeError naming the measure, when some set has too few images for k neighbours besides each one itself */
export function checkNeighbours(measure: string, neighbours: number, ...sets: readonly tf.Tensor2D[]): void {
  for (const { shape } of sets) {
    if (shape[0] <= neighbours) throw new RangeError(`${measure}: ${shape[0]} images are too few for ${neighbours} neighbours; at least ${neighbours + 1} are needed.`);
  }
}

/** Squared distance of each center to its k-th nearest other center: [N], the caller's to dispose of. @param centers [N, D] */
export function squaredRadii(centers: tf.Tensor2D, neighbours: number): tf.Tensor1D {
  return tf.tidy(() => {
    const radii = [...blocks(centers)].map((block) => {
      const nearest = tf.topk(squaredDistances(block, centers).neg(), neighbours + 1).values; // the nearest of all is the center itself
      return nearest.slice([0, neighbours], [block.shape[0], 1]).neg().reshape<tf.Tensor1D>([-1]);
    });
    return tf.concat1d(radii);
  });
}

/**
 * For each point, a number made of its squared distances to all centers, a block of points at a time.
 * @param points [N, D]
 * @param centers [M, D]
 * @param reduce of squared distances [B, M], B points of the N: [B]
 * @returns [N]
 */
export async function overDistances(points: tf.Tensor2D, centers: tf.Tensor2D, reduce: (distances: tf.Tensor2D) => tf.Tensor): Promise<Float32Array> {
  const results = new Float32Array(points.shape[0]);
  let start = 0;
  for (const block of blocks(points)) {
    const values = tf.tidy(() => reduce(squaredDistances(block, centers)).toFloat());
    results.set((await values.data()) as Float32Array, start);
    start += block.shape[0];
    tf.dispose([block, values]);
  }
  return results;
}

function* blocks(features: tf.Tensor2D): Generator<tf.Tensor2D> {
  const [count, dimension] = features.shape;
  for (let start = 0; start < count; start += BLOCK) yield features.slice([start, 0], [Math.min(BLOCK, count - start), dimension]);
}

/** |a_i - b_j|^2, not below 0: [N, M] */
function squaredDistances(a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(a, b, false, true).mul(-2).add(a.square().sum(1, true)).add(b.square().sum(1)).relu();
}
