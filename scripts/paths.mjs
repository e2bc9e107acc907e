import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const project = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/** The same folder as cacheDirectory() of src/model/files.ts, which isn't compiled yet when this is needed. */
export function cacheDirectory(environment = process.env) {
  if (environment.CROSSFLOW_CACHE) return resolve(environment.CROSSFLOW_CACHE);
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "crossflow");
  if (process.platform === "win32") return join(environment.LOCALAPPDATA ?? join(homedir(), "AppData", "Local"), "crossflow", "Cache");
  return join(environment.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "crossflow");
}
