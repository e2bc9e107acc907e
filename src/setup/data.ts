import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../model/files";
import { formatDuration } from "../model/progress";
import type { Part, SetupContext } from "./part";

/** Written when the whole data set was there: what it depends on, and its files with their sizes in bytes. */
interface DataStamp {
  packages: string;
  images: number;
  files: Record<string, number>;
}

function stampPath(project: string): string {
  return join(project, ".crossflow", "avatars.json");
}

/** The avatars are drawn by npm packages: with other versions of them they are other pictures. */
function packagesFingerprint(project: string): string {
  return createHash("sha256").update(readFileSync(join(project, "package-lock.json"))).digest("hex");
}

function avatarFiles(project: string): Record<string, number> {
  const data = join(project, "data");
  const folders = readdirSync(data).filter((name) => name.startsWith("avatars-"));
  const files = folders.flatMap((folder) => readdirSync(join(data, folder)).map((name) => join(folder, name)));
  return Object.fromEntries(files.sort().map((file) => [file, statSync(join(data, file)).size]));
}

function readStamp(project: string): DataStamp | undefined {
  try {
    return JSON.parse(readFileSync(stampPath(project), "utf8"));
  } catch {
    return undefined;
  }
}

function filesAreThere(project: string, files: Record<string, number>): boolean {
  try {
    return Object.entries(files).every(([file, size]) => statSync(join(project, "data", file)).size === size);
  } catch {
    return false;
  }
}

/** The avatars that the notebooks train on, rendered once into data/. */
export const dataPart: Part = {
  name: "data",
  title: "avatars",
  without: "they are rendered when a notebook or a training first asks for them",

  async check({ project }) {
    const stamp = readStamp(project);
    if (stamp?.packages !== packagesFingerprint(project) || !filesAreThere(project, stamp.files)) {
      return { ok: false, detail: "not rendered", remedy: "npx crossflow setup" };
    }
    return { ok: true, detail: `${stamp.images.toLocaleString("en")} images of 32 x 32` };
  },

  plan: () => "rendering the data set, 28,000 avatars (1 to 2 min)",

  async install({ project, signal }: SetupContext, update) {
    // Loaded here only: a check must not need the drawing libraries.
    const { loadAvatars } = await import("../model/data/avatars.js");
    const { train, test } = await loadAvatars(
      { dataFolder: join(project, "data") },
      {
        signal,
        onProgress: ({ done, total, secondsLeft }) => {
          const left = secondsLeft === undefined ? "" : `, ${formatDuration(secondsLeft)} left`;
          update(`rendered ${done} of ${total} avatars${left}`);
        },
      },
    );
    const stamp: DataStamp = { packages: packagesFingerprint(project), images: train.size + test.size, files: avatarFiles(project) };
    await writeFileAtomic(stampPath(project), `${JSON.stringify(stamp, null, 2)}\n`);
  },
};
