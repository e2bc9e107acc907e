import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { runCommand } from "./command";
import { SetupError } from "./errors";
import type { Part } from "./part";

const PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC_PROGRAMS = ["/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];

/**
 * A Chromium that tests can drive: the one named by CROSSFLOW_CHROMIUM, or the first found.
 *
 * @returns its path, or undefined if there is none
 */
export function findChromium(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  if (environment.CROSSFLOW_CHROMIUM) return environment.CROSSFLOW_CHROMIUM;
  const folders = (environment.PATH ?? "").split(delimiter);
  const candidates = [...PROGRAMS.flatMap((program) => folders.map((folder) => join(folder, program))), ...MAC_PROGRAMS];
  return candidates.find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a person is told where the browser tests can't run. */
export const MISSING_CHROMIUM = "the browser tests need Chromium: install it (Debian: apt install chromium) or name one in CROSSFLOW_CHROMIUM";

/** Chromium for the browser tests, a Debian package; only `npm test` asks for it. */
export const browserPart: Part = {
  name: "browser",
  title: "Chromium",
  without: MISSING_CHROMIUM,

  async check({ environment }) {
    const program = findChromium(environment);
    return program ? { ok: true, detail: program } : { ok: false, detail: "not installed", remedy: MISSING_CHROMIUM };
  },

  plan: () => "installing Debian's chromium for the browser tests (about 1 min)",

  async install({ environment, signal }, update) {
    if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) throw new SetupError("only the administrator of a Debian system can install it from here.");
    const options = { signal, env: { ...environment, DEBIAN_FRONTEND: "noninteractive" } };
    update("reading the package lists");
    await runCommand("apt-get", ["update", "--quiet"], options);
    await runCommand("apt-get", ["install", "--yes", "--quiet", "--no-install-recommends", "chromium"], {
      ...options,
      onLine: (line) => update(line),
    });
  },
};
