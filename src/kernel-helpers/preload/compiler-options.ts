import { join } from "node:path";
import type { Compiler } from "./tslab";
import { contains, type SessionFolder } from "./session-folder";

/**
 * Defects: packages that are typed through "exports" give "Cannot find module"; `null` and `undefined` pass as any type;
 * `await (x)`, `await [x]` and a top-level `for await` are syntax errors; every installed @types package is loaded, needed
 * or not; thousands of folders of installed packages are watched for changes.
 *
 * Mend: the compiler options below, and only files that a notebook's author may edit are watched.
 */
export function installCompilerOptions(compiler: Compiler, { project }: SessionFolder): void {
  const original = compiler.createWatchCompilerHost;
  const options = {
    moduleResolution: compiler.ModuleResolutionKind.Bundler,
    strictNullChecks: true,
    // The fork's own switch: false means that top-level await is legal, as it is in any module.
    disableTopLevelAwait: false,
    typeRoots: [join(project, "node_modules", "@types")],
    types: ["node"],
    // Read by source-maps.ts.
    inlineSourceMap: true,
  };
  const installed = [join(project, "node_modules"), join(project, "dist")];
  const createWatchCompilerHost = (rootFiles: string[], tslabOptions: object, ...rest: never[]) => {
    const create = original as unknown as (files: string[], options: object, ...rest: never[]) => ReturnType<typeof original>;
    const host = create(rootFiles, { ...tslabOptions, ...options }, ...rest);
    const { watchFile } = host;
    host.watchFile = (path, ...others) => (installed.some((folder) => contains(folder, path)) ? nothingToClose : watchFile(path, ...others));
    host.watchDirectory = () => nothingToClose;
    return host;
  };
  Object.assign(compiler, { createWatchCompilerHost });
}

const nothingToClose = { close: () => undefined };
