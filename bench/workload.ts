import { join } from "node:path";
import { augmentationsOf, drawAugmentation } from "../src/model/augmentation";
import { networkConfig, resolveConfig, type TrainConfig } from "../src/model/config";
import { loadEncoder } from "../src/model/encoder";
import { compile, type CompileOptions } from "../src/model/engine/compile";
import type { Precision } from "../src/model/engine/precision";
import { sideBySide } from "../src/model/engine/side-by-side";
import { tf } from "../src/model/engine/tf";
import { efficientNetLiteParameters, loadEfficientNetLite } from "../src/model/features/efficientnet-lite";
import { resizeMatrix } from "../src/model/features/resize";
import { projectRoot } from "../src/model/files";
import { evaluateModel, type Model } from "../src/model/model";
import { initializeParameters, parameterShapes, type NetworkConfig } from "../src/model/network";
import { randomStream, type RandomStream } from "../src/model/random";
import { float32Values, readSafetensors } from "../src/model/safetensors";
import { sample } from "../src/model/sampler";
import { createTrainingState, disposeTrainingState, type TrainingState } from "../src/model/training-state";
import { trainingStep, type StepInputs, type TrainingStep } from "../src/model/training-step";
import { sampleTimes } from "../src/model/trajectory";

/** Which losses a step has: the pixel loss alone, or with the perceptual and the adversarial loss and the critic's own step. */
export type LossSet = "pixel" | "all";

const LOSSES: Record<LossSet, Record<string, number>> = { pixel: { pixel: 1 }, all: { pixel: 1, perceptual: 0.5, adversarial: 0.5 } };

/** Shapes between which the presets are measured. */
export const SIZES = {
  tiny: { preset: "tiny", imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8, batchSize: 64 },
  small: { preset: "small", imageSize: 32, latentSize: 8, latentChannels: 4, classes: 8, batchSize: 64 },
  B: { preset: "B", imageSize: 256, latentSize: 32, latentChannels: 4, classes: 1000, batchSize: 2 },
} as const;

export type SizeName = keyof typeof SIZES;

/** One piece of work that the engine and its peers do alike. */
export interface WorkSpec {
  /** A training step; a batch of one-step samples; a batch of latents; a square matrix product, which shows what the machine can do. */
  work: "step" | "sample" | "encode" | "matmul";
  size: SizeName;
  losses: LossSet;
  precision: Precision;
  /** In place of the size's own. */
  batchSize?: number;
  latentSize?: number;
  imageSize?: number;
  depth?: number;
  recompute?: boolean;
}

/** Images in a batch of the encoder. */
export const ENCODER_BATCH = 256;
/** Rows and columns of the matrices whose product shows the machine's peak. */
export const MATRIX_SIZE = 2048;
/** Different inputs that a job goes through in turn. */
const INPUT_SETS = 2;
const RECORDINGS = 2;

/** Numbers in the memory of JavaScript, with a shape. */
export interface HostArray {
  shape: number[];
  data: Float32Array | Int32Array;
}

type HostArrays = Record<string, HostArray>;

/** Uploads arrays; the caller disposes of the tensors. */
export function toTensors<Tensors = Record<string, tf.Tensor>>(arrays: HostArrays): Tensors {
  return Object.fromEntries(Object.entries(arrays).map(([name, { shape, data }]) => [name, tf.tensor(data, shape, data instanceof Int32Array ? "int32" : "float32")])) as Tensors;
}

/** Copies tensors' values out. */
function toArrays(tensors: Record<string, tf.Tensor>): HostArrays {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { shape: tensor.shape, data: tensor.dataSync().slice() as Float32Array }]));
}

const normal = (stream: RandomStream, shape: number[]): HostArray => ({ shape, data: stream.normal(shape.reduce((product, length) => product * length, 1)) });

/** A training step with made-up images and latents: speed does not depend on their values. */
export interface StepWorkload {
  config: TrainConfig;
  network: NetworkConfig;
  state: TrainingState;
  statics: { atEnd: number; offDiagonal: number; active: string; critic: boolean };
  /** Host arrays of a step's batch, noise, times and rates, by the names of StepInputs; the same for the same number. */
  arrays(step: number): HostArrays;
  step(options?: CompileOptions): TrainingStep;
  dispose(): void;
}

/** The configuration and the network of a piece of work. */
function shapesOf(spec: WorkSpec): { config: TrainConfig; network: NetworkConfig } {
  const own = SIZES[spec.size];
  const { imageSize = own.imageSize, latentSize = own.latentSize, batchSize = own.batchSize } = spec;
  // At the size of B, Muon's iterations would take most of a step of two images: AdamW shows what the network costs.
  const optimizer = spec.size === "B" ? "adamw" : "muon";
  const config = resolveConfig({ preset: own.preset, optimizer, imageSize, batchSize, losses: LOSSES[spec.losses], velocity: "conditional", steps: 1000, diagnosticsEvery: 0, precision: spec.precision, recompute: spec.recompute ?? false });
  const network = networkConfig(own.preset, { imageSize, latentSize, latentChannels: own.latentChannels, classes: own.classes });
  return { config, network: { ...network, depth: spec.depth ?? network.depth } };
}

/**
 * Makes the work of training at one size. The weights are moved off their starting values, so that no gate is zero and no part of the gradient vanishes.
 * @throws Error when the precision is one that trainings do not have
 */
export async function createStepWorkload(spec: WorkSpec): Promise<StepWorkload> {
  const { config, network } = shapesOf(spec);
  const state = createTrainingState(config, network);
  scatterState(state);
  const features = spec.losses === "all" ? await loadEfficientNetLite("lite0", { inputSize: config.perceptualSize }) : undefined;
  const { atEnd, offDiagonal } = sampleTimes(randomStream(0, "times"), config.batchSize, config);
  return {
    config,
    network,
    state,
    statics: { atEnd, offDiagonal, active: Object.keys(config.losses).join(), critic: spec.losses === "all" },
    arrays: (step) => stepArrays(config, network, step, spec.losses === "all"),
    step: (options) => trainingStep(config, state, { features: features && ((images) => features.features(images)) }, options),
    dispose() {
      disposeTrainingState(state);
      features?.dispose();
    },
  };
}

/** Adds noise to weights. */
function scatter(weights: tf.Variable[]): void {
  const stream = randomStream(0, "scatter");
  for (const variable of weights) tf.tidy(() => variable.assign(tf.add(variable, tf.mul(0.02, tf.tensor(stream.normal(variable.size), variable.shape)))));
}

/** Adds noise to all weights of a training and copies them to the averages. */
function scatterState({ variables: { parameters, average, critic } }: TrainingState): void {
  scatter([...Object.values(parameters), ...Object.values(critic ?? {})]);
  for (const [name, variable] of Object.entries(average)) tf.tidy(() => variable.assign(tf.add(parameters[name], 0)));
}

function stepArrays(config: TrainConfig, network: NetworkConfig, step: number, critic: boolean): HostArrays {
  const { batchSize } = config;
  const { imageSize, latentSize, latentChannels, classes } = network;
  const stream = randomStream(step, "benchmark");
  const scalar = (value: number): HostArray => ({ shape: [], data: Float32Array.of(value) });
  const latentShape = [batchSize, latentSize, latentSize, latentChannels];
  const imageShape = [batchSize, imageSize, imageSize, 3];
  const { r, t } = sampleTimes(stream, batchSize, config);
  const arrays: HostArrays = {
    x0: { shape: imageShape, data: normal(stream, imageShape).data.map(Math.tanh) },
    y: { shape: [batchSize], data: stream.integers(batchSize, classes) },
    z: normal(stream, latentShape),
    eps: normal(stream, latentShape),
    r: { shape: [batchSize], data: r },
    t: { shape: [batchSize], data: t },
    earlier: { shape: [batchSize], data: t },
    // Every rate and count differs from step to step, as in a training.
    learningRate: scalar(1e-3 * (1 + step / 1000)),
    matrixLearningRate: scalar(5e-3 * (1 + step / 1000)),
    stepCount: scalar(step + 1),
    emaDecay: scalar((1 + step) / (10 + step)),
    lossShares: { shape: [Object.keys(config.losses).length], data: Float32Array.from(Object.keys(config.losses), (name) => (name === "adversarial" ? (step + 1) / (step + 2) : 1)) },
  };
  if (!critic) return arrays;
  const augmentation = drawAugmentation(augmentationsOf(config.criticAugmentation)!, stream, batchSize, imageSize);
  const drawn = Object.fromEntries(Object.entries(augmentation).map(([name, tensor]) => [name, { shape: tensor.shape, data: tensor.dataSync() as Float32Array | Int32Array }]));
  tf.dispose(augmentation);
  return {
    ...arrays,
    ...drawn,
    penaltyNoise: normal(stream, imageShape),
    criticLearningRate: scalar(4e-4 * (1 + step / 1000)),
    criticStepCount: scalar(step + 1),
  };
}

/** Work made ready on this engine. */
export interface Job {
  /** Compiles what is compiled. */
  prepare(): void;
  /** Once operation by operation, before anything is compiled; leaves the weights as they were. */
  runEagerly(): void;
  /** Once; finished when it returns. @returns metrics of a step */
  run(): Record<string, number>;
  /** One run with each set of inputs, from where the job stands. */
  check(): { metrics: Record<string, number>[]; groups: Record<string, HostArrays> };
  /** All that a peer needs to go on from where the job stands. */
  content(): { groups: Record<string, HostArrays>; spec: object };
}

/**
 * Makes a piece of work ready.
 * @param compiled false runs operation by operation
 */
export async function createJob(spec: WorkSpec, compiled: boolean): Promise<Job> {
  if (spec.work === "step") return stepJob(spec, compiled);
  if (spec.work === "sample") return sampleJob(spec, compiled);
  if (spec.work === "encode") return encodeJob(spec, compiled);
  return matmulJob(spec);
}

async function stepJob(spec: WorkSpec, compiled: boolean): Promise<Job> {
  const workload = await createStepWorkload(spec);
  const { state, config, network, statics } = workload;
  const inputs = Array.from({ length: INPUT_SETS }, (_, step) => workload.arrays(step));
  const step = workload.step({ enabled: compiled });
  let next = 0;
  const prepare = (): void => {
    const examples = inputs.map((arrays) => toTensors<StepInputs>(arrays));
    step.prepare(examples[0], examples[1], statics);
    tf.dispose(examples);
  };
  const runEagerly = (): void => {
    const variables = Object.values(state.variables).flatMap((group) => Object.values(group));
    const before = variables.map((variable) => tf.clone(variable));
    const eager = workload.step({ enabled: false });
    const tensors = toTensors<StepInputs>(inputs[0]);
    tf.dispose([eager(tensors, statics), tensors]);
    variables.forEach((variable, index) => variable.assign(before[index]));
    tf.dispose(before);
  };
  const once = (): Record<string, number> => {
    const tensors = toTensors<StepInputs>(inputs[next++ % INPUT_SETS]);
    const outputs = step(tensors, statics);
    const metrics = Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.dataSync()[0]]));
    tf.dispose([tensors, outputs]);
    return metrics;
  };
  const weights = (): Record<string, HostArrays> => {
    const { parameters, average, critic } = state.variables;
    return { parameters: toArrays(parameters), average: toArrays(average), ...(critic && { critic: toArrays(critic) }) };
  };
  return {
    prepare,
    runEagerly,
    run: once,
    check: () => ({ metrics: inputs.map(once), groups: weights() }),
    content() {
      const { parameters, critic } = weights();
      return { groups: { parameters, ...(critic && { critic, features: featureArrays(config) }), ...inputGroups(inputs) }, spec: { ...spec, config, network, statics } };
    },
  };
}

const inputGroups = (inputs: readonly HostArrays[]): Record<string, HostArrays> => Object.fromEntries(inputs.map((arrays, index) => [`inputs ${index}`, arrays]));

/** Weights of the perceptual network, and the matrix that resizes a side of the images to its input. */
function featureArrays(config: TrainConfig): HostArrays {
  const parameters = efficientNetLiteParameters("lite0");
  const arrays = toArrays(parameters);
  tf.dispose(parameters);
  const { imageSize, perceptualSize } = config;
  return { ...arrays, resize: { shape: [perceptualSize, imageSize], data: Float32Array.from(resizeMatrix(imageSize, perceptualSize, "bicubic")) } };
}

/** A job that gives one tensor a run. */
function forwardJob(inputs: HostArrays[], groups: () => Record<string, HostArrays>, spec: object, forward: (tensors: Record<string, tf.Tensor>, arrays: HostArrays) => tf.Tensor): Job {
  let next = 0;
  const once = (arrays: HostArrays): HostArray => {
    const tensors = toTensors(arrays);
    const output = forward(tensors, arrays);
    const result = { shape: output.shape, data: output.dataSync() as Float32Array };
    tf.dispose([tensors, output]);
    return result;
  };
  return {
    prepare() {
      // A compiled function records in its first two calls.
      for (let call = 0; call < RECORDINGS; call++) once(inputs[call % inputs.length]);
    },
    runEagerly: () => void once(inputs[0]),
    run() {
      once(inputs[next++ % inputs.length]);
      return {};
    },
    check: () => ({ metrics: [], groups: { outputs: Object.fromEntries(inputs.map((arrays, index) => [String(index), once(arrays)])) } }),
    content: () => ({ groups: { ...groups(), ...inputGroups(inputs) }, spec }),
  };
}

/** Compiled: the network's evaluation under compile(); else sample(), which runs operation by operation. */
async function sampleJob(spec: WorkSpec, compiled: boolean): Promise<Job> {
  const { config, network } = shapesOf(spec);
  const parameters = initializeParameters(parameterShapes(network), randomStream(config.seed, "weights"));
  scatter(Object.values(parameters));
  const model: Model = { network, parameters, classNames: Array.from({ length: network.classes }, (_, index) => String(index)), encoderFingerprint: "", minimumTime: config.minimumTime, provenance: {} };
  const inputs = Array.from({ length: INPUT_SETS }, (_, set) => {
    const stream = randomStream(set, "benchmark");
    return { eps: normal(stream, [config.batchSize, network.latentSize, network.latentSize, network.latentChannels]), y: { shape: [config.batchSize], data: stream.integers(config.batchSize, network.classes) } };
  });
  const draw = compile(({ eps, y }: { eps: tf.Tensor4D; y: tf.Tensor1D }) => ({ images: tf.clipByValue(evaluateModel(model, eps, tf.zeros([config.batchSize]), y), -1, 1) }), { name: "the sampler" });
  const forward = (tensors: Record<string, tf.Tensor>, { y }: HostArrays): tf.Tensor => {
    const { eps } = tensors as { eps: tf.Tensor4D };
    return compiled ? draw(tensors as { eps: tf.Tensor4D; y: tf.Tensor1D }).images : sample(model, y.data, { eps, batchSize: config.batchSize });
  };
  return forwardJob(inputs, () => ({ parameters: toArrays(parameters) }), { ...spec, config, network }, forward);
}

async function encodeJob(spec: WorkSpec, compiled: boolean): Promise<Job> {
  const file = join(projectRoot(), "checkpoints", "avatars-32-encoder.safetensors");
  const encoder = await loadEncoder(file);
  const { tensors } = await readSafetensors(file);
  const encoderWeights = Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { shape: [...tensor.shape], data: float32Values(tensor, name) }]));
  const batch = spec.batchSize ?? ENCODER_BATCH;
  const inputs = Array.from({ length: INPUT_SETS }, (_, set) => {
    const images = normal(randomStream(set, "benchmark"), [batch, encoder.imageSize, encoder.imageSize, 3]);
    return { images: { ...images, data: images.data.map(Math.tanh) } };
  });
  const statistics = Object.fromEntries(Object.entries({ mean: encoder.mean, standardDeviation: encoder.standardDeviation }).map(([name, values]) => [name, { shape: [values.length], data: Float32Array.from(values) }]));
  const encode = compile(({ images }: { images: tf.Tensor4D }) => ({ latents: encoder.encode(images) }), { name: "the encoder", enabled: compiled });
  return forwardJob(inputs, () => ({ encoder: encoderWeights, statistics }), spec, (tensors) => encode(tensors as { images: tf.Tensor4D }).latents);
}

async function matmulJob(spec: WorkSpec): Promise<Job> {
  const side = spec.batchSize ?? MATRIX_SIZE;
  const inputs = [0].map((set) => ({ a: normal(randomStream(set, "a"), [side, side]), b: normal(randomStream(set, "b"), [side, side]) }));
  // One number of each part of the product is read back: the time is that of the product.
  const product = compile(({ a, b }: { a: tf.Tensor2D; b: tf.Tensor2D }) => ({ corners: sideBySide((rows: tf.Tensor2D) => tf.slice(tf.matMul(rows, b), [0, 0], [1, 1]), a) }), { name: "the product" });
  return forwardJob(inputs, () => ({}), spec, (tensors) => product(tensors as { a: tf.Tensor2D; b: tf.Tensor2D }).corners);
}
