import { resolveConfig, networkConfig, type TrainConfig } from "../src/model/config";
import type { CompileOptions } from "../src/model/engine/compile";
import { tf } from "../src/model/engine/tf";
import { loadEfficientNetLite } from "../src/model/features/efficientnet-lite";
import type { FeatureNetwork } from "../src/model/features/feature-network";
import type { NetworkConfig } from "../src/model/network";
import { randomStream } from "../src/model/random";
import { createTrainingState, disposeTrainingState, type TrainingState } from "../src/model/training-state";
import { trainingStep, TRANSLATION_SHARE, type StepInputs, type TrainingStep } from "../src/model/training-step";
import { sampleTimes } from "../src/model/trajectory";

/** Which losses a step has: the pixel loss alone, or with the perceptual and the adversarial loss and the critic's own step. */
export type LossSet = "pixel" | "all";

const LOSSES: Record<LossSet, Record<string, number>> = { pixel: { pixel: 1 }, all: { pixel: 1, perceptual: 0.5, adversarial: 0.5 } };

/** Shapes between which the presets are measured. */
export const SIZES = {
  tiny: { preset: "tiny", imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8, batchSize: 64 },
  small: { preset: "small", imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8, batchSize: 64 },
  B: { preset: "B", imageSize: 256, latentSize: 32, latentChannels: 4, classes: 1000, batchSize: 4 },
} as const;

export type SizeName = keyof typeof SIZES;

export interface WorkloadOptions {
  size: SizeName;
  losses: LossSet;
  /** In place of the size's own. */
  batchSize?: number;
  latentSize?: number;
  imageSize?: number;
  depth?: number;
}

/** One training step's work: what is computed, on what, and how. */
export interface Workload {
  name: string;
  config: TrainConfig;
  network: NetworkConfig;
  state: TrainingState;
  features?: FeatureNetwork;
  statics: { atEnd: number; offDiagonal: number; active: string; critic: boolean };
  /** Host arrays of a step's batch, noise, times and rates, by the names of StepInputs; the same for the same number. */
  arrays(step: number): Record<string, HostArray>;
  step(options?: CompileOptions): TrainingStep;
  dispose(): void;
}

/** Numbers in the memory of JavaScript, with a shape. */
export interface HostArray {
  shape: number[];
  data: Float32Array | Int32Array;
}

/** Uploads a step's arrays; the caller disposes of the tensors. */
export function toTensors(arrays: Record<string, HostArray>): StepInputs {
  return Object.fromEntries(Object.entries(arrays).map(([name, { shape, data }]) => [name, tf.tensor(data, shape, data instanceof Int32Array ? "int32" : "float32")])) as unknown as StepInputs;
}

/**
 * Makes the work of training at one size, with made-up images and latents: speed does not depend on their values. The weights are
 * moved off their starting values, so that no gate is zero and no part of the gradient vanishes.
 */
export async function createWorkload(options: WorkloadOptions): Promise<Workload> {
  const size = { ...SIZES[options.size], ...Object.fromEntries(Object.entries(options).filter(([key, value]) => value !== undefined && key in SIZES.tiny)) };
  const { imageSize, latentSize, latentChannels, classes, batchSize } = size;
  const config = resolveConfig({ preset: size.preset, imageSize, batchSize, losses: LOSSES[options.losses], lossStart: {}, steps: 1000 });
  const preset = networkConfig(size.preset, { imageSize, latentSize, latentChannels, classes });
  const network = { ...preset, depth: options.depth ?? preset.depth };
  const state = createTrainingState(config, network);
  scatter(state);
  const features = options.losses === "all" ? await loadEfficientNetLite("lite0", { inputSize: config.perceptualSize }) : undefined;
  const { atEnd, offDiagonal } = sampleTimes(randomStream(0, "times"), batchSize, config);
  return {
    name: `${options.size}, ${options.losses === "pixel" ? "pixel loss" : "all losses"}, batch ${batchSize}`,
    config,
    network,
    state,
    features,
    statics: { atEnd, offDiagonal, active: Object.keys(config.losses).join(), critic: options.losses === "all" },
    arrays: (step) => stepArrays(config, network, step, options.losses === "all"),
    step: (compileOptions) => trainingStep(config, state, { features: features && ((images) => features.features(images)) }, compileOptions),
    dispose() {
      disposeTrainingState(state);
      features?.dispose();
    },
  };
}

/** Adds noise to all weights and copies them to the averages. */
function scatter(state: TrainingState): void {
  const { parameters, average, critic } = state.variables;
  const stream = randomStream(0, "scatter");
  for (const variable of [...Object.values(parameters), ...Object.values(critic ?? {})]) {
    tf.tidy(() => variable.assign(tf.add(variable, tf.mul(0.02, tf.tensor(stream.normal(variable.size), variable.shape)))));
  }
  for (const [name, variable] of Object.entries(average)) tf.tidy(() => variable.assign(tf.add(parameters[name], 0)));
}

function stepArrays(config: TrainConfig, network: NetworkConfig, step: number, critic: boolean): Record<string, HostArray> {
  const { batchSize } = config;
  const { imageSize, latentSize, latentChannels, classes } = network;
  const stream = randomStream(step, "benchmark");
  const normal = (shape: number[]): HostArray => ({ shape, data: stream.normal(shape.reduce((product, length) => product * length, 1)) });
  const scalar = (value: number): HostArray => ({ shape: [], data: Float32Array.of(value) });
  const latentShape = [batchSize, latentSize, latentSize, latentChannels];
  const imageShape = [batchSize, imageSize, imageSize, 3];
  const { r, t } = sampleTimes(stream, batchSize, { ...config, timeShift: 1 });
  const z = normal(latentShape);
  const x0 = normal(imageShape);
  const arrays: Record<string, HostArray> = {
    x0: { shape: imageShape, data: x0.data.map((value) => Math.tanh(value)) },
    y: { shape: [batchSize], data: stream.integers(batchSize, classes) },
    z,
    eps: normal(latentShape),
    r: { shape: [batchSize], data: r },
    t: { shape: [batchSize], data: t },
    learningRate: scalar(1e-3 * (1 + step / 1000)),
    matrixLearningRate: scalar(5e-3 * (1 + step / 1000)),
    stepCount: scalar(step + 1),
    emaDecay: scalar((1 + step) / (10 + step)),
  };
  if (!critic) return arrays;
  const reach = Math.floor(imageSize * TRANSLATION_SHARE);
  return {
    ...arrays,
    shifts: { shape: [2, batchSize], data: stream.integers(2 * batchSize, 2 * reach + 1).map((shift) => shift - reach) },
    penaltyNoise: normal(imageShape),
    adversarialShare: scalar((step + 1) / (step + 2)),
    criticLearningRate: scalar(4e-4 * (1 + step / 1000)),
    criticStepCount: scalar(step + 1),
  };
}
