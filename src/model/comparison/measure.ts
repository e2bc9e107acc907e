import type { TrainConfig } from "../config";
import type { tf } from "../engine/tf";
import { evaluateImages, generatedBatches, loadEvaluationNetworks, networksOfLosses, type EvaluationNetworks } from "../metrics";
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
 * A run whose losses used that very network has its class accuracy alone: distances in features that it was trained on are no evidence.
 * @returns the measure, which keeps its networks between calls, and what frees them
 */
export function createDefaultMeasure(): { measure: Measure; dispose(): void } {
  const networks = new Map<string, Required<EvaluationNetworks>>();
  const measure: Measure = async ({ generate, resources, config, samples, signal, onProgress }) => {
    const { train, test } = resources;
    const key = train.fingerprint;
    if (!networks.has(key)) networks.set(key, await loadEvaluationNetworks({ train, test }, { signal, onProgress }));
    // The noise is another for each seed of the training, and the same for all variants of that seed.
    const images = generatedBatches(generate, test, { count: samples, seed: config.seed * 1_000_003 });
    const result = await evaluateImages(images, test, networks.get(key)!, { count: samples, frechetResamples: 0, lossNetworks: networksOfLosses(config), signal, onProgress });
    const distances: Record<string, number> = result.independent ? { frechetDistance: result.frechetDistance, kernelDistance: result.kernelDistance } : {};
    return { classAccuracy: result.classAccuracy!.value, ...distances };
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
