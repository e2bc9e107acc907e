import { createProgress, formatDuration } from "../model/progress";
import { runCommand } from "./command";
import type { SetupContext } from "./part";
import { environmentPython, pythonVariables } from "./python";

const MEGABYTE = 1e6;

/**
 * Unpacks wheels into a folder with the pip of the project's environment, for packages that are used as files and never
 * imported by Python; so whichever Python the user has, wheels of CPython `wheelPython` will do.
 *
 * @param requirements arguments as pip reads them, e.g. ["ziglang==0.17.1"] or ["--requirement", path]
 */
export async function unpackWheels(
  requirements: readonly string[],
  folder: string,
  { project, environment, signal }: SetupContext,
  update: (text: string) => void,
  wheelPython = "3.12",
): Promise<void> {
  const pipArguments = ["-m", "pip", "install", "--progress-bar=raw", "--target", folder, "--no-deps", "--only-binary=:all:", "--python-version", wheelPython];
  await runCommand(environmentPython(project), [...pipArguments, ...requirements], {
    env: pythonVariables(environment),
    signal,
    onLine: downloadListener(update),
  });
}

/** Turns the lines that pip prints with --progress-bar=raw into lines for people. */
export function downloadListener(update: (text: string) => void, now?: () => number): (line: string) => void {
  let name = "";
  let progress: ReturnType<typeof createProgress> | undefined;
  let received = 0;
  return (line) => {
    const file = /^\s*(?:Downloading|Using cached) (\S+)/.exec(line);
    if (file) {
      name = decodeURIComponent(file[1].split("/").at(-1) ?? file[1]).split("-")[0];
      progress = undefined;
    }
    const bytes = /^Progress (\d+) of (\d+)/.exec(line);
    if (bytes) {
      const [done, total] = [Number(bytes[1]), Number(bytes[2])];
      if (!(total > 0)) return;
      if (!progress) {
        progress = createProgress({ label: name, total, now });
        received = 0;
      }
      const { secondsLeft } = progress.advance(done - received);
      received = done;
      const left = secondsLeft === undefined ? "" : `, ${formatDuration(secondsLeft)} left`;
      update(`fetching ${name}: ${Math.round(done / MEGABYTE)} of ${Math.round(total / MEGABYTE)} MB${left}`);
    }
    if (line.startsWith("Installing collected packages")) update("unpacking");
  };
}
