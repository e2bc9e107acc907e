import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runCommand } from "../src/setup/command";
import { folderIsComplete, installFolder, requireDiskSpace } from "../src/setup/folders";
import { downloadListener } from "../src/setup/pip";
import { environmentPython, findPython, pythonVariables } from "../src/setup/python";
import type { SetupContext } from "../src/setup/part";

/** Room for PyTorch, of which the Linux build on the package index brings its CUDA libraries, and JAX. */
const ENVIRONMENT_BYTES = 9e9;
const PYTHON = process.platform === "win32" ? join("Scripts", "python.exe") : join("bin", "python");

/** The folder of the peers' programs. */
export const peersFolder = (project: string): string => join(project, "bench", "peers");

/**
 * The Python that has the peers' packages: an environment of its own in the user's cache folder, made from PyPI when it is not there. Another
 * Python or other versions make another environment.
 * @throws SetupError when there is no Python, no network or no room
 */
export async function peersPython(context: SetupContext, update: (text: string) => void): Promise<string> {
  const requirements = join(peersFolder(context.project), "requirements.txt");
  const base = await findPython(context);
  const hash = createHash("sha256").update(readFileSync(requirements)).update(base.version.join(".")).digest("hex").slice(0, 12);
  const target = join(context.cache, `peers-${hash}`);
  if (!folderIsComplete(target)) {
    await requireDiskSpace(context.cache, ENVIRONMENT_BYTES, "the peers' environment");
    await installFolder({ target, files: ["pyvenv.cfg"], fill: (temporary) => fillEnvironment(temporary, base.executable, requirements, context, update) });
  }
  return join(target, PYTHON);
}

async function fillEnvironment(folder: string, python: string, requirements: string, { project, environment, signal }: SetupContext, update: (text: string) => void): Promise<void> {
  update("installing PyTorch and JAX from PyPI (once; up to 3 GB)");
  const options = { env: pythonVariables(environment), signal };
  await runCommand(python, ["-m", "venv", "--without-pip", folder], options);
  const install = ["-m", "pip", "--python", join(folder, PYTHON), "install", "--progress-bar=raw", "--requirement", requirements];
  await runCommand(environmentPython(project), install, { ...options, onLine: downloadListener(update) });
}
