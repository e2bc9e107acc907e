import type { Dataset, DatasetSplits } from "../data";
import { tf } from "../engine/tf";
import type { Classifier } from "../features/classifier";
import { loadFeatureNetwork, type FeatureNetworkName } from "../features/load";
import type { FeatureNetwork } from "../features/feature-network";
import { loadJudge, type JudgeOptions } from "../features/judge";
import type { LongRunOptions } from "../progress";
import type { Inception } from "../features/inception";
import type { Lpips } from "../features/lpips";
import { bootstrapMean, type Interval } from "./bootstrap";
import { classAccuracy, type ClassAccuracy } from "./class-accuracy";
import { classDistances, type ClassDistance } from "./class-distances";
import { densityCoverage } from "./density-coverage";
import { collectFeatures, datasetBatches, datasetFeatures, featureTensor, type ImageBatches } from "./feature-set";
import { frechetDistance } from "./frechet";
import { frechetStandardError } from "./frechet-error";
import { accumulateInceptionScore, type InceptionScore } from "./inception-score";
import { isIndependent } from "./independence";
import { kernelDistance } from "./kid";
import { pairDistances } from "./lpips-diversity";
import { precisionRecallMembers } from "./precision-recall";
import { accumulateSurface, type SurfaceMeasures } from "./surface";
import { checkComparable, type ReferenceStatistics } from "./statistics";

/** The networks that judge images. */
export interface EvaluationNetworks {
  /** In whose embedding distances are measured. */
  features: FeatureNetwork;
  /** Tells classes; without it class accuracy is not measured. */
  judge?: Classifier;
  /** Tells how much samples of one class differ; without it LPIPS diversity is not measured. */
  lpips?: Pick<Lpips, "name" | "distance">;
}

/** What loadEvaluationNetworks() gives; dispose of both. */
export type LoadedEvaluationNetworks = Required<Pick<EvaluationNetworks, "features" | "judge">>;

export interface EvaluationOptions extends LongRunOptions {
  /** Generated images that are measured. */
  count?: number;
  /** k of precision and recall. */
  neighbours?: number;
  /** k of density and coverage. */
  densityNeighbours?: number;
  /** Of the intervals' resampling, and of which features are kept of large sets. */
  seed?: number;
  /** Resamples for the Frechet distance's standard error; 0 for none. By default 20, and none where features have more than 512 numbers: each takes minutes then. */
  frechetResamples?: number;
  /** Pretrained networks that the losses of the judged run used: `lossNetworksOf(model)`. */
  lossNetworks?: readonly string[];
  /** Saved statistics that the Frechet distance is taken to, in place of the split's own. */
  referenceStatistics?: ReferenceStatistics;
  /** Where features of the data set are kept between runs. Default: data/features in the project. */
  folder?: string;
}

export const EVALUATION_DEFAULTS = { count: 2000, neighbours: 3, densityNeighbours: 5, seed: 0, lossNetworks: [] as readonly string[] };

/** Features of more numbers get no bootstrap of the Frechet distance unless it is asked for. */
const RESAMPLED_DIMENSION = 512;

/** Half the width of a 95 % interval, in standard errors. */
const NORMAL_95 = 1.96;

/** The measures that are taken in the feature network. */
const FEATURE_MEASURES = ["frechetDistance", "kernelDistance", "precision", "recall", "density", "coverage", "inceptionScore"] as const;
/** Those that stand on a pretrained network, and so may not be independent. */
export type FeatureMeasure = (typeof FEATURE_MEASURES)[number] | "lpipsDiversity";

/** All measures of one set of images, with what they depend on: two records compare only where the first block is equal. */
export interface Evaluation {
  dataset: string;
  split: string;
  datasetFingerprint: string;
  /** Generated images. */
  count: number;
  /** Real images of the split that they were compared with. */
  referenceCount: number;
  /** Name of the feature network. */
  features: string;
  featuresFingerprint: string;
  resize: string;
  neighbours: number;
  densityNeighbours: number;
  seed: number;
  judgeFingerprint: string | undefined;
  /** The saved statistics that the Frechet distance was taken to, where it is not to the split above: their images, and what else is known of them. */
  reference: { count: number; about: Record<string, string> } | undefined;
  /** Pretrained networks that losses of the judged run used. */
  lossNetworks: string[];
  /** False where the feature network is one of them: all that is measured in it is no evidence then. */
  independent: boolean;
  /** The measures that are no evidence: those in the features, where a loss used that network. */
  notIndependent: FeatureMeasure[];

  /** 0 is best; biased upwards by the number of images. */
  frechetDistance: number;
  /** Over draws of the generated images; undefined where it was not estimated. */
  frechetDistanceError: number | undefined;
  /** 0 is best; unbiased. */
  kernelDistance: number;
  kernelDistanceError: number;
  /** The same by class; undefined where more images were measured than features are kept. */
  classDistances: ClassDistance[] | undefined;
  /** 0 to 1. */
  precision: number;
  /** 0 to 1. */
  recall: number;
  /** 0 and above; about 1 for the data's own distribution. */
  density: number;
  /** 0 to 1. */
  coverage: number;
  /** 95 % intervals over draws of the images. */
  intervals: Record<"kernelDistance" | "precision" | "recall" | "density" | "coverage", [low: number, high: number]> & { frechetDistance?: [low: number, high: number] };
  /** With Inception features alone. */
  inceptionScore: InceptionScore | undefined;
  classAccuracy: ClassAccuracy | undefined;
  /** Mean LPIPS distance of pairs of one class, with its 95 % interval over the pairs; higher is more diverse. Undefined without the network, and where no batch holds a pair. */
  lpipsDiversity: (Interval & { pairs: number }) | undefined;
  /** Seams, flat areas and edges of the images, and of those of the split that they were compared with. */
  surface: { generated: SurfaceMeasures; reference: SurfaceMeasures };
}

/** The network of the standard evaluation. Losses use EfficientNet-Lite0 by default. */
export const METRIC_NETWORK: FeatureNetworkName = "efficientnet-lite2";

/**
 * The networks of an evaluation: features by name, and the data set's judge. By default EfficientNet-Lite2 at 96 pixels, embedding of its last stage (352
 * numbers, of which 2,000 images give a covariance of full rank).
 */
export async function loadEvaluationNetworks(splits: DatasetSplits, options: JudgeOptions & { features?: FeatureNetworkName } = {}): Promise<LoadedEvaluationNetworks> {
  const { features: name = METRIC_NETWORK, ...judgeOptions } = options;
  const features = await loadFeatureNetwork(name);
  try {
    return { features, judge: await loadJudge(splits, judgeOptions) };
  } catch (error) {
    features.dispose();
    throw error;
  }
}

/** @throws naming the difference, when saved statistics were made in another way than the network's features of a data set's images will be */
function checkReference({ origin, dimension, about }: ReferenceStatistics, network: FeatureNetwork, { name, imageSize }: Dataset): void {
  checkComparable({ network: network.fingerprint, resize: network.resize }, origin);
  if (dimension !== network.embeddingSize) throw new Error(`These features cannot be compared: ${network.name} gives ${network.embeddingSize} numbers an image, the saved statistics are of ${dimension}. Make them again.`);
  if (about.imageSize !== undefined && about.imageSize !== String(imageSize)) {
    throw new Error(`These features cannot be compared: the images of ${name} have ${imageSize} pixels a side, those of the saved statistics (${about.dataset ?? "unnamed"}) had ${about.imageSize}. Make statistics of images of the same size.`);
  }
}

/**
 * Measure images against a data set: distances, precision and recall, density and coverage in a network's features, and class accuracy by the judge.
 * @param images batches with the labels that were asked for (`generatedBatches`, or `datasetBatches` for real images); their tensors are disposed of
 * @param reference the split that they are compared with; the test split, which training never sees
 * @throws when `count` is too small, when fewer than `count` images come, or the saved reference was made with another network or resize, or of images of another size; the signal's reason when aborted
 */
export async function evaluateImages(images: ImageBatches, reference: Dataset, networks: EvaluationNetworks, options: EvaluationOptions = {}): Promise<Evaluation> {
  const { onProgress, signal, folder, frechetResamples, referenceStatistics, ...given } = options;
  const { count, neighbours, densityNeighbours, seed, lossNetworks } = { ...EVALUATION_DEFAULTS, ...given };
  const { features: network, judge, lpips } = networks;
  const fewest = neighbours + 1;
  if (!Number.isInteger(count) || count < fewest) throw new RangeError(`An evaluation takes at least ${fewest} samples, one more than the ${neighbours} neighbours of precision and recall, not ${count}.`);
  const independent = isIndependent(network.name, lossNetworks);
  if (referenceStatistics) checkReference(referenceStatistics, network, reference);
  const real = await datasetFeatures(reference, network, { folder, onProgress, signal });
  const asked: number[] = [];
  const seen: number[] = [];
  const pairs: number[] = [];
  const inception = "logits" in network ? (network as Inception) : undefined;
  const score = inception && count >= 10 ? accumulateInceptionScore(count) : undefined;
  const surface = accumulateSurface();
  const generated = await collectFeatures(images, network, count, {
    onProgress,
    signal,
    seed,
    label: "measuring images",
    visit: async (batch, labels) => {
      await surface.add(batch);
      asked.push(...(await labels.data()));
      if (judge) {
        const classes = tf.tidy(() => judge.logits(batch).argMax(1));
        seen.push(...(await classes.data()));
        classes.dispose();
      }
      if (lpips) pairs.push(...(await pairDistances(lpips, batch, await labels.data())));
      if (inception && score) {
        const logits = inception.logits(batch);
        await score.add(logits);
        logits.dispose();
      }
    },
  });

  const realSurface = accumulateSurface();
  for (const { images: batch, labels } of datasetBatches(reference)) {
    await realSurface.add(batch);
    tf.dispose([batch, labels]);
    signal?.throwIfAborted();
  }
  const compared = referenceStatistics ?? real.statistics;
  const distance = frechetDistance(generated.statistics, compared);
  const [realTensor, generatedTensor] = [featureTensor(real), featureTensor(generated)];
  try {
    const kernel = await kernelDistance(generatedTensor, realTensor);
    const ofAll = real.kept === real.count && generated.kept === generated.count;
    const byClass = ofAll ? await classDistances({ features: realTensor, labels: reference.labels }, { features: generatedTensor, labels: asked }, reference.classes) : undefined;
    const resamples = frechetResamples ?? (network.embeddingSize <= RESAMPLED_DIMENSION ? 20 : 0);
    const distanceError = resamples > 1 ? await frechetStandardError(generatedTensor, compared, { resamples, seed }) : undefined;
    const members = { ...(await precisionRecallMembers(realTensor, generatedTensor, { neighbours })), ...(await densityCoverage(realTensor, generatedTensor, { neighbours: densityNeighbours })) };
    const [precision, recall, density, coverage] = [members.precision, members.recall, members.density, members.coverage].map((values) => bootstrapMean(values, { seed }));
    const around = (value: number, error: number): [number, number] => [value - NORMAL_95 * error, value + NORMAL_95 * error];
    const ends = ({ low, high }: Interval): [number, number] => [low, high];
    return {
      dataset: reference.name,
      split: reference.split,
      datasetFingerprint: reference.fingerprint,
      count,
      referenceCount: real.statistics.count,
      features: network.name,
      featuresFingerprint: network.fingerprint,
      resize: network.resize,
      neighbours,
      densityNeighbours,
      seed,
      judgeFingerprint: judge?.fingerprint,
      reference: referenceStatistics && { count: referenceStatistics.count, about: referenceStatistics.about },
      lossNetworks: [...lossNetworks],
      independent,
      notIndependent: [
        ...(independent ? [] : FEATURE_MEASURES.filter((name) => name !== "inceptionScore" || score)),
        ...(lpips && pairs.length > 0 && !isIndependent(lpips.name, lossNetworks) ? ["lpipsDiversity" as const] : []),
      ],
      frechetDistance: distance,
      frechetDistanceError: distanceError,
      kernelDistance: kernel.value,
      kernelDistanceError: kernel.standardError,
      classDistances: byClass,
      precision: precision.value,
      recall: recall.value,
      density: density.value,
      coverage: coverage.value,
      intervals: {
        ...(distanceError === undefined ? {} : { frechetDistance: around(distance, distanceError) }),
        kernelDistance: around(kernel.value, kernel.standardError),
        precision: ends(precision),
        recall: ends(recall),
        density: ends(density),
        coverage: ends(coverage),
      },
      inceptionScore: score?.finish(),
      classAccuracy: judge && classAccuracy(asked, seen, reference.classes.length, { seed }),
      lpipsDiversity: pairs.length > 0 ? { ...bootstrapMean(pairs, { seed }), pairs: pairs.length } : undefined,
      surface: { generated: surface.finish(), reference: realSurface.finish() },
    };
  } finally {
    tf.dispose([realTensor, generatedTensor]);
  }
}
