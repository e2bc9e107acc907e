import { open, type FileHandle } from "node:fs/promises";
import { writeFileAtomic } from "./files";
import {
  encodeSafetensors,
  headerLength,
  LENGTH_BYTES,
  parseHeader,
  tensorFromBytes,
  type SafetensorsContent,
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
  return withFile(path, async (file) => {
    const header = await readHeader(file, path);
    const tensors: [string, SafetensorsTensor][] = [];
    for (const name of options.names ?? Object.keys(header.tensors)) {
      if (!Object.hasOwn(header.tensors, name)) throw missingTensor(path, name, Object.keys(header.tensors));
      const entry = header.tensors[name];
      const [begin, end] = entry.dataOffsets;
      const bytes = await readBytes(file, header.dataStart + begin, end - begin, path);
      tensors.push([name, tensorFromBytes(entry, bytes.buffer)]);
    }
    return { tensors: Object.fromEntries(tensors), metadata: header.metadata };
  });
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

async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(code === "ENOENT" ? `There is no file ${path}.` : `Could not open ${path}: ${message}`, { cause: error });
  }
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
