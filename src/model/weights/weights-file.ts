import { createHash } from "node:crypto";
import fs from "node:fs";
import { readPytorchCheckpoint } from "../features/pytorch-checkpoint";
import { float32Values, openSafetensors, openShardedSafetensors, type OpenSafetensors } from "../safetensors";

/** Tensors by name, from whatever file holds them. */
export interface WeightsFile {
  path: string;
  /** Shape of each tensor. */
  shapes: Record<string, readonly number[]>;
  /** What stands beside the tensors; empty for PyTorch files. */
  metadata: Record<string, string>;
  /** One tensor's values, row-major, as float32. @throws Error if it holds whole numbers or isn't there */
  read(name: string): Promise<Float32Array>;
  /** First 16 hexadecimal digits of the SHA-256 of the file, or of all its parts. */
  digest(): Promise<string>;
  close(): Promise<void>;
}

const PYTORCH_NAME = /\.(pth|pt|ckpt|bin)$/;

/**
 * Opens a weights file by its name's end: .safetensors, .safetensors.index.json (with the files it names beside it), and PyTorch's .pth, .pt, .ckpt and
 * .bin, of which tensors alone are read and nothing is executed.
 *
 * @throws Error naming the file: an ending that isn't known, and whatever is wrong with the file
 */
export async function openWeights(path: string): Promise<WeightsFile> {
  if (path.endsWith(".safetensors")) return fromSafetensors(path, await openSafetensors(path));
  if (path.endsWith(".json")) return fromSafetensors(path, await openShardedSafetensors(path));
  if (PYTORCH_NAME.test(path)) return fromPytorch(path);
  throw new Error(`Can't tell the format of ${path}: expected a name that ends in .safetensors, .safetensors.index.json, .pth, .pt, .ckpt or .bin.`);
}

function fromSafetensors(path: string, file: OpenSafetensors): WeightsFile {
  return {
    path,
    shapes: Object.fromEntries(Object.entries(file.tensors).map(([name, { shape }]) => [name, shape])),
    metadata: file.metadata,
    read: async (name) => float32Values(await file.read(name), name),
    digest: () => digestOf(file.files),
    close: file.close,
  };
}

function fromPytorch(path: string): WeightsFile {
  if (!fs.existsSync(path)) throw new Error(`There is no file ${path}.`);
  if (!fs.statSync(path).isFile()) throw new Error(`${path} isn't a file, expected a PyTorch checkpoint.`);
  const tensors = readPytorchCheckpoint(path);
  return {
    path,
    shapes: Object.fromEntries(Object.entries(tensors).map(([name, { shape }]) => [name, shape])),
    metadata: {},
    async read(name) {
      const { data } = tensors[name] ?? {};
      if (data instanceof Float32Array) return data;
      if (data instanceof Float64Array) return Float32Array.from(data);
      throw new Error(`${path}: tensor ${name} ${data ? "holds whole numbers, expected floating-point ones" : "is not there"}.`);
    },
    digest: () => digestOf([path]),
    close: async () => undefined,
  };
}

async function digestOf(paths: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const path of paths) for await (const chunk of fs.createReadStream(path, { highWaterMark: 2 ** 22 })) hash.update(chunk as Buffer);
  return hash.digest("hex").slice(0, 16);
}
