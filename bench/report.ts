import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { barChart, lineChart } from "../src/kernel-helpers/figures/charts";
import { figureSvg } from "../src/kernel-helpers/figures/static-figure";
import { table, type TableRow } from "../src/kernel-helpers/table";
import { projectRoot, writeFileAtomic } from "../src/model/files";
import type { Agreement } from "./agreement";
import type { PeerName } from "./rows";
import { fittedExponent } from "./statistics";
import type { Precision } from "../src/model/engine/precision";

/** One comparison. */
export interface ResultRow {
  work: string;
  size: string;
  batchSize: number;
  peer: PeerName;
  /** Medians over the repeats, in `unit`. */
  ours: number;
  theirs: number;
  unit: "s/step" | "images/s";
  /** Median over the repeats of how many times as fast ours is; the quartiles. */
  ratio: number;
  spread: [number, number];
  repeats: number;
  /** Seconds of the first call, with recording, tracing and compiling. */
  firstSeconds: { ours: number; theirs: number };
  /** Peak of the resident memory of each program, how much of it are pages of files (mostly its libraries; any process may share them, and the system takes them back), and what it holds once its libraries are loaded, bytes. */
  peakBytes: { ours: number; theirs: number };
  fileBytes: { ours: number; theirs: number };
  baseBytes: { ours: number; theirs: number };
  /** Operations in matrix products and convolutions a second, ours, and as a share of the machine's matrix product. */
  gigaflopsPerSecond?: number;
  shareOfPeak?: number;
  /** The peer's way to do the work, where it has two and this is the faster; and the seconds of both, by their names. */
  form?: string;
  formSeconds?: Record<string, number>;
  /** How far both programs' results for the same work lie apart. */
  agreement: Agreement;
}

/** Peak of the resident memory of both programs at one piece of work, libraries included. */
export interface MemoryRow {
  work: string;
  size: string;
  peer: PeerName;
  /** Bytes. */
  ours: number;
  theirs: number;
  unit: "bytes";
  /** How many times as much memory the peer takes. */
  ratio: number;
  /** The same without the pages of files: the memory that is the program's own. */
  own: { ours: number; theirs: number; ratio: number };
}

/** The rows of peak memory that a report's rows hold. */
export function memoryRows(rows: readonly (ResultRow | FailedRow)[]): MemoryRow[] {
  return rows.filter(isResult).map(({ work, size, peer, peakBytes: { ours, theirs }, fileBytes }) => {
    const own = { ours: ours - fileBytes.ours, theirs: theirs - fileBytes.theirs };
    return { work: `peak memory of ${work}`, size, peer, ours, theirs, unit: "bytes", ratio: theirs / ours, own: { ...own, ratio: own.theirs / own.ours } };
  });
}

/** A comparison that could not be made, and why. */
export interface FailedRow {
  work: string;
  size: string;
  peer: PeerName;
  failure: string;
}

/** Time against one dimension of the work. */
export interface ScalingRow {
  over: string;
  program: string;
  points: { x: number; seconds: number }[];
}

export interface Report {
  date: string;
  mode: "quick" | "full";
  precision: Precision;
  machine: { processor: string; cores: number; memoryBytes: number; platform: string; device: string; threads: number };
  versions: Record<string, string>;
  /** Square matrix product of the engine, GFLOP/s: the peak that shares refer to. */
  matmulGigaflopsPerSecond: number;
  rows: (ResultRow | FailedRow)[];
  scaling: ScalingRow[];
}

/** The machine as a report has it. */
export function describeHost(): Pick<Report["machine"], "processor" | "cores" | "memoryBytes" | "platform"> {
  return { processor: cpus()[0]?.model.trim() ?? "unknown", cores: availableParallelism(), memoryBytes: totalmem(), platform: `${process.platform} ${process.arch}` };
}

const isResult = (row: ResultRow | FailedRow): row is ResultRow => "ratio" in row;
const MEGABYTE = 1e6;
/** Room in the plot for the name of a piece of work, pixels. */
const CATEGORY_WIDTH = 230;

/** The report as text. */
export function reportTables(report: Report): string {
  const rows = report.rows.map((row): TableRow => {
    if (!isResult(row)) return { work: row.work, size: row.size, peer: row.peer, ratio: `not measured: ${row.failure}` };
    return {
      work: row.work,
      size: row.size,
      batch: row.batchSize,
      peer: row.peer,
      ours: row.ours,
      theirs: row.theirs,
      unit: row.unit,
      ratio: row.ratio.toFixed(2),
      quartiles: row.spread.map((ratio) => ratio.toFixed(2)).join(" to "),
      "% of peak": row.shareOfPeak === undefined ? undefined : Math.round(100 * row.shareOfPeak),
      "first s ours": row.firstSeconds.ours.toFixed(1),
      "first s theirs": row.firstSeconds.theirs.toFixed(1),
    };
  });
  const { machine, versions, precision } = report;
  const caption = `${machine.processor}, ${machine.device}, ${precision}; ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}; matrix product ${report.matmulGigaflopsPerSecond.toFixed(0)} GFLOP/s`;
  const scaling = report.scaling.map(({ over, program, points }) => ({
    "time against": over,
    program,
    exponent: fittedExponent(points.map(({ x, seconds }) => ({ x, y: seconds }))).toFixed(2),
    points: points.map(({ x, seconds }) => `${x}: ${seconds.toPrecision(3)} s`).join(", "),
  }));
  const memory = memoryRows(report.rows).map(({ work, size, peer, ours, theirs, ratio, own }) => {
    const megabytes = (bytes: number): number => Math.round(bytes / MEGABYTE);
    return { work, size, peer, "ours MB": megabytes(ours), "theirs MB": megabytes(theirs), ratio: ratio.toFixed(2), "ours without files MB": megabytes(own.ours), "theirs without files MB": megabytes(own.theirs), "its ratio": own.ratio.toFixed(2) };
  });
  const forms = report.rows.filter(isResult).filter(({ form }) => form).map(({ work, size, peer, form, formSeconds }) => `${work}, ${size}, ${peer}: ${form} (${Object.entries(formSeconds!).map(([name, seconds]) => `${name}: ${seconds.toPrecision(3)} s`).join("; ")})`);
  const text = (list: TableRow[], options: object): string => String(table(list, options)["text/plain"]);
  return [
    ...(rows.length > 0 ? [text(rows, { caption: `${caption}\nA ratio above 1: the engine is that many times as fast as the peer. Before timing, both did the same steps from the same weights and agreed.` })] : []),
    ...(forms.length > 0 ? [`The peer in the faster of its forms:\n${forms.join("\n")}`] : []),
    ...(memory.length > 0 ? [text(memory, {})] : []),
    ...(scaling.length > 0 ? [text(scaling, {})] : []),
  ].join("\n\n");
}

/** The folder of the benchmark's results. */
export const resultsFolder = (): string => join(projectRoot(), "docs", "benchmarks");

/** Writes latest.json and the figures. @returns the files */
export async function writeReport(report: Report): Promise<string[]> {
  const results = report.rows.filter(isResult);
  const categories = [...new Set(results.map(({ work, size }) => `${work}, ${size}`))];
  const peers = [...new Set(results.map(({ peer }) => peer))];
  const ratioOf = (category: string, peer: PeerName): number => results.find((row) => `${row.work}, ${row.size}` === category && row.peer === peer)?.ratio ?? NaN;
  const files: [string, string][] = [["latest.json", `${JSON.stringify({ ...report, memory: memoryRows(report.rows) }, null, 2)}\n`]];
  if (results.length > 0) {
    const series = peers.map((peer) => ({ name: peer, values: categories.map((category) => ratioOf(category, peer)) }));
    files.push(["ratios.svg", figureSvg(barChart(series, { title: "How many times as fast as each peer", yTitle: "ratio of medians", yLog: true, categories, width: Math.max(1100, CATEGORY_WIDTH * categories.length), height: 480 }))]);
  }
  if (report.scaling.length > 0) {
    const series = report.scaling.map(({ over, program, points }) => ({ name: `${program}: ${over}`, x: points.map(({ x }) => x), y: points.map(({ seconds }) => seconds) }));
    files.push(["scaling.svg", figureSvg(lineChart(series, { title: "Time of a training step", xTitle: "batch size, tokens or depth", yTitle: "s/step", xLog: true, yLog: true, width: 900 }))]);
  }
  for (const [name, content] of files) await writeFileAtomic(join(resultsFolder(), name), content);
  return files.map(([name]) => join(resultsFolder(), name));
}
