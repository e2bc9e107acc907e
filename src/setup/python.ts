import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { writeFileAtomic } from "../model/files";
import { runCommand } from "./command";
import { SetupError } from "./errors";
import { requireDiskSpace } from "./folders";
import type { Part, SetupContext } from "./part";

export const MINIMUM_PYTHON: readonly [number, number] = [3, 10];
const ENVIRONMENT_BYTES = 0.6e9;
/** What JupyterLab starts with in place of its own defaults: widgets stay in the file, and nothing asks for a network. */
const JUPYTERLAB_SETTINGS = {
  "@jupyter-widgets/jupyterlab-manager:plugin": { saveState: true },
  "@jupyterlab/apputils-extension:notification": { checkForUpdates: false, fetchNews: "false" },
};

/** What one Python interpreter says about itself. */
export interface PythonFacts {
  executable: string;
  version: readonly [number, number, number];
  /** Modules of these names that it has. */
  modules: readonly string[];
}

/** A command that starts some Python, with the arguments that choose the version. */
type PythonCommand = readonly [command: string, ...prefix: string[]];

const PROBE = `
import sys, json
from importlib.util import find_spec
modules = [name for name in ("pip", "ensurepip", "venv") if find_spec(name)]
print(json.dumps({"executable": sys.executable, "version": sys.version_info[:3], "modules": modules}))
`;

function pythonCommands(environment: NodeJS.ProcessEnv): PythonCommand[] {
  if (environment.CROSSFLOW_PYTHON) return [[environment.CROSSFLOW_PYTHON]];
  if (process.platform === "win32") return [["py", "-3"], ["python"]];
  return [["python3"], ["python"], ["python3.14"], ["python3.13"], ["python3.12"], ["python3.11"], ["python3.10"]];
}

/**
 * Finds a Python that can make the project's environment: the first on the PATH that is new enough and has the module
 * venv and either pip or ensurepip. The variable CROSSFLOW_PYTHON names one instead.
 *
 * @throws SetupError that says what was found and what is missing
 */
export async function findPython({ environment, signal }: Pick<SetupContext, "environment" | "signal">): Promise<PythonFacts> {
  const found: PythonFacts[] = [];
  for (const [command, ...prefix] of pythonCommands(environment)) {
    let facts: PythonFacts;
    try {
      facts = JSON.parse(await runCommand(command, [...prefix, "-c", PROBE], { env: environment, signal }));
    } catch (error) {
      if (signal.aborted) throw error;
      continue;
    }
    if (objectionTo(facts) === undefined) return facts;
    found.push(facts);
  }
  throw new SetupError(describeMissingPython(found, environment));
}

/** Why a Python won't do, in words, e.g. "is too old" or "lacks pip"; undefined if it will do. */
function objectionTo({ version, modules }: PythonFacts): string | undefined {
  if (version[0] < MINIMUM_PYTHON[0] || (version[0] === MINIMUM_PYTHON[0] && version[1] < MINIMUM_PYTHON[1])) return "is too old";
  if (!modules.includes("venv")) return "lacks the module venv";
  if (!modules.includes("pip") && !modules.includes("ensurepip")) return "lacks pip";
  return undefined;
}

/** One message for the person who has to mend it. */
export function describeMissingPython(found: readonly PythonFacts[], environment: NodeJS.ProcessEnv = {}): string {
  const wanted = `CrossFlow needs Python ${MINIMUM_PYTHON.join(".")} or later with pip`;
  if (found.length === 0) {
    const searched = environment.CROSSFLOW_PYTHON ? `CROSSFLOW_PYTHON=${environment.CROSSFLOW_PYTHON} is not a Python` : "there is none on the PATH";
    return `${wanted}, and ${searched}. Install Python 3.12 (Debian, Ubuntu: apt install python3 python3-pip python3-venv) and run it again.`;
  }
  const seen = found.map((facts) => `${facts.executable} (${facts.version.join(".")}) ${objectionTo(facts)}`);
  return `${wanted}: ${[...new Set(seen)].join("; ")}. Install a Python that will do (Debian, Ubuntu: apt install python3 python3-pip python3-venv) or name one in CROSSFLOW_PYTHON, and run it again.`;
}

/** The interpreter of the project's own environment. */
export function environmentPython(project: string): string {
  return process.platform === "win32" ? join(project, ".venv", "Scripts", "python.exe") : join(project, ".venv", "bin", "python");
}

/** Variables for pip and Jupyter: the user's, without those that would lead an installation out of its folder. */
export function pythonVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const variables: NodeJS.ProcessEnv = { ...environment, PIP_USER: "0", PIP_REQUIRE_VIRTUALENV: "0", PIP_DISABLE_PIP_VERSION_CHECK: "1", PIP_NO_INPUT: "1" };
  for (const name of ["PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT"]) delete variables[name];
  return variables;
}

function requirementsPath(project: string): string {
  return join(project, "scripts", "requirements.txt");
}

function requirementLines(project: string): string[] {
  return readFileSync(requirementsPath(project), "utf8").split("\n").filter((line) => /^[\w-]/.test(line));
}

function stampPath(project: string): string {
  return join(project, ".venv", ".complete.json");
}

/** The environment holds paths of the project, so that it must be made again when the project moves. */
function environmentFingerprint(project: string): string {
  return createHash("sha256").update(project).update("\0").update(requirementLines(project).join("\n")).update(JSON.stringify(JUPYTERLAB_SETTINGS)).digest("hex");
}

interface EnvironmentStamp {
  fingerprint: string;
  python: string;
  jupyterlab: string;
}

function readStamp(project: string): EnvironmentStamp | undefined {
  try {
    return JSON.parse(readFileSync(stampPath(project), "utf8"));
  } catch {
    return undefined;
  }
}

function pinnedVersion(project: string, name: string): string {
  const line = requirementLines(project).find((requirement) => requirement.startsWith(`${name}==`));
  if (!line) throw new SetupError(`scripts/requirements.txt pins no ${name}.`);
  return line.slice(name.length + 2).split(" ")[0];
}

/** The project's Python environment with JupyterLab, in .venv. */
export const pythonPart: Part = {
  name: "python",
  title: "Python, Jupyter",

  async check({ project }) {
    const stamp = readStamp(project);
    const interpreter = environmentPython(project);
    if (stamp?.fingerprint !== environmentFingerprint(project) || !existsSync(interpreter)) {
      return { ok: false, detail: stamp ? "out of date" : "not installed", remedy: "npx crossflow setup" };
    }
    return { ok: true, detail: `Python ${stamp.python}, JupyterLab ${stamp.jupyterlab}` };
  },

  plan: () => "installing JupyterLab into .venv (30 s to 2 min)",

  async install(context, update) {
    const { project, signal } = context;
    const base = await findPython(context);
    await requireDiskSpace(project, ENVIRONMENT_BYTES, "the Python environment");
    const folder = join(project, ".venv");
    await rm(folder, { recursive: true, force: true });
    const options = { env: pythonVariables(context.environment), signal };
    // Debian ships venv without its pip; so pip is put in afterwards, by the base interpreter's pip or by ensurepip.
    await runCommand(base.executable, ["-m", "venv", "--without-pip", folder], options);
    const interpreter = environmentPython(project);
    if (base.modules.includes("pip")) {
      const packages = await runCommand(interpreter, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], options);
      await runCommand(base.executable, ["-m", "pip", "install", "--target", packages.trim(), `pip==${pinnedVersion(project, "pip")}`], options);
    } else {
      await runCommand(interpreter, ["-m", "ensurepip"], options);
    }
    const total = requirementLines(project).length;
    let collected = 0;
    const onLine = (line: string): void => {
      if (line.startsWith("Collecting ")) update(`fetching package ${++collected} of about ${total}`);
      if (line.startsWith("Installing collected packages")) update("unpacking (15 to 60 s)");
    };
    await runCommand(interpreter, ["-m", "pip", "install", "--requirement", requirementsPath(project)], { ...options, onLine });
    const settings = join(folder, "share", "jupyter", "lab", "settings");
    await mkdir(settings, { recursive: true });
    await writeFileAtomic(join(settings, "overrides.json"), `${JSON.stringify(JUPYTERLAB_SETTINGS, null, 2)}\n`);
    const stamp: EnvironmentStamp = {
      fingerprint: environmentFingerprint(project),
      python: base.version.join("."),
      jupyterlab: pinnedVersion(project, "jupyterlab"),
    };
    await writeFileAtomic(stampPath(project), `${JSON.stringify(stamp, null, 2)}\n`);
  },
};
