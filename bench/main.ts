/**
 * The benchmark: the engine against PyTorch, JAX and itself without compiling, on the same work in the same run. Each program lives in a process of
 * its own and computes alone; repeats alternate between the two of a row. What is finished is kept: the same command goes on after an interruption.
 * Run: npm run bench -- --help
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { CommandError, EXIT, interruptSignal } from "../src/cli/output";
import { cacheDirectory, projectRoot, writeFileAtomic } from "../src/model/files";
import { formatDuration } from "../src/model/progress";
import { describeMachine } from "../src/setup/runtime";
import { createReporter, type Reporter } from "../src/setup/report";
import { agreementOf, agrees, type Agreement } from "./agreement";
import { memoryPlanTable } from "./memory-plan";
import { startParticipant, type Participant } from "./participant";
import { peersFolder, peersPython } from "./peers";
import { describeHost, reportTables, writeReport, type FailedRow, type Report, type ResultRow } from "./report";
import { isForward, PEERS, planOf, STEP_FORMS, type Comparison, type PeerName, type Scaling } from "./rows";
import { median, quartiles } from "./statistics";
import type { Precision } from "../src/model/engine/precision";
import { ENCODER_BATCH, MATRIX_SIZE, SIZES, type WorkSpec } from "./workload";

interface BenchFlags {
  quick?: boolean;
  device: "cpu" | "gpu";
  rows?: string;
  precision: Precision;
  repeats: number;
  minutes?: number;
  fresh?: boolean;
}

/** Seconds of measuring in one repeat, and the fewest runs in it. */
const SECONDS = { quick: 0.8, full: 1.5 };
const LEAST_RUNS = 2;
/** Seconds in which a peer's first call has to end; torch.compile compiles in it. */
const FIRST_CALL_SECONDS = 300;
const NO_TIME = "no time was left";
/** Share of the processors that others may use before a warning. */
const BUSY_SHARE = 0.25;

// glibc gives large blocks back to the system at every call and fetches them anew; keeping them makes PyTorch on the CPU a quarter faster here.
const KEEP_MEMORY = { MALLOC_MMAP_THRESHOLD_: "2000000000", MALLOC_TRIM_THRESHOLD_: "2000000000", MALLOC_TOP_PAD_: "200000000" };

/** What every program under measurement needs. */
interface Stage {
  flags: BenchFlags;
  python: string;
  /** Folder of work files and logs. */
  scratch: string;
  signal: AbortSignal;
}

/** A run of the benchmark. */
interface Bench extends Stage {
  report: Report;
  reporter: Reporter;
  /** Keeps what is finished. */
  keep(): Promise<void>;
}

/** Starts a program. @param threads of the peers; the engine has as many as there are processors */
async function start({ scratch, signal, python, flags }: Stage, program: string, threads: number): Promise<Participant> {
  const log = join(scratch, `${program}.log`);
  const root = projectRoot();
  const onDevice: Record<string, string> = flags.device === "cpu" ? { CUDA_VISIBLE_DEVICES: "-1" } : {};
  if (program === "tensorflow" || program === "wasm") return startParticipant([process.execPath, join(root, "dist", "bench", "worker.js"), program], onDevice, log, signal);
  const script = join(peersFolder(root), `${program}_peer.py`);
  const environment = { ...onDevice, ...(program === "pytorch" ? KEEP_MEMORY : {}), PYTHONDONTWRITEBYTECODE: "1", TORCHINDUCTOR_CACHE_DIR: join(scratch, "torchinductor"), JAX_PLATFORMS: "cpu" };
  return startParticipant([python, script, String(threads)], environment, log, signal);
}

async function measure(participant: Participant, seconds: number): Promise<number> {
  return median((await participant.ask({ do: "time", seconds, least: LEAST_RUNS })).seconds as number[]);
}

const nameOf = ({ title, spec }: Comparison): string => `${title}, ${spec.size}`;
const batchOf = (spec: WorkSpec): number => spec.batchSize ?? (spec.work === "encode" ? ENCODER_BATCH : SIZES[spec.size].batchSize);

/** All rows of one piece of work: proves that each peer does the same, then times both in turn. */
async function compare(bench: Bench, comparison: Comparison, peers: readonly PeerName[], outOfTime: () => boolean): Promise<void> {
  const { scratch, report, reporter } = bench;
  const { spec, title } = comparison;
  const { threads } = report.machine;
  const work = join(scratch, "work.safetensors");
  const result = (name: string): string => join(scratch, `${name}.safetensors`);
  const fail = async (peer: PeerName, error: unknown): Promise<void> => {
    bench.signal.throwIfAborted();
    const failure = (error as Error).message.split("\n")[0];
    report.rows.push({ work: title, size: spec.size, peer, failure });
    reporter.line(`${nameOf(comparison)}, ${peer}: not measured: ${(error as Error).message}`);
    await bench.keep();
  };

  if (outOfTime()) {
    for (const peer of peers) report.rows.push({ work: title, size: spec.size, peer, failure: NO_TIME });
    return;
  }
  reporter.update(`${nameOf(comparison)}: what comes out`);
  const prover = await start(bench, "tensorflow", threads);
  let ours: Participant | undefined;
  try {
    await prover.ask({ do: "load", spec, variant: "" });
    await prover.ask({ do: "export", file: work });
    const proof = await prover.ask({ do: "check", file: work, result: result("ours") });
    await prover.quit();
    ours = await start(bench, "tensorflow", threads);
    await ours.ask({ do: "load", spec, variant: "" });
    const first = (await ours.ask({ do: "first" })).seconds as number;
    for (const peer of peers) {
      try {
        if (outOfTime()) throw new Error(NO_TIME);
        report.rows.push(await pair(bench, comparison, peer, { ours, first, proof, work, result }));
        const row = report.rows.at(-1) as ResultRow;
        reporter.line(`${nameOf(comparison)}, ${peer}: ${row.ratio.toFixed(2)} times as fast (${row.spread.map((ratio) => ratio.toFixed(2)).join(" to ")})`);
        await bench.keep();
      } catch (error) {
        await fail(peer, error);
      }
    }
  } catch (error) {
    for (const peer of peers) await fail(peer, error);
  } finally {
    await prover.quit();
    await ours?.quit();
  }
}

interface Ours {
  ours: Participant;
  first: number;
  proof: { metrics: Record<string, number>[]; flops?: number };
  work: string;
  result(name: string): string;
}

async function pair(bench: Bench, comparison: Comparison, peer: PeerName, { ours, first, proof, work, result }: Ours): Promise<ResultRow> {
  const { flags, report, reporter } = bench;
  const { spec, title } = comparison;
  const { program, variant } = PEERS[peer];
  const { threads } = report.machine;
  const seconds = flags.quick ? SECONDS.quick : SECONDS.full;
  const started: { participant: Participant; form: string; first: number; agreement: Agreement; seconds: number }[] = [];
  /** Starts the peer in one of its forms, and proves that it does the same work. */
  const begin = async (variantName: string, form: string): Promise<void> => {
    reporter.update(`${nameOf(comparison)}, ${peer}: first call${form && `, ${form}`}`);
    const participant = await start(bench, program, threads);
    const entry = { participant, form, first: NaN, agreement: { metrics: NaN, weights: NaN }, seconds: NaN };
    started.push(entry);
    await participant.ask({ do: "load", spec, file: work, variant: variantName });
    // Our own programs draw the same weights themselves, so their first runs are those of the proof.
    const isOwn = program === "tensorflow" || program === "wasm";
    const until = performance.now() + 1000 * FIRST_CALL_SECONDS;
    const left = (): number => Math.max((until - performance.now()) / 1000, 1);
    const prove = async (): Promise<Record<string, number>[]> => (await participant.ask({ do: "check", file: work, result: result("theirs") }, left())).metrics;
    const early = isOwn ? await prove() : undefined;
    entry.first = (await participant.ask({ do: "first" }, left()).catch((error: Error) => {
      throw new Error(`its first call failed: ${error.message}`);
    })).seconds as number;
    const metrics = early ?? (await prove());
    entry.agreement = await agreementOf({ metrics: proof.metrics, file: result("ours") }, { metrics, file: result("theirs") }, work);
    if (!agrees(entry.agreement, spec.precision)) throw new Error(`it does other work: losses differ by ${entry.agreement.metrics.toPrecision(2)}, weights by ${entry.agreement.weights.toPrecision(2)} of their change`);
  };
  try {
    const hasForms = program === "pytorch" && variant === "" && spec.work === "step";
    if (hasForms) {
      for (const { variant: name, form } of STEP_FORMS) await begin(name, form);
      // In turn, twice each: the machine may be slower for a while.
      for (let round = 0; round < 2; round++) for (const entry of started) entry.seconds = Math.min(entry.seconds || Infinity, await measure(entry.participant, seconds));
    } else await begin(variant, "");
    const fastest = started.reduce((best, entry) => (entry.seconds < best.seconds ? entry : best));
    for (const entry of started) if (entry !== fastest) await entry.participant.quit();
    const { participant: theirs, first: theirFirst, agreement, form } = fastest;
    const times: { ours: number; theirs: number }[] = [];
    for (let repeat = 0; repeat < flags.repeats; repeat++) {
      reporter.update(`${nameOf(comparison)}, ${peer}: repeat ${repeat + 1} of ${flags.repeats}`);
      times.push({ ours: await measure(ours, seconds), theirs: await measure(theirs, seconds) });
    }
    for (const { introduction } of [ours, theirs]) Object.assign(report.versions, introduction.versions);
    const ratios = times.map((time) => time.theirs / time.ours);
    const [own, other] = [median(times.map((time) => time.ours)), median(times.map((time) => time.theirs))];
    const memory = { ours: await ours.ask({ do: "memory" }), theirs: await theirs.ask({ do: "memory" }) };
    const images = batchOf(spec);
    const rate = proof.flops ? proof.flops / own / 1e9 : undefined;
    return {
      work: title,
      size: spec.size,
      batchSize: images,
      peer,
      ours: isForward(spec) ? images / own : own,
      theirs: isForward(spec) ? images / other : other,
      unit: isForward(spec) ? "images/s" : "s/step",
      ratio: median(ratios),
      spread: quartiles(ratios),
      repeats: flags.repeats,
      firstSeconds: { ours: first, theirs: theirFirst },
      peakBytes: { ours: memory.ours.peakBytes, theirs: memory.theirs.peakBytes },
      fileBytes: { ours: memory.ours.fileBytes, theirs: memory.theirs.fileBytes },
      baseBytes: { ours: ours.introduction.baseBytes, theirs: theirs.introduction.baseBytes },
      ...(rate && { gigaflopsPerSecond: rate, shareOfPeak: rate / report.matmulGigaflopsPerSecond }),
      ...(form && { form, formSeconds: Object.fromEntries(started.map((entry) => [entry.form, entry.seconds])) }),
      agreement,
    };
  } finally {
    for (const { participant } of started) await participant.quit();
  }
}

/** The way in which PyTorch was faster in the first row that measured both. */
function fasterVariant({ rows }: Report): string {
  const row = rows.find((each): each is ResultRow => "form" in each && each.form !== undefined);
  return STEP_FORMS.find(({ form }) => form === row?.form)?.variant ?? PEERS["PyTorch eager"].variant;
}

/** One line of a scaling: the time of a step at each point. */
async function scale(bench: Bench, { over, points }: Scaling, program: "ours" | PeerName): Promise<void> {
  const { scratch, reporter, report, flags } = bench;
  const { threads } = report.machine;
  const work = join(scratch, "work.safetensors");
  const times: { x: number; seconds: number }[] = [];
  for (const { x, spec } of points) {
    reporter.update(`time against ${over}, ${program}: ${x}`);
    const ours = await start(bench, "tensorflow", threads);
    await ours.ask({ do: "load", spec, variant: "" });
    let measured = ours;
    try {
      if (program !== "ours") {
        await ours.ask({ do: "export", file: work });
        await ours.quit();
        measured = await start(bench, PEERS[program].program, threads);
        await measured.ask({ do: "load", file: work, variant: program === "PyTorch eager" ? fasterVariant(report) : PEERS[program].variant });
      }
      await measured.ask({ do: "first" });
      times.push({ x, seconds: await measure(measured, flags.quick ? SECONDS.quick : SECONDS.full) });
    } finally {
      await ours.quit();
      await measured.quit();
    }
  }
  report.scaling.push({ over, program, points: times });
  reporter.line(`time against ${over}, ${program}: ${times.map(({ x, seconds }) => `${x}: ${seconds.toPrecision(3)} s`).join(", ")}`);
  await bench.keep();
}

/** Describes the machine and measures its matrix product. */
async function beginReport(stage: Stage): Promise<Report> {
  const { flags } = stage;
  const engine = await start(stage, "tensorflow", availableParallelism());
  try {
    await engine.ask({ do: "load", spec: { work: "matmul", size: "tiny", losses: "pixel", precision: "float32" }, variant: "" });
    const seconds = Math.min(...((await engine.ask({ do: "time", seconds: 2, least: 10 })).seconds as number[]));
    const { versions, device = "", threads } = engine.introduction;
    return {
      date: new Date().toISOString(),
      mode: flags.quick ? "quick" : "full",
      precision: flags.precision,
      machine: { ...describeHost(), device, threads },
      versions: { ...versions },
      matmulGigaflopsPerSecond: (2 * MATRIX_SIZE ** 3) / seconds / 1e9,
      rows: [],
      scaling: [],
    };
  } finally {
    await engine.quit();
  }
}

/** The file in which an unfinished benchmark waits; another state of the code or other options begin anew. */
function progressFile(flags: BenchFlags): string {
  const root = projectRoot();
  const peers = ["protocol.py", "pytorch_crossflow.py", "pytorch_step.py", "pytorch_peer.py", "jax_crossflow.py", "jax_step.py", "jax_peer.py", "requirements.txt"];
  const hash = createHash("sha256").update(readFileSync(join(root, "dist", ".sources-sha256")));
  for (const name of peers) hash.update(readFileSync(join(peersFolder(root), name)));
  hash.update(JSON.stringify([flags.quick ?? false, flags.precision, flags.device, flags.repeats]));
  return join(root, "runs", "benchmarks", `${hash.digest("hex").slice(0, 12)}.json`);
}

async function main(flags: BenchFlags): Promise<void> {
  if (flags.device === "gpu" && !describeMachine().hasNvidiaGpu) {
    console.log(`No NVIDIA GPU can be had here, so nothing is measured. What each preset would need:\n\n${memoryPlanTable()}`);
    return;
  }
  const signal = interruptSignal();
  const reporter = createReporter(process.stderr);
  const scratch = mkdtempSync(join(tmpdir(), "crossflow-bench-"));
  const file = progressFile(flags);
  const load = loadavg()[0] / availableParallelism();
  if (load > BUSY_SHARE) reporter.line(`Other programs take ${Math.round(100 * load)} % of this machine: the peers' threads wait for each other, and the ratios will say little. Stop them, or take the table for a test.`);
  const began = performance.now();
  try {
    const context = { project: projectRoot(), cache: cacheDirectory(), environment: process.env, signal };
    // The peers are written for the CPU: on a GPU the engine is measured against itself.
    const python = flags.device === "cpu" ? await peersPython(context, (text) => reporter.update(text)) : "";
    const kept = !flags.fresh && existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Report) : undefined;
    if (kept) reporter.line(`Going on with the benchmark of ${kept.date}: ${kept.rows.length} rows are there (--fresh begins anew).`);
    const stage: Stage = { flags, python, scratch, signal };
    const report = kept ?? (await beginReport(stage));
    const keep = async (): Promise<void> => {
      await writeFileAtomic(file, `${JSON.stringify(report, null, 2)}\n`);
      if (flags.rows === undefined) await writeReport(report);
    };
    const bench: Bench = { ...stage, report, reporter, keep };
    const wanted = (text: string): boolean => flags.rows === undefined || new RegExp(flags.rows, "i").test(text);
    const measurable = (peer: PeerName): boolean => flags.device === "cpu" || PEERS[peer].program === "tensorflow";
    const { first, scalings, rest } = planOf(flags.quick ?? false, flags.precision);
    const outOfTime = (): boolean => flags.minutes !== undefined && performance.now() - began > 60_000 * flags.minutes;
    const compareAll = async (comparisons: readonly Comparison[]): Promise<void> => {
      for (const comparison of comparisons) {
        const done = (peer: PeerName): boolean => report.rows.some((row: ResultRow | FailedRow) => row.work === comparison.title && row.size === comparison.spec.size && row.peer === peer && "ratio" in row);
        const peers = comparison.peers.filter((peer) => measurable(peer) && wanted(`${nameOf(comparison)}, ${peer}`) && !done(peer));
        report.rows = report.rows.filter((row) => "ratio" in row || row.work !== comparison.title || row.size !== comparison.spec.size || !peers.includes(row.peer));
        if (peers.length > 0) await compare(bench, comparison, peers, outOfTime);
      }
    };
    try {
      await compareAll(first);
      for (const scaling of scalings) {
        for (const program of ["ours", ...scaling.peers.filter(measurable)] as const) {
          const done = report.scaling.some((row) => row.over === scaling.over && row.program === program);
          if (!done && !outOfTime() && wanted(`time against ${scaling.over}, ${program}`)) await scale(bench, scaling, program);
        }
      }
      await compareAll(rest);
    } catch (error) {
      if (!signal.aborted) throw error;
      console.log(reportTables(report));
      throw new CommandError("Interrupted. The finished rows are kept: the same command goes on from there.", EXIT.interrupted);
    }
    console.log(`\n${reportTables(report)}\n`);
    reporter.line(`The benchmark took ${formatDuration((performance.now() - began) / 1000)}.`);
    // A selection of rows is shown, and does not take the place of the whole.
    if (flags.rows !== undefined) return;
    console.log((await writeReport(report)).join("\n"));
    // Where time ran out, the same command goes on with what is left.
    if (!report.rows.some((row) => "failure" in row && row.failure === NO_TIME)) rmSync(file, { force: true });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const command = new Command("npm run bench --")
  .description("Measures training steps, sampler and encoder against PyTorch and JAX on the same work, and writes docs/benchmarks")
  .option("--quick", "fewer rows, in about 10 minutes")
  .addOption(new Option("--device <kind>", "where to compute").choices(["cpu", "gpu"]).default("cpu"))
  .option("--rows <pattern>", "only rows whose name matches this regular expression, e.g. 'tiny, JAX'; docs/benchmarks stays as it is")
  .addOption(new Option("--precision <name>", "of the computation").choices(["float32", "bf16"]).default("float32"))
  .option("--repeats <count>", "how often the two programs of a row take turns", Number, 5)
  .option("--minutes <count>", "begin no further row after this time, and write what there is", Number)
  .option("--fresh", "begin anew where an unfinished benchmark could be gone on with")
  .action(main);

command.parseAsync().catch((error: Error) => {
  console.error(process.env.CROSSFLOW_DEBUG ? error.stack : error.message);
  process.exitCode = error instanceof CommandError ? error.exitCode : EXIT.failed;
});
