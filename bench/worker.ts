/**
 * The project's own side of the benchmark: a program that waits for requests, a line of JSON each, and answers with a line on file descriptor 3;
 * as the peers in bench/peers do. Run by the benchmark: node dist/bench/worker.js tensorflow|wasm
 */
import { readFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { nativeBackend } from "../src/model/engine/compile/backend";
import { startEngine, type EngineName } from "../src/model/engine/start";
import { writeSafetensors, type SafetensorsTensor } from "../src/model/safetensors";
import { timeOperations } from "./profiling/eager";
import { createJob, type HostArray, type Job, type WorkSpec } from "./workload";

export type Request =
  /** Makes work ready; peers read it from the file that "export" wrote. */
  | { do: "load"; spec?: WorkSpec; file?: string; variant: string }
  /** Writes all that a peer needs to do the same work. */
  | { do: "export"; file: string }
  /** The work on each set of inputs from the weights of the file; writes what comes out. */
  | { do: "check"; file: string; result: string }
  /** The first run, with all that is made ready in it. */
  | { do: "first" }
  /** Times of single runs: at least `least` of them, and as many more as fit into `seconds`. */
  | { do: "time"; seconds: number; least: number }
  | { do: "memory" };

const ANSWERS = 3;

/** A line of /proc/self/status in bytes: VmHWM is the peak of the resident memory, VmRSS what is resident now, RssFile the pages of files in it (0 where the system does not tell). */
function memoryBytes(key: "VmHWM" | "VmRSS" | "RssFile"): number {
  if (process.platform !== "linux") return key === "RssFile" ? 0 : key === "VmRSS" ? process.memoryUsage().rss : process.resourceUsage().maxRSS * 1024;
  const line = readFileSync("/proc/self/status", "utf8").match(new RegExp(`^${key}:\\s+(\\d+)`, "m"));
  return Number(line?.[1]) * 1024;
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000;

function timed(run: () => void, seconds: number, least: number): number[] {
  run();
  const times: number[] = [];
  const started = performance.now();
  while (times.length < least || secondsSince(started) < seconds) {
    const before = performance.now();
    run();
    times.push(secondsSince(before));
  }
  return times;
}

/** The floating-point operations of one run in its matrix products and convolutions; undefined where they can not be seen. */
function countFlops(job: Job): number | undefined {
  const backend = nativeBackend();
  return backend && timeOperations(backend, () => job.runEagerly(), false).reduce((sum, { flops }) => sum + flops, 0);
}

const joined = (groups: Record<string, Record<string, HostArray>>): Record<string, SafetensorsTensor> =>
  Object.fromEntries(
    Object.entries(groups).flatMap(([group, arrays]) =>
      Object.entries(arrays).map(([name, { shape, data }]): [string, SafetensorsTensor] => [`${group}/${name}`, data instanceof Int32Array ? { dtype: "I32", shape, data } : { dtype: "F32", shape, data }]),
    ),
  );

async function main(): Promise<void> {
  const engine = await startEngine({ prefer: process.argv[2] as EngineName });
  let job: Job | undefined;
  const loaded = (): Job => {
    if (!job) throw new Error("no work was loaded");
    return job;
  };
  const handle = async (request: Request): Promise<object> => {
    switch (request.do) {
      case "load":
        job = await createJob(request.spec!, request.variant !== "eager");
        return {};
      case "export": {
        const { groups, spec } = loaded().content();
        await writeSafetensors(request.file, joined(groups), { spec: JSON.stringify(spec) });
        return {};
      }
      case "check": {
        const flops = countFlops(loaded());
        loaded().prepare();
        const { metrics, groups } = loaded().check();
        await writeSafetensors(request.result, joined(groups));
        return { metrics, flops };
      }
      case "first": {
        const started = performance.now();
        loaded().prepare();
        loaded().run();
        return { seconds: secondsSince(started) };
      }
      case "time":
        return { seconds: timed(() => loaded().run(), request.seconds, request.least) };
      case "memory":
        return { peakBytes: memoryBytes("VmHWM"), fileBytes: memoryBytes("RssFile") };
    }
  };
  const answer = (values: object): void => void writeSync(ANSWERS, `${JSON.stringify(values)}\n`);
  answer({ versions: { [engine.name]: engine.version, node: process.versions.node }, device: engine.device, threads: engine.threads, baseBytes: memoryBytes("VmRSS") });
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line) as Request;
    answer(await handle(request).catch((error: Error) => ({ error: error.message })));
  }
  process.exit(0);
}

void main();
