import fs from "node:fs";
import path from "node:path";
import type { Dataset, DatasetSplits } from "../data";
import { projectRoot } from "../files";
import { classifyDataset, loadClassifier, saveClassifier, trainClassifier, type Classifier, type ClassifierOptions } from "./classifier";

/** Weights that come with the project, so that class accuracies of one data set compare across machines. */
const SHIPPED: readonly string[] = ["checkpoints/avatars-classifier.safetensors"];

export interface JudgeOptions extends ClassifierOptions {
  /** Folder where judges that were trained here are kept. Default: data/judges in the project. */
  folder?: string;
  /** Train anew even if there is one already. Default false. */
  retrain?: boolean;
}

/**
 * The judge of class accuracy for a data set: the one that comes with the project if it fits (by name, classes and image
 * size), else one trained before, else one trained now (about a minute) and kept. `madeBy.heldOutAccuracy` is the share of
 * the test split that it puts into the right class.
 *
 * No loss may use this network: a judge that a generator was trained against is no evidence.
 */
export async function loadJudge(splits: DatasetSplits, options: JudgeOptions = {}): Promise<Classifier> {
  const { folder = path.join(projectRoot(), "data", "judges"), retrain = false, ...training } = options;
  const own = path.join(folder, `${splits.train.name}-${splits.train.imageSize}-${splits.train.fingerprint}.safetensors`);
  const candidates = retrain ? [] : [...SHIPPED.map((file) => path.join(projectRoot(), file)), own];
  for (const candidate of candidates.filter((file) => fs.existsSync(file))) {
    const classifier = await loadClassifier(candidate);
    if (fits(classifier, splits.train)) return classifier;
    classifier.dispose();
  }
  const classifier = await trainClassifier(splits.train, training);
  classifier.madeBy.heldOutAccuracy = String(await heldOutAccuracy(classifier, splits.test));
  await saveClassifier(classifier, own);
  return classifier;
}

function fits(classifier: Classifier, dataset: Dataset): boolean {
  return classifier.madeBy.dataset === dataset.name && classifier.imageSize === dataset.imageSize && String(classifier.classes) === String(dataset.classes);
}

/** Share of images that get their own label, 0 to 1. */
export async function heldOutAccuracy(classifier: Classifier, dataset: Dataset): Promise<number> {
  const seen = await classifyDataset(classifier, dataset);
  return seen.reduce((hits, label, i) => hits + Number(label === dataset.labels[i]), 0) / dataset.size;
}
