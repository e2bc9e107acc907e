import fs from "node:fs";
import { float32FromBfloat16, float32FromFloat16 } from "../safetensors-format";
import { PickleDictionary, PickleGlobal, PickleObject, PickleTuple, PickleValue, readPickle, type PickleOptions } from "./pickle";
import { readStoredZip, startsLikeZip } from "./zip";

/** One tensor of a PyTorch file, in row-major order. Half-precision values come as float32. */
export interface CheckpointTensor {
  shape: number[];
  data: CheckpointData;
}

export type CheckpointData = Float32Array | Float64Array | BigInt64Array | Int32Array | Int16Array | Int8Array | Uint8Array;

/** The magic number at the head of PyTorch's older (not zip) format. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_VERSION = 1001;

interface StorageType {
  bytes: number;
  /** Little-endian bytes, aligned on a copy of their own -> values. */
  decode: (buffer: ArrayBuffer) => CheckpointData;
}

const STORAGE_TYPES: Record<string, StorageType> = {
  "torch FloatStorage": { bytes: 4, decode: (buffer) => new Float32Array(buffer) },
  "torch DoubleStorage": { bytes: 8, decode: (buffer) => new Float64Array(buffer) },
  "torch HalfStorage": { bytes: 2, decode: (buffer) => float32FromFloat16(new Uint16Array(buffer)) },
  "torch BFloat16Storage": { bytes: 2, decode: (buffer) => float32FromBfloat16(new Uint16Array(buffer)) },
  "torch LongStorage": { bytes: 8, decode: (buffer) => new BigInt64Array(buffer) },
  "torch IntStorage": { bytes: 4, decode: (buffer) => new Int32Array(buffer) },
  "torch ShortStorage": { bytes: 2, decode: (buffer) => new Int16Array(buffer) },
  "torch CharStorage": { bytes: 1, decode: (buffer) => new Int8Array(buffer) },
  "torch ByteStorage": { bytes: 1, decode: (buffer) => new Uint8Array(buffer) },
  "torch BoolStorage": { bytes: 1, decode: (buffer) => new Uint8Array(buffer) },
};

/** A block of numbers that tensors are views of; its bytes lie elsewhere in the file. */
class Storage extends PickleObject {
  constructor(readonly key: string, readonly type: StorageType, readonly count: number) {
    super();
  }
}

/** A strided view of a storage. */
class TensorView extends PickleObject {
  constructor(readonly storage: Storage, readonly offset: number, readonly shape: number[], readonly strides: number[]) {
    super();
  }
}

/**
 * Read the tensors of a PyTorch file (`torch.save` of a state dictionary), in the zip format or the older one.
 * Nothing in the file is executed: see `readPickle`. Nested dictionaries are joined with dots
 * (`state_dict.conv.weight`); numbers and strings beside the tensors are left out.
 * @param options.maxBytes the largest file that is read, in bytes
 * @throws when the file is too large, damaged, or holds anything but plain tensors
 */
export function readPytorchCheckpoint(path: string, options: { maxBytes?: number } = {}): Record<string, CheckpointTensor> {
  const { maxBytes = 2 ** 31 - 1 } = options;
  const { size } = fs.statSync(path);
  if (size > maxBytes) throw new Error(`${path}: ${size} bytes, above the limit of ${maxBytes}; pass a larger maxBytes if the file is what you expect.`);
  const bytes = fs.readFileSync(path);
  const { root, storageBytes } = startsLikeZip(bytes) ? readZipFormat(path, bytes) : readLegacyFormat(path, bytes);

  const tensors: Record<string, CheckpointTensor> = {};
  const collect = (value: PickleValue, name: string): void => {
    if (value instanceof TensorView) {
      tensors[name] = materialise(path, name, value, storageBytes(value.storage));
    } else if (value instanceof PickleDictionary) {
      for (const [key, item] of value.entries) collect(item, name === "" ? String(key) : `${name}.${String(key)}`);
    }
  };
  collect(root, "");
  if (Object.keys(tensors).length === 0) throw new Error(`${path}: no tensors by name; expected a file that torch.save made of a state dictionary.`);
  return tensors;
}

interface RawCheckpoint {
  root: PickleValue;
  storageBytes: (storage: Storage) => Buffer;
}

function readZipFormat(path: string, bytes: Buffer): RawCheckpoint {
  const entries = readStoredZip(path, bytes);
  const pickleName = [...entries.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickleName === undefined) throw new Error(`${path}: a zip file without ARCHIVE/data.pkl; expected a file that torch.save made.`);
  const folder = pickleName.slice(0, -"data.pkl".length);
  const byteOrder = entries.get(`${folder}byteorder`);
  if (byteOrder && byteOrder.toString("utf8") !== "little") throw new Error(`${path}: big-endian tensors; save the file again on a little-endian machine.`);
  const { value } = readPickle(entries.get(pickleName) ?? Buffer.alloc(0), 0, tensorPickle(path));
  return {
    root: value,
    storageBytes: (storage) => {
      const data = entries.get(`${folder}data/${storage.key}`);
      if (!data || data.length !== storage.count * storage.type.bytes) {
        throw new Error(`${path}: storage ${storage.key} has ${data?.length ?? 0} bytes, expected ${storage.count * storage.type.bytes}; fetch the file again.`);
      }
      return data;
    },
  };
}

/** The older format: five pickles (magic, version, machine, the object, the storages' keys), then each storage as its count (int64) and its numbers. */
function readLegacyFormat(path: string, bytes: Buffer): RawCheckpoint {
  const plain = { ...tensorPickle(path), callables: {}, symbols: [] };
  if (bytes[0] !== 0x80) throw new Error(`${path}: not a PyTorch file (neither a zip nor a pickle); fetch it again.`);
  const magic = readPickle(bytes, 0, plain);
  const version = readPickle(bytes, magic.end, plain);
  if (magic.value !== LEGACY_MAGIC || version.value !== LEGACY_VERSION) throw new Error(`${path}: a pickle, but not one that torch.save made.`);
  const machine = readPickle(bytes, version.end, plain);
  if (!(machine.value instanceof PickleDictionary) || machine.value.entries.get("little_endian") !== true) {
    throw new Error(`${path}: big-endian tensors; save the file again on a little-endian machine.`);
  }
  const object = readPickle(bytes, machine.end, tensorPickle(path));
  const keys = readPickle(bytes, object.end, plain);
  if (!Array.isArray(keys.value)) throw new Error(`${path}: the list of storages is missing; fetch the file again.`);

  // The data of storage k starts only where that of k-1 ends, and its length in bytes needs the type that the object named.
  const types = storageTypes(object.value);
  const found = new Map<string, Buffer>();
  let position = keys.end;
  for (const key of keys.value) {
    const type = types.get(String(key));
    if (!type) throw new Error(`${path}: storage ${String(key)} belongs to no tensor; fetch the file again.`);
    if (position + 8 > bytes.length) throw new Error(`${path}: the file ends before storage ${String(key)}; fetch it again.`);
    const length = Number(bytes.readBigInt64LE(position)) * type.bytes;
    position += 8;
    if (length < 0 || position + length > bytes.length) throw new Error(`${path}: the file ends inside storage ${String(key)}; fetch it again.`);
    found.set(String(key), bytes.subarray(position, position + length));
    position += length;
  }
  return {
    root: object.value,
    storageBytes: (storage) => {
      const data = found.get(storage.key);
      if (!data) throw new Error(`${path}: storage ${storage.key} is missing; fetch the file again.`);
      return data;
    },
  };
}

function storageTypes(value: PickleValue, types = new Map<string, StorageType>()): Map<string, StorageType> {
  if (value instanceof TensorView) types.set(value.storage.key, value.storage.type);
  if (value instanceof PickleDictionary) for (const item of value.entries.values()) storageTypes(item, types);
  return types;
}

/** What a tensor file may say: dictionaries, tensors by shape and stride, and references to storages. */
function tensorPickle(path: string): PickleOptions {
  const malformed = (what: string): never => {
    throw new Error(`${path}: malformed ${what}; fetch the file again.`);
  };
  const sizes = (value: PickleValue, what: string): number[] => {
    if (!(value instanceof PickleTuple)) return malformed(what);
    return value.items.map((item) => (typeof item === "number" && Number.isSafeInteger(item) && item >= 0 ? item : malformed(what)));
  };
  const tensor = ([storage, offset, shape, strides]: PickleValue[]): PickleValue => {
    if (!(storage instanceof Storage) || typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) return malformed("tensor");
    return new TensorView(storage, offset, sizes(shape, "tensor shape"), sizes(strides, "tensor strides"));
  };
  return {
    source: path,
    symbols: Object.keys(STORAGE_TYPES),
    callables: {
      "collections OrderedDict": ([pairs = []]) => orderedDictionary(pairs) ?? malformed("dictionary"),
      "torch._utils _rebuild_tensor": tensor, // before PyTorch 0.4
      "torch._utils _rebuild_tensor_v2": tensor,
      "torch._utils _rebuild_parameter": ([tensor]) => (tensor instanceof TensorView ? tensor : malformed("parameter")),
    },
    persistentLoad: (id) => {
      const [kind, type, key, , count, view] = id instanceof PickleTuple ? id.items : [];
      if (kind !== "storage" || !(type instanceof PickleGlobal) || typeof key !== "string" || typeof count !== "number" || count < 0) return malformed("storage");
      if (view !== null && view !== undefined) return malformed("storage (a view of another storage)");
      return new Storage(key, STORAGE_TYPES[type.name] ?? malformed("storage type"), count);
    },
  };
}

/** Empty, filled later; or, as Python 2 wrote it, of a list of [key, value]. Undefined for anything else. */
function orderedDictionary(pairs: PickleValue): PickleDictionary | undefined {
  const dictionary = new PickleDictionary();
  if (!Array.isArray(pairs)) return undefined;
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    dictionary.entries.set(pair[0], pair[1]);
  }
  return dictionary;
}

/** Copy a strided view into row-major order. */
function materialise(path: string, name: string, view: TensorView, storage: Buffer): CheckpointTensor {
  const { shape, strides, offset } = view;
  const available = storage.length / view.storage.type.bytes;
  const count = shape.reduce((product, size) => product * size, 1);
  const last = shape.reduce((index, size, axis) => index + (size - 1) * (strides[axis] ?? 0), offset);
  if (shape.length !== strides.length || (count > 0 && (count > available || last >= available))) {
    throw new Error(`${path}: tensor ${name} of shape [${shape}] reaches outside its storage of ${available} numbers; fetch the file again.`);
  }
  const copy = new ArrayBuffer(storage.length);
  new Uint8Array(copy).set(storage);
  const values = view.storage.type.decode(copy);
  const data = values.slice(0, count);
  const index = shape.map(() => 0);
  for (let i = 0, source = offset; i < count; i++) {
    data[i] = values[source];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      source += strides[axis];
      if (++index[axis] < shape[axis]) break;
      source -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
  return { shape, data };
}
