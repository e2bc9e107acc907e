import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";

/**
 * Writes a file so that a reader sees either the whole new content or what was there before, even if the process is
 * killed half way or the disk fills up. Missing parent folders are made.
 *
 * The content goes to a temporary file in the same folder, is flushed to the disk, and takes the final name by one rename.
 *
 * @param path where the file ends up
 * @param data text (UTF-8), bytes, or a list of byte chunks written one after another
 * @throws Error naming the file and the cause; the file that was there before is untouched
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array | readonly Uint8Array[]): Promise<void> {
  const target = resolve(path);
  const temporary = `${target}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true });
    const file = await open(temporary, "wx");
    try {
      for (const chunk of isChunkList(data) ? data : [data]) await file.writeFile(chunk);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new Error(`Could not write ${target}: ${describeFileError(error)}`, { cause: error });
  }
}

/** A path as it is shown: with ~ for the home folder, which a shell understands and a saved notebook may show anywhere. */
export function shownPath(path: string, home: string = homedir()): string {
  return home !== "" && (path === home || path.startsWith(`${home}/`)) ? `~${path.slice(home.length)}` : path;
}

function isChunkList(data: string | Uint8Array | readonly Uint8Array[]): data is readonly Uint8Array[] {
  return Array.isArray(data);
}

/** One sentence for a file system error, with what to do about it where that is known. */
export function describeFileError(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC") return "the disk is full. Free some space and run it again.";
  if (code === "EDQUOT") return "your disk quota is used up. Free some space and run it again.";
  if (code === "EACCES" || code === "EPERM" || code === "EROFS") return "no permission to write there. Check the folder's owner and rights.";
  return message ?? String(error);
}

/**
 * The folder of the CrossFlow project: the nearest folder at or above `start` whose package.json is named "crossflow".
 *
 * @param start folder to start from; default is the folder of this module
 * @throws Error if there is none
 */
export function projectRoot(start: string = __dirname): string {
  for (let folder = resolve(start); ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).name === "crossflow") return folder;
    if (folder === dirname(folder)) {
      throw new Error(`No CrossFlow project at or above ${resolve(start)}: expected a package.json named "crossflow".`);
    }
  }
}

/**
 * A file's path as it may leave this machine: from the project's folder where the file lies in it, else the file's name alone. An empty path stays empty.
 */
export function portablePath(file: string, root: string = projectRoot()): string {
  if (file === "") return "";
  const within = relative(root, resolve(file));
  const outside = within === ".." || within.startsWith(`..${sep}`) || isAbsolute(within);
  return outside ? basename(file) : within.split(sep).join("/");
}

/**
 * The folder that all checkouts share for what is large and can be fetched or made again: the TensorFlow runtime,
 * pretrained weights, rendered data. `CROSSFLOW_CACHE` overrides the platform's usual place.
 */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment.CROSSFLOW_CACHE) return resolve(environment.CROSSFLOW_CACHE);
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "crossflow");
  if (process.platform === "win32") return join(environment.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "crossflow", "Cache");
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "crossflow");
}
