import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { projectRoot } from "../src/model/files";
import {
  decodeSafetensors,
  encodeSafetensors,
  float32FromBfloat16,
  float32FromFloat16,
  float32FromFloat8,
  float32Values,
  openSafetensors,
  openShardedSafetensors,
  readSafetensors,
  readSafetensorsHeader,
  writeSafetensors,
  type SafetensorsTensor,
} from "../src/model/safetensors";

const golden = join(projectRoot(), "test/golden/safetensors");
const allDtypes = join(golden, "all-dtypes.safetensors");
const folder = mkdtempSync(join(tmpdir(), "crossflow-safetensors-"));
after(() => rmSync(folder, { recursive: true, force: true }));

interface Expected {
  tensors: Record<string, { shape: number[]; values: (number | string)[] }>;
  "sha256 of all float16 but NaN, widened": string;
  "sha256 of all bfloat16 but NaN, widened": string;
  "all 8-bit floats, widened": Record<"F8_E8M0" | "F8_E4M3" | "F8_E5M2", (number | null)[]>;
}
const expected: Expected = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8"));

/** A file of the given header and data bytes, right or wrong. */
function fileOf(header: unknown, dataBytes = 0): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
}

const entry = (begin: number, end: number, shape: unknown = [end - begin], dtype: unknown = "U8"): object => ({ dtype, shape, data_offsets: [begin, end] });

describe("files of the Python library", () => {
  it("are read with every dtype, shape and value", async () => {
    const { tensors, metadata } = await readSafetensors(allDtypes);
    assert.deepEqual(Object.keys(tensors).sort(), Object.keys(expected.tensors).sort());
    for (const [name, { shape, values }] of Object.entries(expected.tensors)) {
      const tensor = tensors[name];
      assert.deepEqual(tensor.shape, shape, name);
      const isFloat = tensor.dtype !== "F64" && /^(B?F)\d/.test(tensor.dtype);
      const read = isFloat
        ? Array.from(float32Values(tensor))
        : tensor.dtype === "BOOL"
          ? Array.from(tensor.data, (value) => (value ? "True" : "False"))
          : Array.from<number | bigint>(tensor.data as Uint8Array).map(String);
      // float64 is compared as a number: Python and JavaScript print exponents differently.
      assert.deepEqual(tensor.dtype === "F64" ? read.map(Number) : read, tensor.dtype === "F64" ? values.map(Number) : values, name);
    }
    assert.deepEqual(metadata, { "made by": "safetensors 0.8.0, é\t" });
    assert.deepEqual((await readSafetensors(join(golden, "metadata.safetensors"))).metadata, { a: "1", b: "2", "9": "é", "10": "" });
  });

  it("come out byte for byte when what was read is written", async () => {
    for (const name of ["all-dtypes.safetensors", "nothing.safetensors"]) {
      const { tensors, metadata } = await readSafetensors(join(golden, name));
      const shuffled = Object.fromEntries(Object.entries(tensors).reverse());
      const copy = join(folder, name);
      await writeSafetensors(copy, shuffled, metadata);
      assert.deepEqual(readFileSync(copy), readFileSync(join(golden, name)), name);
    }
    assert.deepEqual(readdirSync(folder).filter((name) => name.endsWith(".tmp")), []);
  });

  it("give their header alone, and single tensors", async () => {
    const header = await readSafetensorsHeader(allDtypes);
    assert.deepEqual(header.tensors["of.F16"].shape, [2, 3]);
    assert.equal(header.dataStart % 8, 0);
    const { tensors } = await readSafetensors(allDtypes, { names: ["scalar"] });
    assert.deepEqual(Object.keys(tensors), ["scalar"]);
    await assert.rejects(readSafetensors(allDtypes, { names: ["scalars"] }), /no tensor "scalars".*Nearest names: scalar\./s);
  });
});

describe("widening", () => {
  const finite = (values: Float32Array): Float32Array => values.filter((value) => !Number.isNaN(value));
  const sha256 = (values: Float32Array): string => createHash("sha256").update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)).digest("hex");
  const everyPattern = Uint16Array.from({ length: 65536 }, (_, bits) => bits);

  it("equals NumPy's on all float16 values", () => {
    const widened = float32FromFloat16(everyPattern);
    assert.equal(sha256(finite(widened)), expected["sha256 of all float16 but NaN, widened"]);
    assert.equal(widened.length - finite(widened).length, 2 * 1023, "a NaN has the top exponent and a fraction other than 0");
  });

  it("equals PyTorch's on all bfloat16 values", () => {
    const widened = float32FromBfloat16(everyPattern);
    assert.equal(sha256(finite(widened)), expected["sha256 of all bfloat16 but NaN, widened"]);
    assert.equal(widened.length - finite(widened).length, 2 * 127);
  });

  it("equals PyTorch's on all 8-bit floats", () => {
    const everyByte = Uint8Array.from({ length: 256 }, (_, bits) => bits);
    for (const [dtype, values] of Object.entries(expected["all 8-bit floats, widened"]) as ["F8_E4M3", (number | null)[]][]) {
      assert.deepEqual(Array.from(float32FromFloat8(everyByte, dtype), (value) => (Number.isFinite(value) ? value : null)), values, dtype);
    }
  });

  it("refuses whole numbers by name", () => {
    assert.throws(() => float32Values({ dtype: "I32", shape: [1], data: Int32Array.of(1) }, "steps"), /"steps" has dtype I32, expected F32, F16, BF16/);
  });
});

describe("a malformed file is refused", () => {
  const cases: [name: string, file: Uint8Array, message: RegExp][] = [
    ["empty", new Uint8Array(0), /0 bytes, expected at least 8/],
    ["shorter than its header says", fileOf("{}").subarray(0, 9), /claims 2 bytes, but only 1 follow/],
    ["header over 100 MB", new Uint8Array([0, 0, 0, 0, 1, 0, 0, 0]), /claims 4294967296 bytes, the format allows 100000000/],
    ["a web page", new TextEncoder().encode("<!DOCTYPE html><html></html>"), /begins with the text "<!DOCTYP", as a web page or a Git LFS pointer/],
    ["no JSON", fileOf("hello"), /isn't valid JSON/],
    ["no UTF-8", fileOf('{"a').fill(0xff, 9), /isn't valid JSON in UTF-8/],
    ["a list", fileOf([]), /must be a JSON object/],
    ["space before the header", fileOf(" {}"), /starts with \{/],
    ["a name twice", fileOf('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), /names "a" twice/],
    ["a dtype twice", fileOf('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), /names "dtype" twice/],
    ["metadata that isn't text", fileOf({ __metadata__: { step: 3 } }), /"step" must be a string/],
    ["metadata that is a list", fileOf({ __metadata__: [] }), /must be an object of strings/],
    ["unknown dtype", fileOf({ a: entry(0, 1, [1], "F6_E2M3") }, 1), /dtype "F6_E2M3", expected one of/],
    ["dtype that every object has", fileOf({ a: entry(0, 1, [1], "constructor") }, 1), /dtype "constructor"/],
    ["unknown entry", fileOf({ a: { ...entry(0, 1), sparse: true } }, 1), /unknown entry "sparse"/],
    ["negative side", fileOf({ a: entry(0, 1, [-1, -1]) }, 1), /shape \[-1,-1\]/],
    ["fractional side", fileOf({ a: entry(0, 1, [0.5, 2]) }, 1), /shape \[0.5,2\]/],
    ["shape that overflows", fileOf({ a: entry(0, 1, [2 ** 40, 2 ** 40]) }, 1), /needs .* bytes/],
    ["bytes that don't fit the shape", fileOf({ a: entry(0, 7, [2], "F32") }, 7), /needs 8 bytes.*hold 7/],
    ["end before begin", fileOf({ a: entry(4, 0, [1], "F32") }, 4), /needs 4 bytes/],
    ["three offsets", fileOf({ a: { dtype: "U8", shape: [1], data_offsets: [0, 1, 1] } }, 1), /expected \[begin, end\]/],
    ["overlap", fileOf({ a: entry(0, 4), b: entry(2, 6) }, 6), /"b" begins at byte 2, expected 4: it overlaps/],
    ["gap", fileOf({ a: entry(0, 4), b: entry(6, 8) }, 8), /"b" begins at byte 6, expected 4: it leaves a gap/],
    ["beyond the file", fileOf({ a: entry(0, 4) }, 3), /cut off/],
    ["bytes that no tensor owns", fileOf({ a: entry(0, 4) }, 5), /too long/],
  ];
  for (const [name, file, message] of cases) {
    it(name, async () => {
      assert.throws(() => decodeSafetensors(file, "weights.safetensors"), (error: Error) => error.message.startsWith("weights.safetensors") && message.test(error.message));
      const path = join(folder, "malformed.safetensors");
      writeFileSync(path, file);
      await assert.rejects(readSafetensors(path), message);
      await assert.rejects(readSafetensorsHeader(path), message);
    });
  }

  it("a missing file and a folder", async () => {
    await assert.rejects(readSafetensors(join(folder, "nowhere.safetensors")), /There is no file .*nowhere/);
    await assert.rejects(readSafetensors(folder), /isn't a file/);
  });

  it("a name such as __proto__ is a name and nothing more", () => {
    const { tensors } = decodeSafetensors(fileOf('{"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'));
    assert.deepEqual(Object.keys(tensors), ["__proto__"]);
    assert.equal(Object.getPrototypeOf(tensors), Object.prototype);
  });
});

describe("writing", () => {
  it("refuses what doesn't fit together", () => {
    const wrongLength: SafetensorsTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1) };
    assert.throws(() => encodeSafetensors({ w: wrongLength }), /"w" has shape \[2\] but 1 values/);
    const mislabelled = { dtype: "F32", shape: [1], data: Int32Array.of(1) } as unknown as SafetensorsTensor;
    assert.throws(() => encodeSafetensors({ w: mislabelled }), /dtype F32 needs a Float32Array, got a Int32Array/);
    assert.throws(() => encodeSafetensors({ __metadata__: { dtype: "U8", shape: [0], data: new Uint8Array() } }), /reserved/);
  });

  it("takes a view's own part of a larger buffer", async () => {
    const path = join(folder, "view.safetensors");
    const view = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
    await writeSafetensors(path, { view: { dtype: "F32", shape: [2], data: view } });
    assert.deepEqual(Array.from(float32Values((await readSafetensors(path)).tensors.view)), [2, 3]);
  });

  it("that fails leaves the file that was there", async () => {
    const path = join(folder, "kept.safetensors");
    await writeSafetensors(path, { a: { dtype: "U8", shape: [1], data: Uint8Array.of(5) } });
    await assert.rejects(writeSafetensors(path, { a: { dtype: "U8", shape: [9], data: Uint8Array.of(6) } }));
    assert.deepEqual([...(await readSafetensors(path)).tensors.a.data], [5]);
  });
});

describe("a checkpoint in several files", () => {
  const place = join(folder, "sharded");
  const index = join(place, "model.safetensors.index.json");
  const writeIndex = (weightMap: unknown): void => writeFileSync(index, JSON.stringify({ metadata: { total_size: 12 }, weight_map: weightMap }));
  const vector = (...values: number[]): SafetensorsTensor => ({ dtype: "F32", shape: [values.length], data: Float32Array.from(values) });
  const whole = { a: "model-1.safetensors", b: "model-2.safetensors", c: "model-2.safetensors" };

  it("reads each tensor from the file that holds it, and closes all", async () => {
    mkdirSync(place, { recursive: true });
    await writeSafetensors(join(place, "model-1.safetensors"), { a: vector(1) });
    await writeSafetensors(join(place, "model-2.safetensors"), { b: vector(2, 3), c: vector(4) }, { made: "here" });
    writeIndex(whole);
    const opened = await openShardedSafetensors(index);
    assert.deepEqual(Object.keys(opened.tensors), ["a", "b", "c"]);
    assert.deepEqual(opened.metadata, { made: "here" });
    assert.deepEqual((await opened.read("b")).data, Float32Array.of(2, 3));
    assert.deepEqual((await opened.read("a")).data, Float32Array.of(1));
    await assert.rejects(opened.read("d"), /no tensor "d"/);
    await opened.close();
    await assert.rejects(opened.read("a"), /closed|EBADF/);
  });

  it("refuses an index that leaves the folder, lies or is no index", async () => {
    const cases: [unknown, RegExp][] = [
      [{ a: "../model-1.safetensors" }, /expected the name of a \.safetensors file in the same folder/],
      [{ a: "/etc/passwd" }, /expected the name of a \.safetensors file/],
      [{ a: 7 }, /lies in 7/],
      [["a"], /expected an object with "weight_map"/],
      [{ ...whole, d: "model-1.safetensors" }, /says that model-1\.safetensors holds "d", but it doesn't/],
      [{ a: "model-1.safetensors", b: "model-2.safetensors" }, /model-2\.safetensors holds "c", which .* doesn't list/],
      [{ a: "model-3.safetensors" }, /There is no file .*model-3/],
    ];
    for (const [map, message] of cases) {
      writeIndex(map);
      await assert.rejects(openShardedSafetensors(index), message);
    }
    writeFileSync(index, "[");
    await assert.rejects(openShardedSafetensors(index), /can't be read as a safetensors index/);
  });

  it("an open file reads only what is asked for", async () => {
    const opened = await openSafetensors(join(place, "model-2.safetensors"));
    // Bytes that change after opening are seen when they are read: none were kept.
    await writeInPlace(join(place, "model-2.safetensors"), Float32Array.of(9));
    assert.deepEqual((await opened.read("c")).data, Float32Array.of(9));
    await opened.close();
  });
});

/** Overwrites a file's last numbers. */
async function writeInPlace(path: string, values: Float32Array): Promise<void> {
  const file = await open(path, "r+");
  await file.write(new Uint8Array(values.buffer), 0, values.byteLength, statSync(path).size - values.byteLength);
  await file.close();
}
