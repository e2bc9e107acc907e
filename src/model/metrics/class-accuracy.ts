import { bootstrapMean, type BootstrapOptions, type Interval } from "./bootstrap";

export interface ClassAccuracy extends Interval {
  /** Share of each class's images that the judge puts into it, in the order of the classes; NaN for a class without images. */
  perClass: number[];
  /** confusion[asked][seen]: images of class `asked` that the judge took for `seen`. */
  confusion: number[][];
}

/**
 * How often a classifier sees the class that was asked for.
 * @param asked labels the images were generated for, 0 to classes - 1
 * @param seen the classifier's labels of the same images
 */
export function classAccuracy(asked: ArrayLike<number>, seen: ArrayLike<number>, classes: number, options: BootstrapOptions = {}): ClassAccuracy {
  if (asked.length !== seen.length) throw new Error(`classAccuracy: ${asked.length} labels asked for, ${seen.length} seen.`);
  const confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  const hits = new Uint8Array(asked.length);
  for (let i = 0; i < asked.length; i++) {
    if (!(confusion[asked[i]] && seen[i] in confusion[asked[i]])) throw new Error(`classAccuracy: image ${i} has labels ${asked[i]} and ${seen[i]}, expected 0 to ${classes - 1}.`);
    confusion[asked[i]][seen[i]]++;
    hits[i] = Number(asked[i] === seen[i]);
  }
  const perClass = confusion.map((row, label) => row[label] / row.reduce((sum, count) => sum + count, 0));
  return { ...bootstrapMean(hits, options), perClass, confusion };
}
