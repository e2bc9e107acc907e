import type { TrainConfig } from "../config";
import { tf } from "../engine/tf";
import { collectFeatures, datasetFeatures, featureTensor, frechetDistance, generatedBatches, kernelDistance, loadEvaluationNetworks, type LoadedEvaluationNetworks } from "../metrics";
import type { ProgressListener } from "../progress";
import type { Resources } from "../resources";

/** What is measured of one trained network. */
export interface MeasureInput {
  /** Images [B, H, W, 3] for labels [B]; equal seeds give equal noise to every variant. */
  generate: (labels: Int32Array, seed: number) => tf.Tensor4D;
  resources: Resources;
  config: TrainConfig;
  /** Images to generate. */
  samples: number;
  signal?: AbortSignal;
  onProgress?: ProgressListener;
}

/** Measures a trained network: values by the metric's name. */
export type Measure = (input: MeasureInput) => Promise<Record<string, number>>;

/**
 * The measures of DEFAULT_METRICS: class accuracy by the data set's judge, Frechet and kernel distance to the test images in EfficientNet-Lite2 features.
 * For a run whose losses used that very network they are no evidence: dependentMetrics() tells which, and the report marks them.
 * @returns the measure, which keeps its networks between calls, and what frees them
 */
export function createDefaultMeasure(): { measure: Measure; dispose(): void } {
  const networks = new Map<string, LoadedEvaluationNetworks>();
  const measure: Measure = async ({ generate, resources, config, samples, signal, onProgress }) => {
    const { train, test } = resources;
    const key = train.fingerprint;
    if (!networks.has(key)) networks.set(key, await loadEvaluationNetworks({ train, test }, { signal, onProgress }));
    // The noise is another for each seed of the training, and the same for all variants of that seed.
    const images = generatedBatches(generate, test, { count: samples, seed: config.seed * 1_000_003 });
    const { features, judge } = networks.get(key)!;
    const real = await datasetFeatures(test, features, { signal, onProgress });
    let hits = 0;
    const visit = (batch: tf.Tensor4D, labels: tf.Tensor1D): void => {
      hits += tf.tidy(() => tf.sum(tf.equal(judge.logits(batch).argMax(1), labels)).dataSync()[0]);
    };
    const generated = await collectFeatures(images, features, samples, { visit: async (batch, labels) => visit(batch, labels), label: "measuring images", signal, onProgress });
    const tensors = [featureTensor(generated), featureTensor(real)] as const;
    try {
      const kernel = await kernelDistance(...tensors);
      return { classAccuracy: hits / samples, frechetDistance: frechetDistance(generated.statistics, real.statistics), kernelDistance: kernel.value };
    } finally {
      tf.dispose([...tensors]);
    }
  };
  const dispose = (): void => {
    networks.forEach(({ features, judge }) => {
      features.dispose();
      judge.dispose();
    });
    networks.clear();
  };
  return { measure, dispose };
}
