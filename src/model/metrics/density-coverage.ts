import type { tf } from "../engine/tf";
import { checkNeighbours, overDistances, squaredRadii } from "./neighbours";

/** For each image, what it adds: density and coverage are the means. */
export interface DensityCoverageMembers {
  /** [M], of the generated images: in how many real neighbourhoods it lies, over k. */
  density: Float32Array;
  /** [N], of the real images: 1 if its neighbourhood holds a generated image. */
  coverage: Float32Array;
}

/**
 * Density and coverage (Naeem et al., arXiv 2002.09797): as precision and recall, but only real images have neighbourhoods, so that a single odd
 * generated image can't cover much, and density counts how many neighbourhoods an image lies in.
 * @param real features [N, D], N > neighbours
 * @param generated features [M, D]
 * @param options.neighbours k, default 5
 */
export async function densityCoverage(real: tf.Tensor2D, generated: tf.Tensor2D, options: { neighbours?: number } = {}): Promise<DensityCoverageMembers> {
  const { neighbours = 5 } = options;
  checkNeighbours("densityCoverage", neighbours, real);
  const radii = squaredRadii(real, neighbours);
  const density = await overDistances(generated, real, (distances) => distances.lessEqual(radii).toFloat().sum(1).div(neighbours));
  const nearest = await overDistances(real, generated, (distances) => distances.min(1));
  const reach = await radii.data();
  radii.dispose();
  return { density, coverage: nearest.map((distance, i) => Number(distance <= reach[i])) };
}
