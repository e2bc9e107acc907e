import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectedError, runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";

/**
 * Whether node_modules holds what package-lock.json asks for. npm writes node_modules/.package-lock.json as the last act
 * of an installation, so that an interrupted one is seen by its absence.
 */
export function packagesAreInstalled(folder = project) {
  const installed = readJson(join(folder, "node_modules", ".package-lock.json"))?.packages;
  const wanted = readJson(join(folder, "package-lock.json"))?.packages;
  if (!installed || !wanted) return false;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === "") return true;
    // Optional packages for other platforms are not installed.
    if (!(path in installed)) return optional === true;
    return installed[path].version === version && existsSync(join(folder, path, "package.json"));
  });
}

/** Installs the npm packages of package-lock.json with `npm ci`. */
export async function installPackages() {
  // When npm started this script, npm_execpath is that npm; else npm is looked for on the PATH.
  const npm = process.env.npm_execpath;
  const [command, ...prefix] = npm?.endsWith(".js") ? [process.execPath, npm] : [process.platform === "win32" ? "npm.cmd" : "npm"];
  const code = await runOnTerminal(command, [...prefix, "ci", "--no-progress", "--loglevel=error"], {
    cwd: project,
    stdio: ["ignore", "ignore", "inherit"],
    shell: command.endsWith(".cmd"),
  });
  if (code === 130) throw expectedError("Interrupted. Run it again: it goes on from here.", 130);
  if (code !== 0) {
    throw expectedError(
      "The npm packages could not be installed; npm says why above. Usual causes: no network (they are fetched only the first time), or a full disk. Run it again once that is mended.",
    );
  }
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
