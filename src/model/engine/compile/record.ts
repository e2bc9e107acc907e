import { tf } from "../tf";
import { nativeBackend, type Binding, type NativeBackend, type OperationAttribute, type TensorMetadata } from "./backend";
import { isRecording, setRecording } from "./recording";
import type { AbstractTensor, Trials } from "./trial";

/** Where an operation's input comes from. */
export type Source =
  | { kind: "node"; node: number; output: number }
  | { kind: "input"; name: string }
  | { kind: "variable"; index: number }
  | { kind: "captured"; index: number };

/** One recorded operation; a constant is a node without inputs whose value is kept. */
export interface RecordedNode {
  operation: string;
  /** Its number in the graph, where that is not its place in the recording. */
  name?: number;
  attributes: OperationAttribute[];
  inputs: Source[];
  results: { shape: number[]; dtype: number }[];
  /** What must have been computed before this runs, without being read. */
  after?: Source[];
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

const resultOf = ({ shape, dtype }: TensorMetadata): RecordedNode["results"][number] => ({ shape: [...shape], dtype });

const INT32 = 3; // TensorFlow's number of the element type
const TYPE_ATTRIBUTE = 4; // and of an attribute that is one

/** Attributes that TensorFlow finds out by itself when an operation runs alone, and that a graph must name: the type of an input. */
const UNNAMED_TYPES: Record<string, Record<string, number>> = { ExpandDims: { T: 0, Tdim: 1 } };

// The shapes of these operations' results depend on the values they are given, so no graph of fixed shapes holds them.
const VALUE_DEPENDENT_SHAPES = /^(Where|Unique|UniqueV2|UniqueWithCounts|ListDiff|SetDiff1D|NonMaxSuppression.*|DenseBincount|Bincount|Sparse(Reshape|FillEmptyRows|ToDense).*|StringSplit.*|StringNGrams|RaggedTensorToTensor)$/;

/** Ids of tensors of which only shape and type are known: below all that the backend uses, so that it deletes none of them. */
let nextAbstractId = -2;

/** The binding during a recording. */
interface RecordingBinding extends Binding {
  after(id: number, dtype: number, gateId: number): TensorMetadata;
}

/**
 * Runs `call` once on the native engine and records each TensorFlow operation that it dispatches.
 * @param backend the native backend
 * @param inputs the tensors that will differ from call to call, by name
 * @param call the function to record; runs inside tf.tidy
 * @param trials where they are given, nothing is computed: results have a shape and a type, and no values. What the call returns, and the variables that it
 *   assigned, can not be read then
 * @returns the recording, and what the call returned (the caller disposes of it)
 * @throws CompileError when an operation can not be part of a graph of fixed shapes, or the call reads a tensor's values
 */
export function record<Outputs extends Record<string, tf.Tensor>>(
  backend: NativeBackend,
  inputs: Record<string, tf.Tensor>,
  call: () => Outputs,
  trials?: Trials,
): { recording: Recording; outputs: Outputs } {
  const binding = backend.binding;
  const nodes: RecordedNode[] = [];
  const producers = new Map<number, Source>();
  const madeInside = new WeakSet<object>();
  const externalData = new Map<number, object>();
  const types = new Map<number, AbstractTensor>();

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
  const typeOf = (id: number): AbstractTensor => {
    const known = types.get(id);
    if (known) return known;
    const data = externalData.get(id);
    if (!data) throw new CompileError(`an operation reads tensor ${id}, which was made neither in this call nor before it`);
    const { shape, dtype } = backend.tensorMap.get(data);
    return { shape, dtype };
  };
  const execute = (operation: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number): TensorMetadata[] => {
    if (!trials) {
      const results = binding.executeOp(operation, attributes, inputIds, outputCount);
      for (const { id, shape, dtype } of results) types.set(id, { shape, dtype });
      return results;
    }
    const inputs = inputIds.map(typeOf);
    // Whole numbers that come of constants alone may be sizes or axes, which decide shapes: they are computed.
    if (inputs.length > 0 && inputs.every(({ constant, dtype }) => constant && dtype === INT32)) {
      const results = binding.executeOp(operation, attributes, inputIds, outputCount);
      for (const { id, shape, dtype } of results) types.set(id, { shape, dtype, ...(dtype === INT32 && { constant: { id, bytes: new Uint8Array((binding.tensorDataSync(id) as Int32Array).slice().buffer) } }) });
      return results;
    }
    return trials.resultsOf(operation, attributes, inputs, outputCount).map(({ shape, dtype }) => {
      const id = nextAbstractId--;
      types.set(id, { shape, dtype });
      return { id, shape: [...shape], dtype };
    });
  };
  const overrides: Partial<RecordingBinding> = {
    createTensor(shape: number[], dtype: number, values: ArrayBufferView | Uint8Array[]) {
      if (Array.isArray(values)) throw new CompileError("a compiled function can not hold string tensors");
      const id = binding.createTensor(shape, dtype, values);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
      producers.set(id, { kind: "node", node: nodes.length, output: 0 });
      nodes.push({ operation: "Const", attributes: [], inputs: [], results: [{ shape: [...shape], dtype }], constant: { dtype, shape: [...shape], bytes } });
      types.set(id, { dtype, shape: [...shape], constant: { id, bytes } });
      return id;
    },
    executeOp(operation: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number) {
      if (VALUE_DEPENDENT_SHAPES.test(operation)) {
        throw new CompileError(`${operation}: the shape of its result depends on values, so it can not be compiled; compute it outside and pass the result as an input`);
      }
      const results = execute(operation, attributes, inputIds, outputCount);
      const node = nodes.length;
      const unnamed = Object.entries(UNNAMED_TYPES[operation] ?? {}).filter(([name]) => !attributes.some((attribute) => attribute.name === name));
      const found = unnamed.map(([name, input]): OperationAttribute => ({ name, type: TYPE_ATTRIBUTE, value: typeOf(inputIds[input]).dtype }));
      nodes.push({ operation, attributes: [...attributes.map((attribute) => ({ ...attribute })), ...found], inputs: inputIds.map(sourceOf), results: results.map(resultOf) });
      results.forEach((result, output) => producers.set(result.id, { kind: "node", node, output }));
      return results;
    },
    after(id: number, dtype: number, gateId: number) {
      const attributes = [{ name: "T", type: TYPE_ATTRIBUTE, value: dtype }];
      const [result] = execute("Identity", attributes, [id], 1);
      producers.set(result.id, { kind: "node", node: nodes.length, output: 0 });
      nodes.push({ operation: "Identity", attributes, inputs: [sourceOf(id)], results: [resultOf(result)], after: [sourceOf(gateId)] });
      return result;
    },
    deleteTensor(id: number) {
      if (id >= 0) binding.deleteTensor(id);
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
  setRecording(backend, true);
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
    setRecording(backend, false);
    backend.binding = binding;
    backend.getInputTensorIds = getInputTensorIds;
    backend.readSync = readSync;
    backend.tensorMap.set = setRecord;
  }
  return { recording: { nodes, variables, assignments, captured, outputs }, outputs: result };
}

/**
 * The tensor itself, with the demand that in a compiled function nothing which reads the result runs before the gate is there. TensorFlow computes
 * whatever can be computed, and what is computed twice of the same tensors only once: so it is where values shall be computed again, late.
 * @param gate any tensor; its values do not matter
 */
export function after<T extends tf.Tensor>(tensor: T, gate: tf.Tensor): T {
  const backend = nativeBackend();
  if (!backend || !isRecording(backend)) return tf.clone(tensor);
  const [id, gateId] = backend.getInputTensorIds([tensor, gate]);
  const metadata = (backend.binding as RecordingBinding).after(id, backend.tensorMap.get(tensor.dataId).dtype, gateId);
  return backend.createOutputTensor(metadata) as T;
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
    if (JSON.stringify(node.after) !== JSON.stringify(other.after)) fail(`operation ${index} (${node.operation}) waited for another tensor in the next call`);
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
