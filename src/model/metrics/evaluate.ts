import type { Dataset, DatasetSplits } from "../data";
import { tf } from "../engine/tf";
import type { Classifier } from "../features/classifier";
import { loadEfficientNetLite } from "../features/efficientnet-lite";
import type { FeatureNetwork } from "../features/feature-network";
import { loadJudge, type JudgeOptions } from "../features/judge";
import type { LongRunOptions } from "../progress";
import { classAccuracy, type ClassAccuracy } from "./class-accuracy";
import { collectFeatures, datasetFeatures, featureTensor, statisticsOf, type ImageBatches } from "./feature-set";
import { frechetDistance } from "./frechet";
import { kernelDistance } from "./kid";
import { precisionRecall } from "./precision-recall";

/** The networks that judge images; no loss sees either. */
export interface EvaluationNetworks {
  /** In whose embedding distances are measured. */
  features: FeatureNetwork;
  /** Tells classes; without it class accuracy is not measured. */
  judge?: Classifier;
}

export interface EvaluationOptions extends LongRunOptions {
  /** Generated images that are measured. */
  count?: number;
  /** k of precision and recall. */
  neighbours?: number;
  /** Of the intervals' resampling. */
  seed?: number;
  /** Where features of the data set are kept between runs. Default: data/features in the project. */
  folder?: string;
}

export const EVALUATION_DEFAULTS = { count: 2000, neighbours: 3, seed: 0 };

/** All measures of one set of images, with what they depend on: two records compare only where the first block is equal. */
export interface Evaluation {
  dataset: string;
  split: string;
  datasetFingerprint: string;
  /** Generated images. */
  count: number;
  /** Real images that they were compared with. */
  referenceCount: number;
  /** Name of the feature network. */
  features: string;
  featuresFingerprint: string;
  resize: string;
  neighbours: number;
  seed: number;
  judgeFingerprint: string | undefined;

  /** 0 is best; biased upwards by the number of images. */
  frechetDistance: number;
  /** 0 is best; unbiased. */
  kernelDistance: number;
  kernelDistanceError: number;
  /** 0 to 1. */
  precision: number;
  /** 0 to 1. */
  recall: number;
  classAccuracy: ClassAccuracy | undefined;
}

/**
 * The networks of the standard evaluation: EfficientNet-Lite2 at 96 pixels, embedding of its last stage (352 numbers, of
 * which 2,000 images give a covariance of full rank), and the data set's judge. Losses use EfficientNet-Lite0.
 */
export async function loadEvaluationNetworks(splits: DatasetSplits, options: JudgeOptions = {}): Promise<Required<EvaluationNetworks>> {
  const features = await loadEfficientNetLite("lite2", { inputSize: 96, resize: "bicubic", embeddingLevel: 7 });
  try {
    return { features, judge: await loadJudge(splits, options) };
  } catch (error) {
    features.dispose();
    throw error;
  }
}

/**
 * Measure images against a data set: distances, precision and recall in a network's features, and class accuracy by the judge.
 * @param images batches with the labels that were asked for (`generatedBatches`, or `datasetBatches` for real images); their tensors are disposed of
 * @param reference the split that they are compared with; the test split, which training never sees
 * @throws when fewer than `count` images come; the signal's reason when aborted
 */
export async function evaluateImages(images: ImageBatches, reference: Dataset, networks: EvaluationNetworks, options: EvaluationOptions = {}): Promise<Evaluation> {
  const { onProgress, signal, folder, ...given } = options;
  const { count, neighbours, seed } = { ...EVALUATION_DEFAULTS, ...given };
  const { features: network, judge } = networks;
  const real = await datasetFeatures(reference, network, { folder, onProgress, signal });
  const asked: number[] = [];
  const seen: number[] = [];
  const generated = await collectFeatures(images, network, count, {
    onProgress,
    signal,
    label: "measuring images",
    visit: judge && (async (batch, labels) => {
      const classes = tf.tidy(() => judge.logits(batch).argMax(1));
      asked.push(...(await labels.data()));
      seen.push(...(await classes.data()));
      classes.dispose();
    }),
  });

  const distance = frechetDistance(await statisticsOf(generated), await statisticsOf(real));
  const [realTensor, generatedTensor] = [featureTensor(real), featureTensor(generated)];
  try {
    const kernel = await kernelDistance(generatedTensor, realTensor);
    return {
      dataset: reference.name,
      split: reference.split,
      datasetFingerprint: reference.fingerprint,
      count,
      referenceCount: real.count,
      features: network.name,
      featuresFingerprint: network.fingerprint,
      resize: network.resize,
      neighbours,
      seed,
      judgeFingerprint: judge?.fingerprint,
      frechetDistance: distance,
      kernelDistance: kernel.value,
      kernelDistanceError: kernel.standardError,
      ...(await precisionRecall(realTensor, generatedTensor, { neighbours })),
      classAccuracy: judge && classAccuracy(asked, seen, reference.classes.length, { seed }),
    };
  } finally {
    tf.dispose([realTensor, generatedTensor]);
  }
}
