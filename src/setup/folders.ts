import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, rename, rm, statfs } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "../model/files";
import { SetupError } from "./errors";

const STAMP = ".complete.json";

/** What a complete folder says about itself. */
interface FolderStamp {
  /** Sizes in bytes of the files that matter most, by path inside the folder. */
  files: Record<string, number>;
}

export interface FolderInstallation {
  /** The folder to provide. */
  target: string;
  /** Puts the content into an empty temporary folder next to the target. */
  fill: (temporary: string) => Promise<void>;
  /** Files, by path inside the folder, without which it is of no use. */
  files: readonly string[];
}

/**
 * Provides a folder so that it is there either whole or not at all, wherever the work is cut off: the content is made in
 * a temporary folder, stamped, and renamed. What earlier, interrupted attempts left is removed.
 *
 * @throws SetupError if a required file is missing after `fill`
 */
export async function installFolder({ target, fill, files }: FolderInstallation): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await removeLeftovers(target);
  const temporary = `${target}.partial-${process.pid}`;
  await mkdir(temporary);
  try {
    await fill(temporary);
    await stampFolder(temporary, files);
    if (existsSync(target)) await rename(target, `${target}.partial-replaced`);
    await rename(temporary, target);
  } finally {
    await removeLeftovers(target);
  }
}

/** Marks a folder as complete. */
async function stampFolder(folder: string, files: readonly string[]): Promise<void> {
  const stamp: FolderStamp = { files: {} };
  for (const file of files) {
    const path = join(folder, file);
    if (!existsSync(path)) throw new SetupError(`The installation of ${basename(folder)} lacks ${file}. Run it again.`);
    stamp.files[file] = statSync(path).size;
  }
  await writeFileAtomic(join(folder, STAMP), `${JSON.stringify(stamp, null, 2)}\n`);
}

/** Whether `installFolder` finished this folder and its important files still have their sizes. */
export function folderIsComplete(folder: string): boolean {
  try {
    const stamp: FolderStamp = JSON.parse(readFileSync(join(folder, STAMP), "utf8"));
    return Object.entries(stamp.files).every(([file, size]) => statSync(join(folder, file)).size === size);
  } catch {
    return false;
  }
}

async function removeLeftovers(target: string): Promise<void> {
  const prefix = `${basename(target)}.partial-`;
  for (const name of readdirSync(dirname(target))) {
    if (name.startsWith(prefix)) await rm(join(dirname(target), name), { recursive: true, force: true });
  }
}

const GIGABYTE = 1e9;

/**
 * Checks that a disk has room before something large is fetched.
 *
 * @param folder a folder on that disk; it need not exist yet
 * @throws SetupError (fatal) naming what is needed and what is there
 */
export async function requireDiskSpace(folder: string, neededBytes: number, purpose: string): Promise<void> {
  const free = await freeDiskSpace(folder);
  if (free >= neededBytes) return;
  throw new SetupError(
    `The disk is too full: ${purpose} needs ${(neededBytes / GIGABYTE).toFixed(1)} GB in ${folder}, and ${(free / GIGABYTE).toFixed(1)} GB are free. ` +
      "Free some space and run it again, or set CROSSFLOW_CACHE to a folder on another disk.",
    true,
  );
}

/** Bytes that this user may still write on the disk of a folder, which need not exist yet. */
export async function freeDiskSpace(folder: string): Promise<number> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  return bavail * bsize;
}
