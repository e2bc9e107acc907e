import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { cacheDirectory, projectRoot } from "../model/files";
import { inspectParts, setupParts } from "../setup";
import { freeDiskSpace } from "../setup/folders";
import { MINIMUM_PYTHON, findPython } from "../setup/python";
import { describeMachine, planRuntime, type Machine } from "../setup/runtime";
import { EXIT, addExamples, addJsonOption, formatTable } from "./output";

/** One thing that the doctor looked at. */
export interface Finding {
  check: string;
  ok: boolean;
  /** Without it nothing works; the others cost a feature or speed. */
  essential: boolean;
  detail: string;
  /** What to do about it; only if it is not ok. */
  remedy?: string;
}

const GIGABYTE = 1e9;
/** A training of the small preset with JupyterLab and one kernel. */
const COMFORTABLE_MEMORY_BYTES = 4e9;
/** Runs, figures and a rebuilt environment. */
const COMFORTABLE_DISK_BYTES = 2e9;

export function doctorCommand(): Command {
  const command = new Command("doctor").description("look at everything that CrossFlow needs and say what to do where something is missing");
  addJsonOption(command).action(async ({ json }: { json?: boolean }) => {
    const findings = await examine();
    const ok = findings.every((finding) => finding.ok || !finding.essential);
    console.log(json ? JSON.stringify({ ok, findings }, null, 2) : formatFindings(findings));
    process.exitCode = ok ? EXIT.ok : EXIT.failed;
  });
  addExamples(command, ["doctor", "doctor --json"]);
  return command.addHelpText("after", "\nThe exit code is 1 if something essential is missing.");
}

/** Looks at everything; changes nothing and needs no network. */
export async function examine(environment: NodeJS.ProcessEnv = process.env): Promise<Finding[]> {
  const context = { project: projectRoot(), cache: cacheDirectory(environment), environment, signal: new AbortController().signal };
  const parts = await inspectParts(setupParts, context);
  return [
    examineNode(context.project),
    await examinePython(context),
    await examineEngine(),
    ...parts.map(({ title, ok, essential, detail, remedy }) => ({ check: title, ok, essential, detail, remedy })),
    describeDisk(await freeDiskSpace(context.project), context.project),
    describeMemory(availableMemory(), totalmem()),
  ];
}

function examineNode(project: string): Finding {
  const minimum = String(JSON.parse(readFileSync(join(project, "package.json"), "utf8")).engines.node).replace(">=", "");
  const [wanted, found] = [minimum, process.versions.node].map((version) => version.split(".").map(Number));
  const ok = found[0] > wanted[0] || (found[0] === wanted[0] && found[1] >= wanted[1]);
  return { check: "Node", ok, essential: true, detail: process.versions.node, remedy: ok ? undefined : `install Node ${minimum} or later` };
}

async function examinePython(context: Parameters<typeof findPython>[0]): Promise<Finding> {
  try {
    const { version, executable } = await findPython(context);
    return { check: "Python", ok: true, essential: true, detail: `${version.join(".")} (${executable})` };
  } catch (error) {
    return { check: "Python", ok: false, essential: true, detail: `none that is ${MINIMUM_PYTHON.join(".")} or later with pip`, remedy: (error as Error).message };
  }
}

async function examineEngine(): Promise<Finding> {
  try {
    const { startEngine } = await import("../model/engine/index.js");
    const notices: string[] = [];
    const { name, version, device } = await startEngine({ announce: (line) => notices.push(line) });
    return describeEngine(name, version, device, describeMachine(), notices);
  } catch (error) {
    return { check: "engine", ok: false, essential: true, detail: (error as Error).message.split("\n")[0], remedy: "npx crossflow setup" };
  }
}

/** @param notices what the engine said when it started, e.g. that WebAssembly takes over */
export function describeEngine(name: string, version: string, device: string, machine: Machine, notices: readonly string[]): Finding {
  const finding = { check: "engine", essential: true, detail: `${name} ${version} on ${device}` };
  if (notices.length > 0 && planRuntime(machine)) return { ...finding, ok: false, essential: false, remedy: notices.join(" ") };
  if (machine.hasNvidiaGpu && device.startsWith("CPU")) {
    return { ...finding, ok: false, essential: false, remedy: "the NVIDIA GPU is not used: see that `nvidia-smi` works and the driver is 525 or later, then run npx crossflow setup" };
  }
  return { ...finding, ok: true };
}

/** @param freeBytes what this user may still write */
export function describeDisk(freeBytes: number, folder: string): Finding {
  const ok = freeBytes >= COMFORTABLE_DISK_BYTES;
  return {
    check: "disk space",
    ok,
    essential: false,
    detail: `${(freeBytes / GIGABYTE).toFixed(1)} GB free`,
    remedy: ok ? undefined : `free some space on the disk of ${folder}: ${COMFORTABLE_DISK_BYTES / GIGABYTE} GB are comfortable`,
  };
}

/** Bytes that programs may still take, including what a container's limit allows. */
function availableMemory(): number {
  // Pages that only cache files count as available, which the plain "free" leaves out.
  const available = readAvailableMemory() ?? freemem();
  const limit = process.constrainedMemory();
  return limit > 0 && limit < totalmem() ? Math.min(available, process.availableMemory()) : available;
}

function readAvailableMemory(): number | undefined {
  try {
    const kibibytes = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}

export function describeMemory(availableBytes: number, totalBytes: number): Finding {
  const ok = availableBytes >= COMFORTABLE_MEMORY_BYTES;
  return {
    check: "memory",
    ok,
    essential: false,
    detail: `${(availableBytes / GIGABYTE).toFixed(1)} of ${(totalBytes / GIGABYTE).toFixed(1)} GB available`,
    remedy: ok ? undefined : `close other programs: ${COMFORTABLE_MEMORY_BYTES / GIGABYTE} GB are comfortable for a training`,
  };
}

/** The table that a person reads, what to do below each line that needs it, and a verdict. */
export function formatFindings(findings: readonly Finding[]): string {
  const rows = findings.map(({ check, ok, essential, detail }) => [check, ok ? "ok" : essential ? "MISSING" : "note", detail]);
  const lines = formatTable(rows).split("\n").flatMap((line, index) => {
    const { ok, remedy } = findings[index];
    return ok || !remedy ? [line] : [line, `    what to do: ${remedy}`];
  });
  const missing = findings.filter((finding) => !finding.ok && finding.essential).map(({ check }) => check);
  const verdict = missing.length === 0 ? "Everything essential is there." : `Missing: ${missing.join(", ")}.`;
  return [...lines, "", verdict].join("\n");
}
