import { callWithProgress } from "./compiled-progress";
import { compile, type Compiled } from "./engine/compile";
import { sideBySide } from "./engine/side-by-side";
import { tf } from "./engine/tf";
import { storedWeights, type WeightPrecision } from "./float16";
import { network, parameterShapes, type NetworkConfig } from "./network";
import type { ProgressListener } from "./progress";
import { float32Values, readSafetensors, writeSafetensors } from "./safetensors";

/** A trained network, ready to sample: its shapes, its (averaged) weights and what they were trained on. */
export interface Model {
  network: NetworkConfig;
  parameters: Record<string, tf.Tensor>;
  /** Names of the classes; label i is classNames[i]. */
  classNames: string[];
  /** Fingerprint of the encoder whose latents it decodes. */
  encoderFingerprint: string;
  /** Smallest time it was trained at: the r at which it decodes. */
  minimumTime: number;
  /** How it was made: the training's configuration, steps and seconds, and the steps of those that it went on from. */
  provenance: Record<string, unknown>;
}

const KIND = "crossflow model";

/** Name of the method that a model was trained by; CrossFlow's where none is noted. */
export function trainingMethodOf({ provenance }: Pick<Model, "provenance">): string {
  return (provenance.config as { method?: string } | undefined)?.method ?? "crossflow";
}

/** Steps of the training that made a model and of all those that it went on from, one after the other; undefined where none are noted. */
export function trainedStepsOf({ provenance: { steps, earlierSteps } }: Pick<Model, "provenance">): number | undefined {
  return typeof steps === "number" ? steps + (typeof earlierSteps === "number" ? earlierSteps : 0) : undefined;
}

/** Evaluates F(zT, r, y). @see network */
export function evaluateModel(model: Model, zT: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D): tf.Tensor4D {
  return tf.tidy(() => sideBySide((...part: [tf.Tensor4D, tf.Tensor1D, tf.Tensor1D]) => network(model.network, model.parameters, ...part), zT, r, y));
}

type Evaluator = Compiled<{ zT: tf.Tensor4D; r: tf.Tensor1D; y: tf.Tensor1D }, { images: tf.Tensor4D }>;

/** Compiled evaluations by the weights that they hold a copy of; disposeModel() frees them. */
const evaluators = new WeakMap<Model["parameters"], Evaluator>();

/** How many batch sizes an evaluator keeps programs for. */
const EVALUATED_BATCH_SIZES = 4;

/**
 * Evaluates F(zT, r, y) as evaluateModel() does, as one compiled graph from the third batch of a size on: the first two are recorded. Outputs agree to within float32 rounding.
 * @param onProgress hears when the third batch's graph is being compiled, which takes a second or more
 */
export function evaluateCompiled(model: Model, zT: tf.Tensor4D, r: tf.Tensor1D, y: tf.Tensor1D, onProgress?: ProgressListener): tf.Tensor4D {
  let evaluator = evaluators.get(model.parameters);
  if (!evaluator) {
    evaluator = compile((inputs) => ({ images: evaluateModel(model, inputs.zT, inputs.r, inputs.y) }), { name: "the sampler", maximumPrograms: EVALUATED_BATCH_SIZES });
    evaluators.set(model.parameters, evaluator);
  }
  return callWithProgress(evaluator, { zT, r, y }, "compiling the sampler", onProgress).images;
}

export interface SaveModelOptions {
  dtype: WeightPrecision;
}

export const SAVE_MODEL_DEFAULTS: SaveModelOptions = { dtype: "F32" };

/**
 * Writes a model as one safetensors file: the weights, and all else as text in its metadata.
 * @throws Error when the disk refuses; an older file of that name stays whole
 */
export async function saveModel(file: string, model: Model, options: Partial<SaveModelOptions> = {}): Promise<void> {
  const { dtype } = { ...SAVE_MODEL_DEFAULTS, ...options };
  const { parameters } = model;
  const tensors = Object.fromEntries(Object.entries(parameters).map(([name, tensor]) => [name, storedWeights(tensor.shape, tensor.dataSync() as Float32Array, dtype)]));
  await writeSafetensors(file, tensors, { kind: KIND, ...modelMetadata(model) });
}

/** All of a model but its weights, as text for a file's metadata; modelOfMetadata() reads it. */
export function modelMetadata({ network, classNames, encoderFingerprint, minimumTime, provenance }: Omit<Model, "parameters">): Record<string, string> {
  return Object.fromEntries(Object.entries({ network, classNames, encoderFingerprint, minimumTime, provenance }).map(([key, value]) => [key, JSON.stringify(value)]));
}

/** What modelMetadata() wrote. */
export function modelOfMetadata(metadata: Readonly<Record<string, string>>): Omit<Model, "parameters"> {
  return {
    network: JSON.parse(metadata.network) as NetworkConfig,
    classNames: JSON.parse(metadata.classNames) as string[],
    encoderFingerprint: JSON.parse(metadata.encoderFingerprint) as string,
    minimumTime: JSON.parse(metadata.minimumTime) as number,
    provenance: JSON.parse(metadata.provenance) as Record<string, unknown>,
  };
}

/**
 * Reads a model that saveModel() wrote.
 * @returns the model; disposeModel() frees its weights
 * @throws Error naming the file when it is missing, damaged, of another kind, or its weights do not fit its configuration
 */
export async function loadModel(file: string): Promise<Model> {
  const { tensors, metadata } = await readSafetensors(file);
  if (metadata.kind !== KIND) throw new Error(`${file} holds no CrossFlow model (its kind is "${metadata.kind ?? "not given"}"): train one with "npx crossflow train"`);
  const rest = modelOfMetadata(metadata);
  const shapes = parameterShapes(rest.network);
  assertSameParameters(file, Object.fromEntries(Object.entries(shapes).map(([name, { shape }]) => [name, shape])), Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])));
  return {
    ...rest,
    parameters: Object.fromEntries(Object.keys(shapes).map((name) => [name, tf.tensor(float32Values(tensors[name], name), tensors[name].shape)])),
  };
}

/** Frees a model's weights. */
export function disposeModel(model: Model): void {
  evaluators.get(model.parameters)?.dispose();
  evaluators.delete(model.parameters);
  tf.dispose(model.parameters);
}

/**
 * Compares the parameters of a file with those that a configuration wants.
 * @throws Error listing what is missing, what is spare and what has another shape, all at once
 */
export function assertSameParameters(file: string, wanted: Record<string, number[]>, found: Record<string, number[]>): void {
  const list = (names: string[]): string => `${names.slice(0, 4).join(", ")}${names.length > 4 ? ` and ${names.length - 4} more` : ""}`;
  const missing = Object.keys(wanted).filter((name) => !(name in found));
  const spare = Object.keys(found).filter((name) => !(name in wanted));
  const misshaped = Object.keys(wanted).filter((name) => name in found && found[name].join() !== wanted[name].join());
  const faults = [
    missing.length > 0 ? `${missing.length} missing (${list(missing)})` : "",
    spare.length > 0 ? `${spare.length} unknown (${list(spare)})` : "",
    misshaped.length > 0 ? `${misshaped.length} of another shape (${list(misshaped.map((name) => `${name}: [${found[name]}] instead of [${wanted[name]}]`))})` : "",
  ].filter(Boolean);
  if (faults.length > 0) throw new Error(`the weights in ${file} are not those of this network: ${faults.join("; ")}. Was it trained with another preset?`);
}
