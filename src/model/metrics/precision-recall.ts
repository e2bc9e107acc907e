import type { tf } from "../engine/tf";
import { checkNeighbours, overDistances, squaredRadii } from "./neighbours";

export interface PrecisionRecall {
  /** Share of generated images that look real: they lie in the neighbourhood of some real image. 0 to 1. */
  precision: number;
  /** Share of real images that are covered: they lie in the neighbourhood of some generated image. 0 to 1. */
  recall: number;
}

/** For each image, 1 if it counts and 0 if not: what the shares are the means of. */
export interface PrecisionRecallMembers {
  /** [M], of the generated images. */
  precision: Float32Array;
  /** [N], of the real images. */
  recall: Float32Array;
}

/**
 * Improved precision and recall (Kynkaanniemi et al., arXiv 1904.06991): the neighbourhood of an image is the ball that
 * reaches its k-th nearest neighbour of its own kind in feature space.
 * @param real features [N, D], N > neighbours
 * @param generated features [M, D], M > neighbours
 * @param options.neighbours k, default 3
 */
export async function precisionRecall(real: tf.Tensor2D, generated: tf.Tensor2D, options: { neighbours?: number } = {}): Promise<PrecisionRecall> {
  const { precision, recall } = await precisionRecallMembers(real, generated, options);
  return { precision: mean(precision), recall: mean(recall) };
}

/** As precisionRecall(), image by image. */
export async function precisionRecallMembers(real: tf.Tensor2D, generated: tf.Tensor2D, options: { neighbours?: number } = {}): Promise<PrecisionRecallMembers> {
  const { neighbours = 3 } = options;
  checkNeighbours("precisionRecall", neighbours, real, generated);
  const inside = async (points: tf.Tensor2D, centers: tf.Tensor2D): Promise<Float32Array> => {
    const radii = squaredRadii(centers, neighbours);
    const members = await overDistances(points, centers, (distances) => distances.lessEqual(radii).any(1));
    radii.dispose();
    return members;
  };
  return { precision: await inside(generated, real), recall: await inside(real, generated) };
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
