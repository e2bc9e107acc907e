import { tf } from "../tf";
import type { Binding, NativeBackend, OperationAttribute } from "./backend";

/** Where an operation's input comes from. */
export type Source =
  | { kind: "node"; node: number; output: number }
  | { kind: "input"; name: string }
  | { kind: "variable"; index: number }
  | { kind: "captured"; index: number };

/** One recorded operation; a constant is a node without inputs whose value is kept. */
export interface RecordedNode {
  operation: string;
  attributes: OperationAttribute[];
  inputs: Source[];
  constant?: { dtype: number; shape: number[]; bytes: Uint8Array };
}

/** The operations of one call of a function, in the order in which they ran. */
export interface Recording {
  nodes: RecordedNode[];
  /** Variables that the call read or assigned. */
  variables: tf.Variable[];
  /** New value of variable i, for those that the call assigned. */
  assignments: Map<number, Source>;
  /** Tensors made before the call that are neither inputs nor variables (frozen weights, tables). */
  captured: tf.Tensor["dataId"][];
  outputs: Record<string, Source>;
}

/** A step can not be compiled; the message names the operation and says how to mend it. */
export class CompileError extends Error {
  override name = "CompileError";
}

// The shapes of these operations' results depend on the values they are given, so no graph of fixed shapes holds them.
const VALUE_DEPENDENT_SHAPES = /^(Where|Unique|UniqueV2|UniqueWithCounts|ListDiff|SetDiff1D|NonMaxSuppression.*|DenseBincount|Bincount|Sparse(Reshape|FillEmptyRows|ToDense).*|StringSplit.*|StringNGrams|RaggedTensorToTensor)$/;

const recording = new WeakSet<NativeBackend>();

/** Whether a call is being recorded now. */
export const isRecording = (backend: NativeBackend): boolean => recording.has(backend);

/**
 * Runs `call` once on the native engine and records each TensorFlow operation that it dispatches.
 * @param backend the native backend
 * @param inputs the tensors that will differ from call to call, by name
 * @param call the function to record; runs inside tf.tidy
 * @returns the recording, and what the call returned (the caller disposes of it)
 * @throws CompileError when an operation can not be part of a graph of fixed shapes, or the call reads a tensor's values
 */
export function record<Outputs extends Record<string, tf.Tensor>>(
  backend: NativeBackend,
  inputs: Record<string, tf.Tensor>,
  call: () => Outputs,
): { recording: Recording; outputs: Outputs } {
  const binding = backend.binding;
  const nodes: RecordedNode[] = [];
  const producers = new Map<number, Source>();
  const madeInside = new WeakSet<object>();
  const externalData = new Map<number, object>();

  const inputNames = new Map<object, string>(Object.entries(inputs).map(([name, tensor]) => [tensor.dataId, name]));
  if (inputNames.size < Object.keys(inputs).length) throw new CompileError("two inputs share one tensor's data: pass it once, or pass a copy");
  const registered = Object.values(tf.engine().registeredVariables);
  const variableOfData = new Map<object, tf.Variable>(registered.map((variable) => [variable.dataId, variable]));
  const dataBefore = new Map<tf.Variable, object>(registered.map((variable) => [variable, variable.dataId]));
  const variables: tf.Variable[] = [];
  const captured: object[] = [];
  const indexIn = <T>(list: T[], item: T): number => (list.includes(item) ? list.indexOf(item) : list.push(item) - 1);

  const sourceOf = (id: number): Source => {
    const known = producers.get(id);
    if (known) return known;
    const data = externalData.get(id);
    if (!data) throw new CompileError(`an operation reads tensor ${id}, which was made neither in this call nor before it`);
    const name = inputNames.get(data);
    const variable = variableOfData.get(data);
    const source: Source =
      name !== undefined
        ? { kind: "input", name }
        : variable
          ? { kind: "variable", index: indexIn(variables, variable) }
          : { kind: "captured", index: indexIn(captured, data) };
    producers.set(id, source);
    return source;
  };

  const readingFails = (): never => {
    throw new CompileError("a compiled function can not read a tensor's values (data, dataSync, array, print): return the tensor as an output and read it after the call");
  };
  const overrides: Partial<Binding> = {
    createTensor(shape: number[], dtype: number, values: ArrayBufferView | Uint8Array[]) {
      if (Array.isArray(values)) throw new CompileError("a compiled function can not hold string tensors");
      const id = binding.createTensor(shape, dtype, values);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
      producers.set(id, { kind: "node", node: nodes.length, output: 0 });
      nodes.push({ operation: "Const", attributes: [], inputs: [], constant: { dtype, shape: [...shape], bytes } });
      return id;
    },
    executeOp(operation: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number) {
      if (VALUE_DEPENDENT_SHAPES.test(operation)) {
        throw new CompileError(`${operation}: the shape of its result depends on values, so it can not be compiled; compute it outside and pass the result as an input`);
      }
      const results = binding.executeOp(operation, attributes, inputIds, outputCount);
      const node = nodes.length;
      nodes.push({ operation, attributes: attributes.map((attribute) => ({ ...attribute })), inputs: inputIds.map(sourceOf) });
      results.forEach((result, output) => producers.set(result.id, { kind: "node", node, output }));
      return results;
    },
    tensorDataSync: readingFails,
  };
  const recorder = Object.create(binding, Object.getOwnPropertyDescriptors(overrides)) as Binding;

  // Data made before the call may still wait in JavaScript. It is handed over outside the recording, since it is no constant of the call.
  const { getInputTensorIds, readSync } = backend;
  const setRecord = backend.tensorMap.set;
  backend.tensorMap.set = function (dataId, tensorRecord) {
    madeInside.add(dataId);
    return setRecord.call(this, dataId, tensorRecord);
  };
  backend.getInputTensorIds = function (tensors) {
    return tensors.flatMap((tensor) => {
      if (!tensor.dataId || madeInside.has(tensor.dataId)) return getInputTensorIds.call(backend, [tensor]);
      const current = backend.binding;
      backend.binding = binding;
      const [id] = getInputTensorIds.call(backend, [tensor]);
      backend.binding = current;
      externalData.set(id, tensor.dataId);
      return [id];
    });
  };
  // Values that still wait in JavaScript are read without the binding. A constant of the call itself may be.
  backend.readSync = function (dataId) {
    return madeInside.has(dataId) ? readSync.call(this, dataId) : readingFails();
  };
  backend.binding = recorder;
  recording.add(backend);
  let result: Outputs;
  const outputs: Record<string, Source> = {};
  const assignments = new Map<number, Source>();
  try {
    result = tf.tidy(call);
    for (const [name, tensor] of Object.entries(result)) outputs[name] = sourceOf(backend.getInputTensorIds([tensor])[0]);
    for (const variable of Object.values(tf.engine().registeredVariables)) {
      const before = dataBefore.get(variable);
      if (!before) throw new CompileError(`variable "${variable.name}" was made inside the compiled function: make it before`);
      if (before !== variable.dataId) assignments.set(indexIn(variables, variable), sourceOf(backend.getInputTensorIds([variable])[0]));
    }
  } finally {
    recording.delete(backend);
    backend.binding = binding;
    backend.getInputTensorIds = getInputTensorIds;
    backend.readSync = readSync;
    backend.tensorMap.set = setRecord;
  }
  return { recording: { nodes, variables, assignments, captured, outputs }, outputs: result };
}

/**
 * Compares two recordings of one function with different inputs. What differs between them would be frozen at its first value.
 * @throws CompileError naming the first operation that differs and the likely cause
 */
export function assertSameRecording(first: Recording, second: Recording, name: string): void {
  const fail = (what: string): never => {
    throw new CompileError(`${name} can not be compiled: ${what}`);
  };
  const where = (index: number): string => {
    const reader = first.nodes.findIndex((node) => node.inputs.some((input) => input.kind === "node" && input.node === index));
    return reader < 0 ? `operation ${index}` : `operation ${reader} (${first.nodes[reader].operation})`;
  };
  first.nodes.forEach((node, index) => {
    const other = second.nodes[index];
    if (!other || node.operation !== other.operation) {
      fail(`operation ${index} was ${node.operation} in one call and ${other?.operation ?? "missing"} in the next; the function must do the same work in every call (branch on a static argument instead)`);
    }
    if (node.constant && other.constant && (node.constant.shape.join() !== other.constant.shape.join() || Buffer.compare(node.constant.bytes, other.constant.bytes) !== 0)) {
      fail(`${where(index)} takes a constant that changed between two calls (a number, a random draw or a tensor made in the function); pass it as an input`);
    }
    if (JSON.stringify(node.attributes) !== JSON.stringify(other.attributes)) fail(`the attributes of operation ${index} (${node.operation}) changed between two calls; make what changes an input or a static argument`);
    node.inputs.forEach((input, position) => {
      const twin = other.inputs[position];
      const captured = input.kind === "captured" && twin?.kind === "captured" && first.captured[input.index] !== second.captured[twin.index];
      if (captured) fail(`operation ${index} (${node.operation}), input ${position}, reads a tensor from outside the function that was another one in the next call; pass it as an input`);
      if (JSON.stringify(input) !== JSON.stringify(twin)) fail(`operation ${index} (${node.operation}), input ${position}, was read from another place in the next call; pass what changes as an input`);
    });
  });
  if (second.nodes.length !== first.nodes.length) fail(`one call ran ${first.nodes.length} operations and the next ${second.nodes.length}; the function must do the same work in every call`);
  if (first.variables.some((variable, index) => variable !== second.variables[index])) fail("the two calls used different variables");
}
