import { tf } from "../engine/tf";

export interface InceptionScore {
  /** From 1 to the number of classes; the mean over the splits. */
  value: number;
  /** Standard deviation over the splits. */
  standardDeviation: number;
}

/** Takes class scores batch by batch; memory does not grow with the images. */
export interface InceptionScoreAccumulator {
  /** Add logits [B, C]; the tensor stays the caller's. @throws RangeError with more images than were announced */
  add(logits: tf.Tensor2D): Promise<void>;
  /** @throws Error with fewer images than were announced */
  finish(): InceptionScore;
}

/**
 * The Inception score (Salimans et al., arXiv 1606.03498): exp of the mean divergence of each image's classes from all images' classes, over equal
 * splits of the images in their order. It does not look at real images, and means little for images unlike ImageNet's.
 * @param count images that will come
 * @param splits the usual 10
 */
export function accumulateInceptionScore(count: number, splits = 10): InceptionScoreAccumulator {
  if (count < splits) throw new RangeError(`the Inception score needs at least ${splits} images, one a split, not ${count}.`);
  const ends = Array.from({ length: splits }, (_, split) => Math.floor(((split + 1) * count) / splits));
  const parts = ends.map(() => ({ count: 0, negativeEntropy: 0, classes: undefined as Float64Array | undefined }));
  let seen = 0;
  let split = 0;
  return {
    async add(logits) {
      const [batch, classes] = logits.shape;
      if (seen + batch > count) throw new RangeError(`the Inception score was announced ${count} images, and more came.`);
      const scores = (await logits.data()) as Float32Array;
      for (let image = 0; image < batch; image++) {
        while (seen >= ends[split]) split++;
        const part = parts[split];
        const sums = (part.classes ??= new Float64Array(classes));
        const row = scores.subarray(image * classes, (image + 1) * classes);
        const largest = row.reduce((most, score) => Math.max(most, score), -Infinity);
        const logSum = Math.log(row.reduce((sum, score) => sum + Math.exp(score - largest), 0));
        row.forEach((score, label) => {
          const logProbability = score - largest - logSum;
          const probability = Math.exp(logProbability);
          sums[label] += probability;
          part.negativeEntropy += probability * logProbability;
        });
        part.count++;
        seen++;
      }
    },
    finish() {
      if (seen < count) throw new Error(`the Inception score was announced ${count} images, but only ${seen} came.`);
      const scores = parts.map((part) => {
        const marginal = (part.classes ?? new Float64Array(0)).reduce((sum, total) => (total > 0 ? sum + (total / part.count) * Math.log(total / part.count) : sum), 0);
        return Math.exp(part.negativeEntropy / part.count - marginal);
      });
      const value = scores.reduce((sum, score) => sum + score, 0) / splits;
      return { value, standardDeviation: Math.sqrt(scores.reduce((sum, score) => sum + (score - value) ** 2, 0) / splits) };
    },
  };
}
