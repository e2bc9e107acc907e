/**
 * The safetensors format without files: header and bytes in, tensors out, and back.
 *
 * Layout of a file: 8 bytes, the header's length N as a little-endian unsigned integer; N bytes of UTF-8 JSON, padded with
 * spaces; then the tensors' bytes, little-endian, row-major, one after another without gaps. The JSON maps each tensor's
 * name to its dtype, its shape and its [begin, end) in the byte part; `__metadata__` maps strings to strings.
 *
 * Everything read here is checked before it is used, because a weights file comes from somebody else.
 */

/** How the bytes of each dtype look in JavaScript. F16, BF16 and F8 have no array of their own: see {@link float32Values}. */
export interface SafetensorsArrays {
  F64: Float64Array;
  F32: Float32Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
  I32: Int32Array;
  U32: Uint32Array;
  I16: Int16Array;
  U16: Uint16Array;
  /** A power of two, 2^(bits - 127), as block scales are. */
  F8_E8M0: Uint8Array;
  F8_E4M3: Uint8Array;
  F8_E5M2: Uint8Array;
  I8: Int8Array;
  U8: Uint8Array;
  /** One byte a value, 0 or 1. */
  BOOL: Uint8Array;
}

export type SafetensorsDtype = keyof SafetensorsArrays;

/** One tensor: `data` holds the values in row-major order, as many as the product of `shape`. */
export type SafetensorsTensor = {
  [D in SafetensorsDtype]: { dtype: D; shape: number[]; data: SafetensorsArrays[D] };
}[SafetensorsDtype];

export interface SafetensorsContent {
  tensors: Record<string, SafetensorsTensor>;
  metadata: Record<string, string>;
}

/** Where a tensor lies and what it is, without its values. */
export interface SafetensorsEntry {
  dtype: SafetensorsDtype;
  shape: number[];
  /** First byte and the byte after the last, counted from the start of the byte part. */
  dataOffsets: [number, number];
}

export interface SafetensorsHeader {
  tensors: Record<string, SafetensorsEntry>;
  metadata: Record<string, string>;
  /** Where the byte part begins in the file. */
  dataStart: number;
}

type ArrayConstructorOf<D extends SafetensorsDtype> = {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): SafetensorsArrays[D];
};

/**
 * The dtypes in the order in which the format's own library lays tensors out: widest first, so that every tensor starts at
 * a multiple of its element size.
 */
const ARRAY_OF: { readonly [D in SafetensorsDtype]: ArrayConstructorOf<D> } = {
  U64: BigUint64Array,
  I64: BigInt64Array,
  F64: Float64Array,
  F32: Float32Array,
  U32: Uint32Array,
  I32: Int32Array,
  BF16: Uint16Array,
  F16: Uint16Array,
  U16: Uint16Array,
  I16: Int16Array,
  F8_E8M0: Uint8Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

const LAYOUT_ORDER = Object.keys(ARRAY_OF) as SafetensorsDtype[];

/** Bytes before the header: its length. */
export const LENGTH_BYTES = 8;

/** The format's own limit on the header, 100 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

const METADATA_KEY = "__metadata__";

/**
 * Reads the header's length from a file's first 8 bytes.
 *
 * @param source the file's name, for the error
 * @param fileBytes the whole file's size in bytes
 * @throws Error if the length is over 100 MB or reaches beyond the file
 */
export function headerLength(start: Uint8Array, fileBytes: number, source: string): number {
  if (start.byteLength < LENGTH_BYTES) {
    throw malformed(source, `it has ${fileBytes} bytes, expected at least ${LENGTH_BYTES}: the file is cut off or no safetensors file`);
  }
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    const text = new TextDecoder("latin1").decode(start.subarray(0, LENGTH_BYTES));
    if (/^[\x20-\x7e\s]+$/.test(text)) throw malformed(source, `it begins with the text ${JSON.stringify(text)}, as a web page or a Git LFS pointer saved in its place does; download the file itself`);
    throw malformed(source, `its header claims ${length} bytes, the format allows ${MAX_HEADER_BYTES}: probably no safetensors file`);
  }
  if (Number(length) > fileBytes - LENGTH_BYTES) {
    throw malformed(source, `its header claims ${length} bytes, but only ${fileBytes - LENGTH_BYTES} follow: the file is cut off or no safetensors file`);
  }
  return Number(length);
}

/**
 * Parses and checks a header: names once each, known dtypes, shapes that fit their byte ranges, and byte ranges that cover
 * the file's byte part exactly, without overlap or gap.
 *
 * @param header the header's bytes, without the 8 bytes of its length
 * @param fileBytes the whole file's size in bytes
 * @param source the file's name, for errors
 * @throws Error naming the file, the tensor and what was expected
 */
export function parseHeader(header: Uint8Array, fileBytes: number, source: string): SafetensorsHeader {
  const json = parseJsonObject(header, source);
  const tensors: [string, SafetensorsEntry][] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(json)) {
    if (name === METADATA_KEY) metadata = checkMetadata(value, source);
    else tensors.push([name, checkEntry(name, value, source)]);
  }
  const dataStart = LENGTH_BYTES + header.byteLength;
  checkLayout(tensors, fileBytes - dataStart, source);
  return { tensors: Object.fromEntries(tensors), metadata, dataStart };
}

function parseJsonObject(header: Uint8Array, source: string): Record<string, unknown> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
    value = JSON.parse(text);
  } catch (error) {
    throw malformed(source, `its header isn't valid JSON in UTF-8 (${(error as Error).message})`);
  }
  if (!text.startsWith("{") || !isRecord(value)) throw malformed(source, "its header must be a JSON object that starts with {");
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw malformed(source, `its header names ${JSON.stringify(repeated)} twice`);
  return value;
}

/**
 * The first key that some object in a valid JSON text holds twice. JSON.parse keeps the last of them without a word, so two
 * readers could see two different files.
 */
function repeatedKey(json: string): string | undefined {
  const keysOfOpenObjects: Set<string>[] = [];
  for (const [, text, colon, bracket] of json.matchAll(/("(?:[^"\\]|\\.)*")\s*(:?)|([{}])/g)) {
    if (bracket === "{") keysOfOpenObjects.push(new Set());
    else if (bracket === "}") keysOfOpenObjects.pop();
    else if (colon) {
      const key: string = JSON.parse(text);
      const keys = keysOfOpenObjects[keysOfOpenObjects.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function checkMetadata(value: unknown, source: string): Record<string, string> {
  if (!isRecord(value)) throw malformed(source, `${METADATA_KEY} must be an object of strings`);
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw malformed(source, `${METADATA_KEY} entry ${JSON.stringify(key)} must be a string`);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, source: string): SafetensorsEntry {
  const tensor = `tensor ${JSON.stringify(name)}`;
  if (!isRecord(value)) throw malformed(source, `${tensor} must be described by an object`);
  for (const key of Object.keys(value)) {
    if (!["dtype", "shape", "data_offsets"].includes(key)) throw malformed(source, `${tensor} has an unknown entry ${JSON.stringify(key)}`);
  }
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) throw malformed(source, `${tensor} has dtype ${JSON.stringify(dtype)}, expected one of ${LAYOUT_ORDER.join(", ")}`);
  if (!isCountList(shape)) throw malformed(source, `${tensor} has shape ${JSON.stringify(shape)}, expected a list of whole numbers from 0`);
  if (!isCountList(offsets) || offsets.length !== 2) {
    throw malformed(source, `${tensor} has data_offsets ${JSON.stringify(offsets)}, expected [begin, end]`);
  }
  const [begin, end] = offsets;
  const bytes = elementCount(shape) * ARRAY_OF[dtype].BYTES_PER_ELEMENT;
  if (!Number.isSafeInteger(bytes) || end - begin !== bytes) {
    throw malformed(source, `${tensor}, ${dtype} [${shape.join(", ")}], needs ${bytes} bytes, but its data_offsets [${begin}, ${end}] hold ${end - begin}`);
  }
  return { dtype, shape, dataOffsets: [begin, end] };
}

function checkLayout(tensors: readonly [string, SafetensorsEntry][], dataBytes: number, source: string): void {
  const byPosition = [...tensors].sort(([, a], [, b]) => a.dataOffsets[0] - b.dataOffsets[0] || a.dataOffsets[1] - b.dataOffsets[1]);
  let position = 0;
  for (const [name, { dataOffsets }] of byPosition) {
    const [begin, end] = dataOffsets;
    if (begin !== position) {
      const fault = begin < position ? "overlaps the tensor before it" : "leaves a gap after the tensor before it";
      throw malformed(source, `tensor ${JSON.stringify(name)} begins at byte ${begin}, expected ${position}: it ${fault}`);
    }
    position = end;
  }
  if (position !== dataBytes) {
    throw malformed(source, `its tensors end at byte ${position}, but ${dataBytes} bytes follow the header: the file is ${position > dataBytes ? "cut off" : "too long"}`);
  }
}

/**
 * Makes one tensor of its bytes.
 *
 * @param bytes a buffer of its own, exactly as long as the tensor
 */
export function tensorFromBytes(entry: SafetensorsEntry, bytes: ArrayBuffer): SafetensorsTensor {
  return { dtype: entry.dtype, shape: entry.shape, data: new ARRAY_OF[entry.dtype](bytes) } as SafetensorsTensor;
}

/**
 * Reads a whole safetensors file that is in memory.
 *
 * @param source the file's name, for errors
 * @throws Error naming the file and what is wrong with it
 */
export function decodeSafetensors(file: Uint8Array, source = "safetensors data"): SafetensorsContent {
  const length = headerLength(file, file.byteLength, source);
  const header = parseHeader(file.subarray(LENGTH_BYTES, LENGTH_BYTES + length), file.byteLength, source);
  const tensors = Object.entries(header.tensors).map(([name, entry]): [string, SafetensorsTensor] => {
    const [begin, end] = entry.dataOffsets;
    const bytes = new Uint8Array(end - begin);
    bytes.set(file.subarray(header.dataStart + begin, header.dataStart + end));
    return [name, tensorFromBytes(entry, bytes.buffer)];
  });
  return { tensors: Object.fromEntries(tensors), metadata: header.metadata };
}

/**
 * Writes tensors as the chunks of a safetensors file, in the order of the format's own library (widest dtype first, then by
 * name; metadata by key), so that equal tensors give equal bytes. The tensors' values aren't copied.
 *
 * @throws Error if a tensor's data doesn't fit its dtype or shape
 */
export function encodeSafetensors(tensors: Readonly<Record<string, SafetensorsTensor>>, metadata: Readonly<Record<string, string>> = {}): Uint8Array[] {
  const names = Object.keys(tensors).sort(
    (a, b) => LAYOUT_ORDER.indexOf(tensors[a].dtype) - LAYOUT_ORDER.indexOf(tensors[b].dtype) || compareUtf8(a, b),
  );
  const entries: [string, string][] = [];
  const metadataKeys = Object.keys(metadata).sort(compareUtf8);
  if (metadataKeys.length > 0) entries.push([METADATA_KEY, jsonObject(metadataKeys.map((key) => [key, JSON.stringify(metadata[key])]))]);
  const chunks: Uint8Array[] = [];
  let position = 0;
  for (const name of names) {
    const tensor = tensors[name];
    checkTensor(name, tensor);
    const { buffer, byteOffset, byteLength } = tensor.data;
    entries.push([name, JSON.stringify({ dtype: tensor.dtype, shape: tensor.shape, data_offsets: [position, position + byteLength] })]);
    chunks.push(new Uint8Array(buffer, byteOffset, byteLength));
    position += byteLength;
  }
  const header = new TextEncoder().encode(jsonObject(entries));
  if (header.byteLength > MAX_HEADER_BYTES) throw new Error(`The safetensors header would take ${header.byteLength} bytes, the format allows ${MAX_HEADER_BYTES}.`);
  const start = new Uint8Array(LENGTH_BYTES + Math.ceil(header.byteLength / 8) * 8).fill(" ".charCodeAt(0));
  new DataView(start.buffer).setBigUint64(0, BigInt(start.byteLength - LENGTH_BYTES), true);
  start.set(header, LENGTH_BYTES);
  return [start, ...chunks];
}

/** A JSON object of (key, JSON text) pairs, in this order: a JavaScript object would move keys such as "7" to the front. */
function jsonObject(entries: readonly [key: string, json: string][]): string {
  return `{${entries.map(([key, json]) => `${JSON.stringify(key)}:${json}`).join(",")}}`;
}

function checkTensor(name: string, tensor: SafetensorsTensor): void {
  const label = `Tensor ${JSON.stringify(name)}`;
  if (name === METADATA_KEY) throw new Error(`${label}: this name is reserved by the safetensors format; choose another.`);
  if (!isDtype(tensor.dtype)) throw new Error(`${label} has dtype ${JSON.stringify(tensor.dtype)}, expected one of ${LAYOUT_ORDER.join(", ")}.`);
  const expected = ARRAY_OF[tensor.dtype];
  if (!(tensor.data instanceof expected)) throw new Error(`${label}: dtype ${tensor.dtype} needs a ${expected.name}, got a ${tensor.data.constructor.name}.`);
  if (!isCountList(tensor.shape) || elementCount(tensor.shape) !== tensor.data.length) {
    throw new Error(`${label} has shape [${tensor.shape.join(", ")}] but ${tensor.data.length} values.`);
  }
}

/**
 * A floating-point tensor's values as Float32Array: F32 as it is (not copied), F16, BF16 and the F8 types widened, which is exact.
 *
 * @param name the tensor's name, for the error
 * @throws Error if the dtype is another
 */
export function float32Values(tensor: SafetensorsTensor, name = "tensor"): Float32Array {
  switch (tensor.dtype) {
    case "F32":
      return tensor.data;
    case "F16":
      return float32FromFloat16(tensor.data);
    case "BF16":
      return float32FromBfloat16(tensor.data);
    case "F8_E8M0":
    case "F8_E4M3":
    case "F8_E5M2":
      return float32FromFloat8(tensor.data, tensor.dtype);
    default:
      throw new Error(`${JSON.stringify(name)} has dtype ${tensor.dtype}, expected F32, F16, BF16 or one of the F8 types.`);
  }
}

/** IEEE 754 binary16 (given as its bits) to binary32; exact. */
export function float32FromFloat16(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  const words = new Uint32Array(values.buffer);
  bits.forEach((half, index) => {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >> 10) & 0x1f;
    const fraction = half & 0x3ff;
    if (exponent === 0) {
      // Zero and subnormals: fraction * 2^-24, which binary32 holds as a normal number.
      values[index] = (sign === 0 ? fraction : -fraction) * 2 ** -24;
    } else {
      const widened = exponent === 0x1f ? 0xff : exponent - 15 + 127;
      words[index] = sign | (widened << 23) | (fraction << 13);
    }
  });
  return values;
}

/** bfloat16 (given as its bits) to binary32: the upper half of its bits; exact. */
export function float32FromBfloat16(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  const words = new Uint32Array(values.buffer);
  bits.forEach((upperHalf, index) => (words[index] = upperHalf << 16));
  return values;
}

/**
 * The 8-bit floats to binary32; exact. E5M2 is binary16's upper half; E4M3 has no infinity and one NaN (Micikevicius et al., arXiv 2209.05433);
 * E8M0 is an exponent alone (OCP Microscaling Formats 1.0).
 */
export function float32FromFloat8(bits: Uint8Array, dtype: "F8_E8M0" | "F8_E4M3" | "F8_E5M2"): Float32Array {
  if (dtype === "F8_E5M2") return float32FromFloat16(Uint16Array.from(bits, (byte) => byte << 8));
  const valueOf = dtype === "F8_E8M0" ? (byte: number): number => (byte === 0xff ? NaN : 2 ** (byte - 127)) : float8E4M3;
  const table = Float32Array.from({ length: 256 }, (_, byte) => valueOf(byte));
  return Float32Array.from(bits, (byte) => table[byte]);
}

function float8E4M3(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 3) & 0xf;
  const fraction = byte & 0x7;
  if (exponent === 0xf && fraction === 0x7) return NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -9 : (1 + fraction / 8) * 2 ** (exponent - 7));
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function isDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === "string" && Object.hasOwn(ARRAY_OF, value);
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function compareUtf8(a: string, b: string): number {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  const shared = Math.min(left.length, right.length);
  for (let index = 0; index < shared; index++) if (left[index] !== right[index]) return left[index] - right[index];
  return left.length - right.length;
}

function malformed(source: string, fault: string): Error {
  return new Error(`${source} can't be read as safetensors: ${fault}.`);
}
