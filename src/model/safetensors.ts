import { open, readFile, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "./files";
import {
  encodeSafetensors,
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  tensorFromBytes,
  type SafetensorsContent,
  type SafetensorsEntry,
  type SafetensorsHeader,
  type SafetensorsTensor,
} from "./safetensors-format";
import { nearestNames } from "./nearest-name";

export * from "./safetensors-format";

/** One read call takes at most 2 GiB. */
const READ_CHUNK_BYTES = 2 ** 30;

export interface ReadSafetensorsOptions {
  /** Read these tensors alone; default is all of them. */
  names?: readonly string[];
}

/** A safetensors file, or several with an index, of which tensors are read one by one. */
export interface OpenSafetensors {
  /** What each tensor is; its bytes' place is within its own file. */
  tensors: Record<string, SafetensorsEntry>;
  metadata: Record<string, string>;
  /** Paths of all files that take part. */
  files: readonly string[];
  /** Reads one tensor into memory of its own. @throws Error naming the file and the nearest names, if it isn't there */
  read(name: string): Promise<SafetensorsTensor>;
  close(): Promise<void>;
}

/** Entries of a sharded checkpoint's index that are read; more is refused. */
const MAX_INDEX_BYTES = 100_000_000;

/**
 * Opens a safetensors file for reading its tensors on demand: only the header is in memory until a tensor is asked for, and reading one costs one
 * positional read of its bytes alone. Mapping the file into memory in its place was measured and brings nothing (docs/log.md), and a mapped file that
 * somebody cuts short kills the process.
 *
 * @returns the file, its size and where its byte part begins
 * @throws Error naming the file and what is wrong with it
 */
export async function openSafetensors(path: string): Promise<OpenSafetensors & { bytes: number; dataStart: number }> {
  const file = await openFile(path);
  try {
    const { tensors, metadata, dataStart } = await readHeader(file, path);
    return {
      bytes: (await file.stat()).size,
      dataStart,
      tensors,
      metadata,
      files: [path],
      async read(name) {
        if (!Object.hasOwn(tensors, name)) throw missingTensor(path, name, Object.keys(tensors));
        const [begin, end] = tensors[name].dataOffsets;
        return tensorFromBytes(tensors[name], (await readBytes(file, dataStart + begin, end - begin, path)).buffer);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Opens a checkpoint that is spread over several files, by its index: `{ "weight_map": { tensor: file } }`, the files beside the index.
 *
 * @param path of the index, which usually ends in .safetensors.index.json
 * @throws Error naming the file at fault: an index that is no such object, a file name that leaves the folder, a tensor that its file doesn't hold,
 *   or one that the index doesn't list
 */
export async function openShardedSafetensors(path: string): Promise<OpenSafetensors> {
  const shardOf = await readShardIndex(path);
  const shards = new Map<string, OpenSafetensors>();
  const close = async (): Promise<void> => void (await Promise.all([...shards.values()].map((shard) => shard.close())));
  try {
    for (const name of new Set(shardOf.values())) shards.set(name, await openSafetensors(join(dirname(path), name)));
    const tensors: [string, SafetensorsEntry][] = [];
    for (const [name, shard] of shardOf) {
      const entry = shards.get(shard)!.tensors;
      if (!Object.hasOwn(entry, name)) throw new Error(`${path} says that ${shard} holds ${JSON.stringify(name)}, but it doesn't. Fetch both again.`);
      tensors.push([name, entry[name]]);
    }
    for (const [shard, { tensors: held }] of shards) {
      const unlisted = Object.keys(held).find((name) => shardOf.get(name) !== shard);
      if (unlisted !== undefined) throw new Error(`${shard} holds ${JSON.stringify(unlisted)}, which ${path} doesn't list. Fetch both again.`);
    }
    return {
      tensors: Object.fromEntries(tensors),
      metadata: Object.assign({}, ...[...shards.values()].map(({ metadata }) => metadata)),
      files: [path, ...[...shards.keys()].sort().map((name) => join(dirname(path), name))],
      async read(name) {
        const shard = shardOf.get(name);
        if (shard === undefined) throw missingTensor(path, name, [...shardOf.keys()]);
        return shards.get(shard)!.read(name);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Tensor name -> name of the file that holds it. */
async function readShardIndex(path: string): Promise<Map<string, string>> {
  const malformed = (fault: string): Error => new Error(`${path} can't be read as a safetensors index: ${fault}.`);
  await withFile(path, async (file) => {
    const { size } = await file.stat();
    if (size > MAX_INDEX_BYTES) throw malformed(`it has ${size} bytes, the most that is read is ${MAX_INDEX_BYTES}`);
  });
  let index: { weight_map?: unknown };
  try {
    index = JSON.parse(await readFile(path, "utf8")) as typeof index;
  } catch (error) {
    throw malformed((error as Error).message);
  }
  const map = index?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) throw malformed('expected an object with "weight_map"');
  const entries = Object.entries(map as Record<string, unknown>);
  for (const [name, shard] of entries) {
    if (typeof shard !== "string" || shard !== basename(shard) || !shard.endsWith(".safetensors")) {
      throw malformed(`${JSON.stringify(name)} lies in ${JSON.stringify(shard)}, expected the name of a .safetensors file in the same folder`);
    }
  }
  return new Map(entries as [string, string][]);
}

/**
 * Reads the header of a safetensors file: names, dtypes, shapes, metadata. The tensors' bytes aren't read, but their places
 * are checked against the file's size.
 *
 * @throws Error naming the file and what is wrong with it
 */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(path, (file) => readHeader(file, path));
}

/**
 * Reads a safetensors file, tensor by tensor, each into memory of its own.
 *
 * @throws Error naming the file, the tensor and what was expected: a missing or truncated file, a header that breaks the
 *   format's rules, a name in `options.names` that isn't there
 */
export async function readSafetensors(path: string, options: ReadSafetensorsOptions = {}): Promise<SafetensorsContent> {
  const file = await openSafetensors(path);
  try {
    const tensors: [string, SafetensorsTensor][] = [];
    for (const name of options.names ?? Object.keys(file.tensors)) tensors.push([name, await file.read(name)]);
    return { tensors: Object.fromEntries(tensors), metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/**
 * Writes a safetensors file atomically: after a crash or a full disk the file that was there before is still whole. The
 * same tensors and metadata always give the same bytes.
 *
 * @param tensors any order; the file's order is by dtype and name
 * @throws Error if a tensor's data doesn't fit its dtype or shape, or the file can't be written
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, SafetensorsTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomic(path, encodeSafetensors(tensors, metadata));
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(code === "ENOENT" ? `There is no file ${path}.` : `Could not open ${path}: ${message}`, { cause: error });
  }
}

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

async function readHeader(file: FileHandle, path: string): Promise<SafetensorsHeader> {
  const status = await file.stat();
  if (!status.isFile()) throw new Error(`${path} isn't a file, expected a safetensors file.`);
  const start = await readBytes(file, 0, Math.min(LENGTH_BYTES, status.size), path);
  const length = headerLength(start, status.size, path);
  return parseHeader(await readBytes(file, LENGTH_BYTES, length, path), status.size, path);
}

async function readBytes(file: FileHandle, position: number, length: number, path: string): Promise<Uint8Array & { buffer: ArrayBuffer }> {
  const bytes = new Uint8Array(new ArrayBuffer(length)) as Uint8Array & { buffer: ArrayBuffer };
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(READ_CHUNK_BYTES, length - done), position + done);
    if (bytesRead === 0) throw new Error(`${path} ended while it was read: it has become shorter.`);
    done += bytesRead;
  }
  return bytes;
}

function missingTensor(path: string, name: string, names: readonly string[]): Error {
  const near = nearestNames(name, names);
  const hint = near.length > 0 ? ` Nearest names: ${near.join(", ")}.` : ` It holds ${names.length} tensors.`;
  return new Error(`${path} holds no tensor ${JSON.stringify(name)}.${hint}`);
}
