import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";

const SOURCE_FOLDERS = ["src", "test", "bench"];
const OUTPUT = join(project, "dist");
const STAMP = join(OUTPUT, ".sources-sha256");

/** npm run build: compiles what changed; exit code 1 if the compiler found errors. */
export async function run() {
  return buildIsCurrent() ? 0 : build();
}

export function buildIsCurrent() {
  return existsSync(STAMP) && readFileSync(STAMP, "utf8") === sourcesHash();
}

/** Compiles the TypeScript sources into dist/ and gives the compiler's exit code. */
export async function build() {
  const hash = sourcesHash();
  rmSync(STAMP, { force: true });
  removeOrphans();
  const compile = (folder) => runOnTerminal(process.execPath, [join(project, "node_modules", "typescript", "bin", "tsc"), "-p", folder], { cwd: project });
  // What runs in a browser is checked apart, against a browser's types; esbuild bundles it when a page is written.
  const code = (await compile(project)) || (await compile(join(project, "src", "page", "client")));
  if (code === 0) {
    writeFileSync(`${STAMP}.tmp`, hash);
    renameSync(`${STAMP}.tmp`, STAMP);
  }
  return code;
}

function sourcesHash() {
  const hash = createHash("sha256");
  const files = SOURCE_FOLDERS.flatMap((folder) => listFiles(join(project, folder))).filter((file) => file.endsWith(".ts"));
  for (const file of [join(project, "tsconfig.json"), join(project, "package-lock.json"), ...files]) {
    hash.update(`${relative(project, file)}\0`).update(readFileSync(file)).update("\0");
  }
  return hash.digest("hex");
}

/** Removes what was compiled from sources that no longer exist: a deleted test must not go on running. */
function removeOrphans() {
  for (const declaration of SOURCE_FOLDERS.flatMap((folder) => listFiles(join(OUTPUT, folder))).filter((file) => file.endsWith(".d.ts"))) {
    const stem = declaration.slice(0, -".d.ts".length);
    if (existsSync(`${join(project, relative(OUTPUT, stem))}.ts`)) continue;
    for (const extension of [".d.ts", ".js", ".js.map"]) rmSync(stem + extension, { force: true });
  }
}

/** All files below a folder in a fixed order; none if the folder doesn't exist. */
export function listFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
