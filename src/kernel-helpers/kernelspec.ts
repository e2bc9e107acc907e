import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { describeFileError, projectRoot } from "../model/files";

/** The name that notebooks refer to the kernel by, and that of its folder. */
export const kernelName = "crossflow";

/** What Jupyter reads to start a kernel (kernel.json). */
export interface KernelSpec {
  argv: string[];
  display_name: string;
  language: string;
  interrupt_mode: "signal" | "message";
  metadata: { crossflow: { project: string } };
}

export interface KernelPlace {
  /** True: the user's own Jupyter folder, where any JupyterLab of theirs finds the kernel. */
  user?: boolean;
  /** Installs to PREFIX/share/jupyter, as for a virtual environment. */
  prefix?: string;
}

export interface InstalledKernel {
  name: string;
  displayName: string;
  folder: string;
  /** Whether it is a CrossFlow kernel, of this project or another checkout. */
  isOwn: boolean;
}

/** The command line that starts the kernel, with "{connection_file}" where Jupyter puts the connection's file. */
export function kernelCommand(project: string = projectRoot()): string[] {
  const preload = join(project, "dist", "src", "kernel-helpers", "preload.js");
  const tslab = require.resolve("tslab/bin/tslab", { paths: [project] });
  return [process.execPath, "--require", preload, tslab, "kernel", "--config-path", "{connection_file}"];
}

/** The content of kernel.json for this project. */
export function kernelSpec(project: string = projectRoot()): KernelSpec {
  return {
    argv: kernelCommand(project),
    display_name: "CrossFlow (TypeScript)",
    language: "typescript",
    interrupt_mode: "signal",
    metadata: { crossflow: { project } },
  };
}

/**
 * The Jupyter data folder (the one that holds "kernels") which a {@link KernelPlace} means. Neither given: that of the
 * project's virtual environment, .venv, or .jupyter beside it where there is none (Jupyter then needs it in JUPYTER_PATH).
 */
export function jupyterDataFolder({ user = false, prefix }: KernelPlace = {}, environment: NodeJS.ProcessEnv = process.env): string {
  if (user && prefix !== undefined) throw new Error("Give either user or prefix for the kernel's place, not both.");
  if (prefix !== undefined) return join(resolve(prefix), "share", "jupyter");
  if (user) return userDataFolder(environment);
  const project = projectRoot();
  return existsSync(join(project, ".venv")) ? join(project, ".venv", "share", "jupyter") : join(project, ".jupyter");
}

function userDataFolder(environment: NodeJS.ProcessEnv): string {
  if (environment.JUPYTER_DATA_DIR) return resolve(environment.JUPYTER_DATA_DIR);
  if (process.platform === "darwin") return join(homedir(), "Library", "Jupyter");
  if (process.platform === "win32") return join(environment.APPDATA ?? join(homedir(), "AppData", "Roaming"), "jupyter");
  return join(environment.XDG_DATA_HOME ?? join(homedir(), ".local", "share"), "jupyter");
}

/**
 * Makes the kernel known to Jupyter. What was there before is replaced in one step, if it is CrossFlow's.
 *
 * @returns the kernel's folder
 * @throws Error if another program's kernel has the name, if the package isn't built, or if the folder can't be written
 */
export async function installKernel(place: KernelPlace = {}): Promise<string> {
  const spec = kernelSpec();
  const preload = spec.argv[2];
  if (!existsSync(preload)) throw new Error(`The kernel isn't built: ${preload} is missing. Run \`npm run build\` first.`);
  const kernels = join(jupyterDataFolder(place), "kernels");
  const folder = join(kernels, kernelName);
  if (existsSync(folder) && !isOwnKernel(folder)) {
    throw new Error(`${folder} holds another program's kernel of the name "${kernelName}". Move it away, then install again.`);
  }
  const suffix = `${process.pid}-${randomBytes(4).toString("hex")}`;
  const [fresh, replaced] = [join(kernels, `.${kernelName}-new-${suffix}`), join(kernels, `.${kernelName}-old-${suffix}`)];
  try {
    await mkdir(fresh, { recursive: true });
    await writeFile(join(fresh, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
    if (existsSync(folder)) await rename(folder, replaced);
    await rename(fresh, folder);
  } catch (error) {
    throw new Error(`Could not install the kernel to ${folder}: ${describeFileError(error)}`, { cause: error });
  } finally {
    await Promise.all([fresh, replaced].map((path) => rm(path, { recursive: true, force: true })));
  }
  return folder;
}

/**
 * Removes the kernel from where {@link installKernel} put it; another program's kernel of that name stays.
 *
 * @returns the folder that was removed; undefined if there was none of ours
 */
export async function uninstallKernel(place: KernelPlace = {}): Promise<string | undefined> {
  const folder = join(jupyterDataFolder(place), "kernels", kernelName);
  if (!isOwnKernel(folder)) return undefined;
  await rm(folder, { recursive: true });
  return folder;
}

/** The kernels installed in the project's own and in the user's Jupyter folder, CrossFlow's and others. */
export async function listKernels(environment: NodeJS.ProcessEnv = process.env): Promise<InstalledKernel[]> {
  const project = projectRoot();
  const places = [join(project, ".venv", "share", "jupyter"), join(project, ".jupyter"), userDataFolder(environment)];
  const found: InstalledKernel[] = [];
  for (const place of new Set(places)) {
    const kernels = join(place, "kernels");
    for (const name of existsSync(kernels) ? (await readdir(kernels)).sort() : []) {
      const folder = join(kernels, name);
      const spec = readSpec(folder);
      if (spec && !name.startsWith(".")) found.push({ name, displayName: String(spec.display_name ?? name), folder, isOwn: isOwnKernel(folder) });
    }
  }
  return found;
}

function isOwnKernel(folder: string): boolean {
  return readSpec(folder)?.metadata?.crossflow !== undefined;
}

function readSpec(folder: string): Partial<KernelSpec> | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "kernel.json"), "utf8"));
  } catch {
    return undefined;
  }
}
