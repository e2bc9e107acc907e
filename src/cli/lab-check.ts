import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { jupyterDataFolder } from "../kernel-helpers/kernelspec";
import { kernelState } from "../setup/kernel";
import { environmentPython } from "../setup/python";

/** The first JupyterLab whose renderers, widgets and stop button this kernel's displays were tried with. */
const oldestLab: readonly [number, number] = [4, 2];

/** What stands in the way of opening JupyterLab, each with what to do; empty if nothing does. @param dataFolder Jupyter's data folder that holds the kernel */
export async function labProblems(project: string, further: readonly string[], dataFolder: string = jupyterDataFolder()): Promise<string[]> {
  if (!existsSync(environmentPython(project))) return ["JupyterLab is not installed. Run: npx crossflow setup"];
  const problems: string[] = [];
  const version = installedLab(project);
  if (version === undefined) problems.push("The Python environment .venv has no JupyterLab. Run: npx crossflow setup");
  else if (isOlder(version)) problems.push(`JupyterLab ${version} in .venv is too old: it needs ${oldestLab.join(".")} or later. Delete the folder .venv, then run: npx crossflow setup`);
  const kernel = kernelState(dataFolder);
  if (!kernel.ok) problems.push(`The notebook kernel is ${kernel.detail} (in ${dataFolder}). Run: npx crossflow setup`);
  const port = askedPort(further);
  if (port !== undefined && !(await isFree(port))) {
    problems.push(`Port ${port} is in use by another program. Give another by --port, leave --port out to take a free one, or see what runs: ${environmentPython(project)} -m jupyter server list`);
  }
  return problems;
}

/** A line for those whose machine has no browser to open; undefined where there may be one. */
export function missingBrowserHint(further: readonly string[], environment: NodeJS.ProcessEnv, platform: NodeJS.Platform = process.platform): string | undefined {
  const hasDisplay = environment.DISPLAY || environment.WAYLAND_DISPLAY || environment.BROWSER;
  if (platform !== "linux" || hasDisplay || further.includes("--no-browser")) return undefined;
  const port = askedPort(further) ?? 8888;
  return `No display here, so no browser opens. Open the address that Jupyter prints; from another machine first run there: ssh -L ${port}:localhost:${port} THIS-MACHINE`;
}

function installedLab(project: string): string | undefined {
  const library = process.platform === "win32" ? join(project, ".venv", "Lib") : join(project, ".venv", "lib");
  const folders = existsSync(library) ? readdirSync(library, { withFileTypes: true }).filter((entry) => entry.isDirectory()) : [];
  const packages = process.platform === "win32" ? [join(library, "site-packages")] : folders.map(({ name }) => join(library, name, "site-packages"));
  const names = packages.flatMap((folder) => (existsSync(folder) ? readdirSync(folder) : []));
  return names.map((name) => /^jupyterlab-(\d.*)\.dist-info$/.exec(name)?.[1]).find((version) => version !== undefined);
}

function isOlder(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  return major < oldestLab[0] || (major === oldestLab[0] && minor < oldestLab[1]);
}

function askedPort(further: readonly string[]): number | undefined {
  for (const [index, argument] of further.entries()) {
    const match = /^--(?:ServerApp\.)?port(?:=(\d+))?$/.exec(argument);
    if (match) return Number(match[1] ?? further[index + 1]);
  }
  return undefined;
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    probe.listen(port, "127.0.0.1");
    await once(probe, "listening");
    return true;
  } catch {
    return false;
  } finally {
    probe.close();
  }
}
