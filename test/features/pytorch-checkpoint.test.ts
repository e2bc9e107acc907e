import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { readPytorchCheckpoint } from "../../src/model/features/pytorch-checkpoint";
import { projectRoot } from "../../src/model/files";

const GOLDEN = path.join(projectRoot(), "test/golden");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "checkpoint-"));
after(() => fs.rmSync(folder, { recursive: true }));

function write(name: string, bytes: Buffer): string {
  const file = path.join(folder, name);
  fs.writeFileSync(file, bytes);
  return file;
}

for (const format of ["zip", "legacy"]) {
  test(`${format} format: every dtype, strided views, nested dictionaries`, () => {
    const tensors = readPytorchCheckpoint(path.join(GOLDEN, `checkpoint-${format}.pth`));
    const base = Float32Array.from({ length: 24 }, (_, i) => i / 8);
    assert.deepEqual(tensors["state_dict.plain"], { shape: [2, 3, 4], data: base });
    assert.deepEqual(tensors["state_dict.transposed"].shape, [4, 2, 3]);
    assert.deepEqual([...tensors["state_dict.transposed"].data].slice(0, 7), [0, 4, 8, 12, 16, 20, 1].map((i) => i / 8));
    assert.deepEqual(tensors["state_dict.row"], { shape: [4], data: base.slice(20) });
    assert.deepEqual(tensors["state_dict.half"].data, Float32Array.of(1.5, -2, 2 ** -24, 65504));
    assert.ok(Math.abs(Number(tensors["state_dict.bfloat16"].data[2]) / 1e30 - 1) < 2 ** -8);
    assert.deepEqual(tensors["state_dict.double"].data, Float64Array.of(0.1, -0.2));
    assert.deepEqual(tensors["state_dict.long"].data, BigInt64Array.of(2n ** 40n, -1n));
    assert.deepEqual(tensors["state_dict.byte"].data, Uint8Array.of(0, 255));
    assert.deepEqual(tensors["state_dict.scalar"], { shape: [], data: Int32Array.of(7) });
    assert.deepEqual(tensors["state_dict.parameter"].data, Float32Array.of(2.5));
    assert.deepEqual(tensors["model.weight"], { shape: [1, 2], data: Float32Array.of(1, 2) });
    assert.equal(Object.keys(tensors).length, 12);
  });

  test(`${format} format: a file cut anywhere is one clear error`, () => {
    const whole = fs.readFileSync(path.join(GOLDEN, `checkpoint-${format}.pth`));
    for (let length = 0; length < whole.length; length += 13) {
      const file = write("cut.pth", whole.subarray(0, length));
      assert.throws(() => readPytorchCheckpoint(file), (error) => error instanceof Error && error.message.includes("cut.pth"), `cut at ${length}`);
    }
  });
}

test("a changed byte in a zip's tensor is found", () => {
  const bytes = fs.readFileSync(path.join(GOLDEN, "checkpoint-zip.pth"));
  const place = bytes.indexOf(Buffer.from(Float32Array.of(1 / 8, 2 / 8, 3 / 8).buffer));
  bytes[place] ^= 1;
  assert.throws(() => readPytorchCheckpoint(write("changed.pth", bytes)), /entry .*data.* is damaged/);
});

/** The head of an older-format file, so that what follows is read as the object. */
function legacyFile(object: string): Buffer {
  const whole = fs.readFileSync(path.join(GOLDEN, "checkpoint-legacy.pth"));
  const objectStart = whole.indexOf(Buffer.from("\x80\x02}", "latin1"), whole.indexOf("type_sizes"));
  return Buffer.concat([whole.subarray(0, objectStart), Buffer.from(object, "latin1")]);
}

const REFUSED: [string, string, RegExp][] = [
  ["a call of a system function", "\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.", /asks for the Python name "posix.system".*nothing is executed/],
  ["a builtin", "\x80\x02cbuiltins\neval\n)R.", /"builtins.eval"/],
  ["a name that JavaScript objects inherit", "\x80\x02cconstructor\n\n)R.", /asks for the Python name/],
  ["an object built by its class", "\x80\x02ccollections\nOrderedDict\n)\x81.", /opcode 0x81/],
  ["an instance", "\x80\x02(iposix\nsystem\n.", /opcode 0x69/],
  ["an extension code", "\x80\x02\x82\x01.", /opcode 0x82/],
  ["a later protocol", "\x80\x04N.", /protocol 4/],
  ["a call of a storage type", "\x80\x02ctorch\nFloatStorage\n)R.", /a call of "torch.FloatStorage"/],
  ["a string longer than the file", "\x80\x02X\xff\xff\xff\x7f.", /ends in the middle of a value/],
  ["an empty stack", "\x80\x02R.", /stack is empty/],
  ["a memo entry that was never set", "\x80\x02h\x05.", /memo entry 5/],
];
for (const [what, object, message] of REFUSED) {
  test(`refused: ${what}`, () => {
    assert.throws(() => readPytorchCheckpoint(write("hostile.pth", legacyFile(object))), message);
  });
}

/** A dictionary with one float tensor of the given shape, strides and offset over a storage of two numbers. */
function tensorFile(shape: number, stride: number, offset: number): Buffer {
  const integer = (value: number): string => `J${Buffer.from(Int32Array.of(value).buffer).toString("latin1")}`;
  const text = (value: string): string => `X${String.fromCharCode(value.length)}\x00\x00\x00${value}`;
  const storage = `(${text("storage")}ctorch\nFloatStorage\n${text("0")}${text("cpu")}K\x02NtQ`;
  const tensor = `ctorch._utils\n_rebuild_tensor_v2\n(${storage}${integer(offset)}${integer(shape)}\x85${integer(stride)}\x85\x89)tR`;
  const data = Buffer.alloc(16);
  data.writeBigInt64LE(2n);
  data.writeFloatLE(1, 8);
  data.writeFloatLE(2, 12);
  return Buffer.concat([legacyFile(`\x80\x02}${text("w")}${tensor}s.\x80\x02](${text("0")}e.`), data]);
}

test("tensors that reach outside their storage, or repeat it to any size, are refused", () => {
  assert.deepEqual(readPytorchCheckpoint(write("good.pth", tensorFile(2, 1, 0))).w.data, Float32Array.of(1, 2));
  assert.throws(() => readPytorchCheckpoint(write("bad.pth", tensorFile(3, 1, 0))), /tensor w of shape \[3\] reaches outside/);
  assert.throws(() => readPytorchCheckpoint(write("bad.pth", tensorFile(2, 1, 1))), /reaches outside/);
  assert.throws(() => readPytorchCheckpoint(write("bad.pth", tensorFile(2, 2, 0))), /reaches outside/);
  assert.throws(() => readPytorchCheckpoint(write("bad.pth", tensorFile(2_000_000_000, 0, 0))), /reaches outside/);
  assert.throws(() => readPytorchCheckpoint(write("bad.pth", tensorFile(-1, 1, 0))), /malformed tensor shape/);
});

test("a dictionary as Python 2 and the first versions of PyTorch wrote it is read", () => {
  const text = (value: string): string => `U${String.fromCharCode(value.length)}${value}`;
  const storage = `(${text("storage")}ctorch\nFloatStorage\n${text("7")}${text("cuda:0")}\x8a\x01\x02NtQ`;
  const tensor = `ctorch._utils\n_rebuild_tensor\n(${storage}K\x00K\x02\x85K\x01\x85tR`;
  const data = Buffer.alloc(16);
  data.writeBigInt64LE(2n);
  data.writeFloatLE(1, 8);
  data.writeFloatLE(2, 12);
  const file = (pairs: string): string => write("python2.pth", Buffer.concat([legacyFile(`\x80\x02ccollections\nOrderedDict\n${pairs}\x85R.\x80\x02](${text("7")}e.`), data]));
  assert.deepEqual(readPytorchCheckpoint(file(`](](${text("w")}${tensor}ee`)), { w: { shape: [2], data: Float32Array.of(1, 2) } });
  assert.throws(() => readPytorchCheckpoint(file(`](](${text("w")}ee`)), /malformed dictionary/);
});

test("a file above the size limit, and one of another kind, are clear errors", () => {
  assert.throws(() => readPytorchCheckpoint(path.join(GOLDEN, "checkpoint-zip.pth"), { maxBytes: 100 }), /above the limit of 100/);
  assert.throws(() => readPytorchCheckpoint(write("text.pth", Buffer.from("<!DOCTYPE html>"))), /not a PyTorch file/);
  assert.throws(() => readPytorchCheckpoint(path.join(folder, "absent.pth")), /absent\.pth/);
});
