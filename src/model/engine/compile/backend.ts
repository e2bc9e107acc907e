import { tf } from "../tf";

/** One attribute of a TensorFlow operation, as the binding takes it. */
export interface OperationAttribute {
  name: string;
  type: number;
  value: unknown;
}

/** What the binding tells of a tensor that an operation made. */
export interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

/** The part of the native binding that recording and running a program needs. */
export interface Binding {
  createTensor(shape: number[], dtype: number, values: ArrayBufferView | Uint8Array[]): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array;
  executeOp(name: string, attributes: OperationAttribute[], inputIds: number[], outputCount: number): TensorMetadata[];
  loadSavedModel(directory: string, tags: string): number;
  deleteSavedModel(id: number): void;
  runSavedModel(id: number, inputIds: number[], inputNames: string, outputNames: string): TensorMetadata[];
}

/** What the backend knows of one piece of data; `values` are those not yet handed to TensorFlow. */
export interface TensorRecord {
  shape: number[];
  dtype: number;
  values: unknown;
  id: number;
  refCount: number;
}

type DataId = tf.Tensor["dataId"];

/** The native backend's internals, seen through the members that the compiler reads or wraps. */
export interface NativeBackend {
  binding: Binding;
  isUsingGpuDevice: boolean;
  tensorMap: { get(dataId: DataId): TensorRecord; has(dataId: DataId): boolean; set(dataId: DataId, record: TensorRecord): void };
  getInputTensorIds(tensors: { dataId: DataId }[]): number[];
  readSync(dataId: DataId): unknown;
  refCount(dataId: DataId): number;
  createOutputTensor(metadata: TensorMetadata): tf.Tensor;
}

/** The running native backend, or undefined when another engine runs. */
export function nativeBackend(): NativeBackend | undefined {
  return tf.getBackend() === "tensorflow" ? (tf.backend() as unknown as NativeBackend) : undefined;
}

/** TensorFlow's numbers for the element types that tfjs has (tensorflow/core/framework/types.proto). */
export const DTYPE_NUMBERS: Record<string, number> = { float32: 1, int32: 3, bool: 10, complex64: 8, string: 7 };

/**
 * The id by which TensorFlow knows a tensor's data; data that is still waiting in JavaScript is handed over first.
 * @param backend the native backend
 * @param tensor any tensor, not disposed
 */
export function tensorIdOf(backend: NativeBackend, tensor: { dataId: DataId }): number {
  return backend.getInputTensorIds([tensor])[0];
}
