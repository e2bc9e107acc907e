import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MILLISECONDS = 200;
/** A lock of another machine (a shared folder) can't be checked for life; after this time it counts as abandoned. */
const FOREIGN_LOCK_HOURS = 2;

/**
 * Runs `work` while this process alone holds the lock of a folder, and gives what it returns.
 *
 * The lock is a file that names its owner's process. A lock whose owner no longer lives (it was killed) is taken over.
 *
 * @param {string} folder
 * @param {() => Promise<T>} work
 * @param {(owner: {pid: number}) => void} onWait called once if the lock is held by another process
 * @template T
 */
export async function withLock(folder, work, onWait = () => {}) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, "setup.lock");
  let told = false;
  while (!tryAcquire(lock)) {
    const owner = readOwner(lock);
    if (owner && !told) {
      onWait(owner);
      told = true;
    }
    await sleep(POLL_MILLISECONDS);
  }
  const release = () => {
    if (readOwner(lock)?.pid === process.pid) rmSync(lock, { force: true });
  };
  process.once("exit", release);
  try {
    return await work();
  } finally {
    process.off("exit", release);
    release();
  }
}

function tryAcquire(lock) {
  const own = `${lock}.${process.pid}-${randomBytes(4).toString("hex")}`;
  writeFileSync(own, JSON.stringify({ pid: process.pid, host: hostname() }));
  try {
    // A hard link fails if the name exists and appears with its content: no one ever sees a lock without an owner.
    linkSync(own, lock);
    return true;
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    removeAbandoned(lock);
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

function readOwner(lock) {
  try {
    return { ...JSON.parse(readFileSync(lock, "utf8")), time: statSync(lock).mtimeMs };
  } catch {
    return undefined;
  }
}

function isAbandoned(owner) {
  if (owner.host !== hostname()) return Date.now() - owner.time > FOREIGN_LOCK_HOURS * 3600e3;
  try {
    process.kill(owner.pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

function removeAbandoned(lock) {
  const owner = readOwner(lock);
  if (!owner || !isAbandoned(owner)) return;
  const aside = `${lock}.abandoned-${process.pid}`;
  try {
    renameSync(lock, aside);
    // Another waiting process may have been quicker: what was moved aside is then its fresh lock, which goes back.
    const moved = readOwner(aside);
    if (moved && !isAbandoned(moved)) linkSync(aside, lock);
  } catch (error) {
    if (error.code !== "ENOENT" && error.code !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}
