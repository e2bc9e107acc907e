/**
 * Seconds from starting the notebook kernel to its first answer, of a first cell that imports both packages whole, and of
 * the next cell; processor seconds of the kernel at each point. A row a round.
 * Run: node dist/bench/kernel-start.js [rounds]
 */
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { openKernel } from "../src/kernel-helpers/kernel-client";

const FIRST_CELL = `import { startEngine, loadAvatars, train, sample, tf } from "crossflow";
import { liveChart, progressBar, showFigure, showImageGrid, showTable } from "crossflow/kernel";
const engine = await startEngine();
tf.sum(tf.ones([2, 2])).print();`;
const SECOND_CELL = "const three: number = 3; three";

/** Processor time that a process has used so far (Linux: utime and stime of /proc, in hundredths). */
function processorSeconds(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 3);
  for (let round = 0; round < rounds; round++) {
    const load = loadavg()[0].toFixed(2);
    const start = performance.now();
    const kernel = await openKernel();
    const times = [performance.now() - start];
    const processor = [processorSeconds(kernel.processId)];
    for (const cell of [FIRST_CELL, SECOND_CELL]) {
      const before = performance.now();
      const { status, outputs } = await kernel.execute(cell);
      if (status !== "ok") throw new Error(JSON.stringify(outputs));
      times.push(performance.now() - before);
      processor.push(processorSeconds(kernel.processId));
    }
    await kernel.shutdown();
    const [ready, first, second] = times.map((time) => (time / 1000).toFixed(2));
    console.log(`load ${load}: ready ${ready} s, first cell ${first} s, together ${((times[0] + times[1]) / 1000).toFixed(2)} s, next cell ${second} s; processor ${processor.join(", ")} s`);
  }
}

main();
