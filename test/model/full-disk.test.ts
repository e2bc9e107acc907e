import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../setup/temporary";
import type { FullDiskReport } from "./full-disk-worker";

/** The whole disk: a few checkpoints of the tiny training. */
const DISK_BYTES = 1 << 20;

// A name space of its own lets an unprivileged process mount a disk, where the system allows that at all.
const inNamespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"];
const mountIn = (folder: string): string => `mount -t tmpfs -o size=${DISK_BYTES} tmpfs '${folder}'`;

/** Whether this system lets a test mount a small disk. */
function canMount(folder: string): boolean {
  const [command, ...rest] = inNamespace;
  return spawnSync(command, [...rest, mountIn(folder)]).status === 0;
}

/** Trains on a disk that fills up: a real one in memory, or one that only says so. */
function trainUntilFull(folder: string, real: boolean): FullDiskReport {
  const worker = [process.execPath, join(__dirname, "full-disk-worker.js"), folder];
  const [command, ...rest] = real ? [...inNamespace, `${mountIn(folder)} && exec "$0" "$@"`, ...worker] : [...worker, "simulated"];
  const { stdout, stderr, status } = spawnSync(command, rest, { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as FullDiskReport;
}

const probe = temporaryFolder();
for (const real of canMount(probe) ? [true, false] : [false])
  test(`a ${real ? "" : "seemingly "}full disk while a checkpoint is saved leaves the one before whole, and the run goes on once there is room`, () => {
    const { message, intact, leftovers, stepsAfterwards } = trainUntilFull(temporaryFolder(), real);
    assert.match(message, /^the checkpoint of step 2 could not be written to .*checkpoints: the disk is full\. Free some space and run it again\. Earlier checkpoints are untouched$/);
    assert.deepEqual([intact, leftovers], [true, []]);
    assert.deepEqual(stepsAfterwards, [2, 3, 4, 5, 6]);
  });
