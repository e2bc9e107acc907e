// Child process of full-disk.test.ts: trains in the folder it is told until the disk is full, then with room again, and prints what it saw.
// With "simulated" as the second argument, writing fails as it does on a full disk.
import { randomBytes } from "node:crypto";
import fs from "node:fs/promises";
import { closeSync, ftruncateSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { mock } from "node:test";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { readMetrics, runPaths } from "../../src/model/run";
import { train } from "../../src/model/trainer";
import { base, resources } from "./tiny-training";

/** What the parent is told. */
export interface FullDiskReport {
  /** The error of the training on the full disk. */
  message: string;
  /** Whether the checkpoint from before is unchanged, and its folder the only one. */
  intact: boolean;
  /** Names of all that was left half-written. */
  leftovers: string[];
  /** The steps that were trained once there was room. */
  stepsAfterwards: number[];
}

const [folder, mode] = process.argv.slice(2);
const paths = runPaths("full", folder);
const filler = join(folder, "filler");

async function steps(existing: "fail" | "resume", stopAfter = Infinity): Promise<number[]> {
  const seen: number[] = [];
  for await (const { step } of train({ ...base, name: "full", checkpointEvery: 1, compile: false }, { runsFolder: folder, resources, existing })) {
    seen.push(step);
    if (step === stopAfter) break;
  }
  return seen;
}

/** Takes all the space there is, and gives back enough for a line of metrics and half a checkpoint. */
function fillDisk(checkpointBytes: number): void {
  const file = openSync(filler, "w");
  const block = randomBytes(4096);
  let written = 0;
  try {
    for (;;) written += writeSync(file, block);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  ftruncateSync(file, Math.max(written - Math.floor(checkpointBytes / 2), 0));
  closeSync(file);
}

/** Every file opened from now on takes half of the bytes it is given and then fails as on a full disk; texts still fit. */
function simulateFullDisk(): void {
  const { open } = fs;
  mock.method(fs, "open", async (...request: Parameters<typeof open>) => {
    const file = await open(...request);
    const { writeFile } = file;
    file.writeFile = async (content) => {
      if (!(content instanceof Uint8Array)) return writeFile.call(file, content);
      await writeFile.call(file, content.subarray(0, Math.floor(content.length / 2)));
      throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    };
    return file;
  });
}

async function main(): Promise<FullDiskReport> {
  await steps("fail", 1);
  const saved = latestCheckpoint(paths.checkpoints)!;
  const contents = (): string => readdirSync(saved).map((name) => `${name}:${readFileSync(join(saved, name)).toString("base64")}`).join();
  const before = contents();
  if (mode === "simulated") simulateFullDisk();
  else fillDisk(readdirSync(saved).reduce((sum, name) => sum + statSync(join(saved, name)).size, 0));
  const message = await steps("resume").then(
    () => "no error",
    (error: Error) => error.message,
  );
  const leftovers = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.tmp$|\.partial/.test(name));
  const intact = contents() === before && readdirSync(paths.checkpoints).length === 1;
  mock.restoreAll();
  rmSync(filler, { force: true });
  const stepsAfterwards = await steps("resume");
  return { message, intact: intact && readMetrics(paths.metricsFile).length === 6, leftovers, stepsAfterwards };
}

main().then((report) => console.log(JSON.stringify(report)));
