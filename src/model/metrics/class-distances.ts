import { tf } from "../engine/tf";
import { kernelDistance } from "./kid";

/** How far the generated images of one class are from its real ones. */
export interface ClassDistance {
  className: string;
  /** Generated images of the class. */
  count: number;
  /** 0 is best; unbiased, so that classes of different size compare. */
  kernelDistance: number;
  kernelDistanceError: number;
}

/** Features [N, D] of images with the class label of each [N]. */
export interface LabelledFeatures {
  features: tf.Tensor2D;
  labels: ArrayLike<number>;
}

/**
 * The kernel distance of each class alone (ours; the distance is that of kernelDistance()). It says which class is behind, where the distance of all says only that one is: samples of a class
 * that all wear the same clothes are of the right class, and sharp.
 * @param classes names, in the order of the labels
 * @returns one entry a class of which there are two images or more on each side
 */
export async function classDistances(real: LabelledFeatures, generated: LabelledFeatures, classes: readonly string[]): Promise<ClassDistance[]> {
  const distances: ClassDistance[] = [];
  for (const [label, className] of classes.entries()) {
    const [ofReal, ofGenerated] = [real, generated].map(({ labels }) => Array.from(labels).flatMap((each, index) => (each === label ? [index] : [])));
    if (ofReal.length < 2 || ofGenerated.length < 2) continue;
    const [x, y] = [tf.gather(generated.features, ofGenerated), tf.gather(real.features, ofReal)];
    try {
      const { value, standardError } = await kernelDistance(x, y);
      distances.push({ className, count: ofGenerated.length, kernelDistance: value, kernelDistanceError: standardError });
    } finally {
      tf.dispose([x, y]);
    }
  }
  return distances;
}
