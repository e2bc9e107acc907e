import fs from "node:fs";
import { tf } from "../tf";
import { nativeBackend, tensorIdOf, type NativeBackend } from "./backend";
import { writeGraph, type ValueType } from "./graph";
import { fuseElementwise } from "./fuse";
import type { Recording, Source } from "./record";

type DataId = tf.Tensor["dataId"];

/** A recorded function as one TensorFlow graph in a session of its own; its variables live in the session between calls. */
export interface Program {
  /** Runs the graph once. @returns the outputs by name, which the caller disposes of */
  run(inputs: Record<string, tf.Tensor>): Record<string, tf.Tensor>;
  /** Brings the session's newer values back to the variables and frees the session. */
  dispose(): void;
  operations: number;
  stateBytes: number;
}

/** Data whose newest value lies in a program's session; reading it anywhere fetches it first. */
const newerInSession = new WeakMap<DataId, { fetch: () => void }>();
/** How often each piece of data was overwritten by a program: tells another program that its copy is old. */
const versionOfData = new WeakMap<DataId, number>();
const watched = new WeakSet<NativeBackend>();

/** Lets every eager read of a variable see the value that a program left in its session. */
function watchReads(backend: NativeBackend): void {
  if (watched.has(backend)) return;
  watched.add(backend);
  const { getInputTensorIds, readSync } = backend;
  backend.getInputTensorIds = function (tensors) {
    for (const tensor of tensors) if (tensor.dataId) newerInSession.get(tensor.dataId)?.fetch();
    return getInputTensorIds.call(this, tensors);
  };
  backend.readSync = function (dataId) {
    newerInSession.get(dataId)?.fetch();
    return readSync.call(this, dataId);
  };
}

/** Gives a variable data of its own when a clone shares it, since a program overwrites data in place. */
function unshare(backend: NativeBackend, variable: tf.Variable): void {
  if (backend.refCount(variable.dataId) <= 1) return;
  tf.tidy(() => {
    const zeros = tf.zerosLike(variable);
    variable.assign(variable.dtype === "bool" ? tf.logicalOr(variable, zeros) : tf.add(variable, zeros));
  });
}

/**
 * Loads a recording as a program.
 * @param recording what record() returned
 * @param inputs tensors of the shapes and types that the program will be given
 * @param outputs tensors of the shapes and types that it will return
 * @param fuse join elementwise operations
 */
export function loadProgram(recording: Recording, inputs: Record<string, tf.Tensor>, outputs: Record<string, tf.Tensor>, fuse: boolean): Program {
  const backend = nativeBackend()!;
  watchReads(backend);
  const typeOf = (dataId: DataId): ValueType => {
    const { shape, dtype } = backend.tensorMap.get(dataId);
    return { shape, dtype };
  };
  const typesOf = (tensors: Record<string, tf.Tensor>): Record<string, ValueType> =>
    Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, { ...typeOf(tensor.dataId), shape: tensor.shape }]));
  const { variables, captured } = recording;
  const states = [...variables.map((variable) => ({ ...typeOf(variable.dataId), shape: variable.shape })), ...captured.map(typeOf)];
  const inputTypes = typesOf(inputs);
  const shapeOf = (source: Source): readonly number[] => (source.kind === "input" ? inputTypes[source.name].shape : states[source.kind === "variable" ? source.index : variables.length + (source as { index: number }).index].shape);
  const written = fuse ? fuseElementwise(recording, shapeOf) : recording;
  const { directory, names } = writeGraph(written, inputTypes, typesOf(outputs), states);
  let session: number;
  try {
    session = backend.binding.loadSavedModel(directory, "serve");
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }

  const feedNames = Object.values(names.inputs).join();
  const outputNames = Object.keys(recording.outputs);
  const fetchNames = ["", ...outputNames].map((name) => names.outputs[name]).join();
  const assigned = [...recording.assignments.keys()].map((index) => variables[index]);
  const seen: { data?: DataId; version?: number }[] = variables.map(() => ({}));
  let capturedWritten = captured.length === 0;
  let disposed = false;

  const execute = (inputIds: number[], feeds: string, fetches: string) => backend.binding.runSavedModel(session, inputIds, feeds, fetches);

  const write = (): void => {
    const current = variables.every((variable, index) => seen[index].data === variable.dataId && seen[index].version === versionOfData.get(variable.dataId));
    if (current && capturedWritten) return;
    fetchNewer();
    const ids = [...variables.map((variable) => tensorIdOf(backend, variable)), ...captured.map((dataId) => tensorIdOf(backend, { dataId }))];
    for (const { id } of execute(ids, names.states.map(({ feed }) => feed).join(), names.write)) backend.binding.deleteTensor(id);
    capturedWritten = true;
    variables.forEach((variable, index) => (seen[index] = { data: variable.dataId, version: versionOfData.get(variable.dataId) }));
  };

  const freeStale = (dataId: DataId): void => {
    const tensorRecord = backend.tensorMap.get(dataId);
    if (tensorRecord.id >= 0) backend.binding.deleteTensor(tensorRecord.id);
    tensorRecord.id = -1;
    tensorRecord.values = null;
  };

  const dirty = new Set<tf.Variable>();
  const owner = { fetch: fetchNewer };
  function fetchNewer(): void {
    const stale = [...dirty].filter((variable) => newerInSession.get(variable.dataId) === owner);
    dirty.clear();
    if (stale.length === 0) return;
    const reads = stale.map((variable) => names.states[variables.indexOf(variable)].read);
    execute([], "", reads.join()).forEach(({ id }, index) => {
      newerInSession.delete(stale[index].dataId);
      backend.tensorMap.get(stale[index].dataId).id = id;
    });
  }

  return {
    operations: written.nodes.length,
    stateBytes: states.reduce((sum, { shape, dtype }) => sum + shape.reduce((product, size) => product * size, 1) * (dtype === 10 ? 1 : 4), 0),
    run(tensors) {
      if (disposed) throw new Error("this compiled program was disposed of: compile the function again");
      for (const variable of assigned) unshare(backend, variable);
      write();
      const ids = Object.keys(names.inputs).map((name) => tensorIdOf(backend, tensors[name]));
      const [done, ...results] = execute(ids, feedNames, fetchNames);
      backend.binding.deleteTensor(done.id);
      for (const [index] of recording.assignments) {
        const { dataId } = variables[index];
        const version = (versionOfData.get(dataId) ?? 0) + 1;
        versionOfData.set(dataId, version);
        seen[index] = { data: dataId, version };
        newerInSession.set(dataId, owner);
        freeStale(dataId);
        dirty.add(variables[index]);
      }
      return Object.fromEntries(results.map((metadata, index) => [outputNames[index], backend.createOutputTensor(metadata)]));
    },
    dispose() {
      if (disposed) return;
      fetchNewer();
      disposed = true;
      backend.binding.deleteSavedModel(session);
    },
  };
}
