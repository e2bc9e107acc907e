import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { tf } from "./engine/tf";
import { storedWeights } from "./float16";
import { assertSameParameters, modelMetadata, modelOfMetadata, type Model } from "./model";
import { parameterShapes } from "./network";
import { postHocCoefficients, SNAPSHOT_SPREADS, type PowerProfile } from "./optimizer/post-hoc";
import { createProgress, type LongRunOptions } from "./progress";
import { float32Values, openSafetensors, writeSafetensors, type OpenSafetensors, type SafetensorsTensor } from "./safetensors";
import { snapshotGroup, type TrainingState } from "./training-state";

const KIND = "crossflow snapshot";

const fileOf = (folder: string, step: number): string => join(folder, `step-${String(step).padStart(8, "0")}.safetensors`);

/** Whether there is a snapshot of a step. @param folder the run's snapshots folder */
export function hasSnapshot(folder: string, step: number): boolean {
  return existsSync(fileOf(folder, step));
}

/** The steps of which there are snapshots, in order. @param folder the run's snapshots folder */
export function snapshotSteps(folder: string): number[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => /^step-(\d{8})\.safetensors$/.exec(name)?.[1] ?? []).map(Number).sort((a, b) => a - b);
}

/** Removes the snapshots of later steps, which are to be trained again. @param folder the run's snapshots folder */
export async function removeSnapshotsAfter(folder: string, step: number): Promise<void> {
  for (const later of snapshotSteps(folder).filter((one) => one > step)) await rm(fileOf(folder, later), { force: true });
}

/**
 * Writes a training's two averages of the snapshots into one safetensors file, with what a model of them needs besides.
 * @param folder the run's snapshots folder
 * @param model of the same state; its weights are not read
 * @param precision "float16" or "float32"
 * @throws Error naming the file when the disk refuses; earlier snapshots stay whole
 */
export async function saveSnapshot(folder: string, state: TrainingState, model: Omit<Model, "parameters">, precision: string): Promise<void> {
  const tensors: Record<string, SafetensorsTensor> = {};
  for (const group of SNAPSHOT_SPREADS.map(snapshotGroup)) {
    for (const [name, variable] of Object.entries(state.variables[group])) {
      tensors[`${group}/${name}`] = storedWeights(variable.shape, variable.dataSync() as Float32Array, precision === "float16" ? "F16" : "F32");
    }
  }
  await writeSafetensors(fileOf(folder, state.step), tensors, { kind: KIND, step: String(state.step), ...modelMetadata(model) });
}

export interface PostHocOptions extends LongRunOptions {
  /** Of the average: the standard deviation of its profile as a share of the steps up to `step`; above 0 and at most LARGEST_SPREAD. */
  relativeSpread: number;
  /** The step up to which weights are averaged; the last snapshot's by default. */
  step?: number;
}

/** A model of averaged weights, made after the training. */
export interface PostHocModel {
  /** disposeModel() frees it; saveModel() writes it. */
  model: Model;
  step: number;
  /** Snapshots that it was made of. */
  snapshots: number;
  /** How far the average's profile is from the wanted one, as a share of the wanted profile's norm: near 0 where snapshots are close enough. */
  profileError: number;
}

/**
 * Makes the average of a training's weights by a power profile of any relative spread, after the training, from its snapshots (Karras et al., 2024, arXiv 2312.02696, Sec. 3.2):
 *
 *     const { model } = await postHocModel(runPaths("mine").snapshots, { relativeSpread: 0.15 });
 *
 * Snapshots are read tensor by tensor.
 * @param folder the run's snapshots folder
 * @throws Error when there are no snapshots up to that step (saying how to get them), they are of different networks, or a file is damaged; RangeError when the spread is out of range
 */
export async function postHocModel(folder: string, options: PostHocOptions): Promise<PostHocModel> {
  const { relativeSpread, signal, onProgress } = options;
  const all = snapshotSteps(folder);
  if (all.length === 0) throw new Error(`there are no snapshots in ${folder}: train with snapshotEvery above 0, such as a tenth of the steps`);
  const last = all[all.length - 1];
  const { step = last } = options;
  if (!Number.isInteger(step) || step < all[0] || step > last) throw new Error(`an average up to step ${step} can not be made: the snapshots in ${folder} are of steps ${all[0]} to ${last}; choose a whole number between them`);
  const steps = all.filter((one) => one <= step);
  const stored = steps.flatMap((one) => SNAPSHOT_SPREADS.map((spread): PowerProfile => ({ step: one, spread })));
  const { coefficients, profileError } = postHocCoefficients(stored, { step, spread: relativeSpread });
  const files: OpenSafetensors[] = [];
  const parameters: Record<string, tf.Tensor> = {};
  try {
    for (const one of steps) files.push(await openSnapshot(fileOf(folder, one)));
    const rest = modelOfMetadata(files[files.length - 1].metadata);
    const shapes = Object.fromEntries(Object.entries(parameterShapes(rest.network)).map(([name, { shape }]) => [name, shape]));
    const wanted = Object.fromEntries(SNAPSHOT_SPREADS.flatMap((spread) => Object.entries(shapes).map(([name, shape]) => [`${snapshotGroup(spread)}/${name}`, shape])));
    for (const { files: [path], tensors } of files) assertSameParameters(path, wanted, Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])));
    const progress = createProgress({ label: "averaging snapshots", total: Object.keys(shapes).length, onUpdate: onProgress });
    for (const [name, shape] of Object.entries(shapes)) {
      signal?.throwIfAborted();
      // Large factors of both signs meet: their sum is taken in double precision.
      const sum = new Float64Array(shape.reduce((product, size) => product * size, 1));
      for (const [index, { spread }] of stored.entries()) {
        const key = `${snapshotGroup(spread)}/${name}`;
        const values = float32Values(await files[Math.floor(index / SNAPSHOT_SPREADS.length)].read(key), key);
        for (let at = 0; at < sum.length; at++) sum[at] += coefficients[index] * values[at];
      }
      parameters[name] = tf.tensor(Float32Array.from(sum), shape);
      progress.advance();
    }
    const average = { kind: "post-hoc", relativeSpread, step, snapshots: steps.length, profileError };
    return { model: { ...rest, parameters, provenance: { ...rest.provenance, steps: step, average } }, step, snapshots: steps.length, profileError };
  } catch (error) {
    tf.dispose(parameters);
    throw error;
  } finally {
    for (const file of files) await file.close();
  }
}

async function openSnapshot(path: string): Promise<OpenSafetensors> {
  const file = await openSafetensors(path);
  if (file.metadata.kind === KIND) return file;
  await file.close();
  throw new Error(`${path} holds no snapshot (its kind is "${file.metadata.kind ?? "not given"}"): remove it, and make the average of the others`);
}
