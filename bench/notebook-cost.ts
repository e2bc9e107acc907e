/**
 * What a class needs for each open notebook: wall time, the kernel's peak resident memory (it and its threads; Linux' VmHWM)
 * and processor time, each notebook in a fresh kernel without a browser. A table row a notebook.
 * Run: CROSSFLOW_SETTING=FAST node dist/bench/notebook-cost.js FOLDER 02 05; the executed notebooks go to FOLDER.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { listNotebooks } from "../src/cli/headless";
import { noWidgetsVariable } from "../src/kernel-helpers/interactive/interactive";
import { openKernel } from "../src/kernel-helpers/kernel-client";
import { runNotebook } from "../src/kernel-helpers/notebook-runner";
import { projectRoot } from "../src/model/files";

/** Processor time that a process has used so far (Linux: utime and stime of /proc, in hundredths). */
function processorSeconds(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Most resident memory that a process has had, in MB of 1e6 bytes. */
function peakMegabytes(processId: number): number {
  return (Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${processId}/status`, "utf8"))![1]) * 1024) / 1e6;
}

async function main(): Promise<void> {
  const [folder, ...words] = process.argv.slice(2);
  if (folder === undefined) throw new Error("Say where the executed notebooks go: node dist/bench/notebook-cost.js FOLDER [words of names]");
  mkdirSync(folder, { recursive: true });
  const source = join(projectRoot(), "notebooks");
  for (const notebook of listNotebooks(source, words)) {
    const load = loadavg()[0].toFixed(1);
    const start = performance.now();
    const kernel = await openKernel({ folder: source, environment: { ...process.env, [noWidgetsVariable]: "1" } });
    try {
      const name = notebook.slice(source.length + 1);
      await runNotebook({ notebook, output: join(folder, name), kernel, onEvent: () => undefined });
      const seconds = (performance.now() - start) / 1000;
      console.log(`| ${name.slice(0, 2)} | ${seconds.toFixed(0)} | ${peakMegabytes(kernel.processId).toFixed(0)} | ${processorSeconds(kernel.processId).toFixed(0)} | (load ${load})`);
    } finally {
      await kernel.shutdown();
    }
  }
}

main();
