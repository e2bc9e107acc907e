import { chmodSync, lstatSync, mkdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { Part } from "./part";

/** Makes `npx crossflow` and `import "crossflow"` work in the project itself: links from node_modules to the project. */
export const linksPart: Part = {
  name: "links",
  title: "crossflow",

  async check({ project }) {
    const ok = isLink(join(project, "node_modules", "crossflow"), projectLinkTarget(project)) && commandIsLinked(project);
    return ok ? { ok, detail: "npx crossflow" } : { ok, detail: "not linked", remedy: "npx crossflow setup" };
  },

  plan: () => "linking the command crossflow",

  async install({ project }) {
    replaceLink(join(project, "node_modules", "crossflow"), projectLinkTarget(project));
    const bin = join(project, "node_modules", ".bin");
    mkdirSync(bin, { recursive: true });
    if (process.platform === "win32") {
      writeFileSync(join(bin, "crossflow.cmd"), windowsCommand(project));
    } else {
      chmodSync(commandFile(project), 0o755);
      replaceLink(join(bin, "crossflow"), relative(bin, commandFile(project)));
    }
  },
};

/** Windows' junctions know absolute paths only; elsewhere the link moves along with the project. */
function projectLinkTarget(project: string): string {
  return process.platform === "win32" ? project : "..";
}

function commandFile(project: string): string {
  return join(project, "dist", "src", "cli", "index.js");
}

function windowsCommand(project: string): string {
  return `@node "${commandFile(project)}" %*\r\n`;
}

function commandIsLinked(project: string): boolean {
  const bin = join(project, "node_modules", ".bin");
  try {
    if (process.platform === "win32") return readFileSync(join(bin, "crossflow.cmd"), "utf8") === windowsCommand(project);
    const executable = (lstatSync(commandFile(project)).mode & 0o111) !== 0;
    return executable && isLink(join(bin, "crossflow"), relative(bin, commandFile(project)));
  } catch {
    return false;
  }
}

function isLink(path: string, target: string): boolean {
  try {
    return readlinkSync(path).replace(/[\\/]$/, "") === target;
  } catch {
    return false;
  }
}

function replaceLink(path: string, target: string): void {
  const temporary = `${path}.${process.pid}.tmp`;
  symlinkSync(target, temporary, "junction");
  rmSync(path, { recursive: true, force: true });
  renameSync(temporary, path);
}
