import Module, { createRequire } from "node:module";
import { join } from "node:path";
import type * as typescript from "typescript";
import type { Compiler } from "./tslab";
import { contains, type SessionFolder } from "./session-folder";

/**
 * Defect: a cell finds packages only in the folders above the notebook.
 *
 * Mend: what isn't found there is looked for in the project, and "crossflow" always comes from the project whose kernel
 * this is: once for the types, once for what runs.
 */
export function installModuleResolution(compiler: Compiler, folder: SessionFolder): void {
  resolveTypes(compiler, folder);
  resolveAtRunTime(folder);
}

function resolveTypes(compiler: Compiler, { project, session }: SessionFolder): void {
  const original = compiler.createWatchCompilerHost;
  const fromProject = join(project, "cell.ts");
  const createWatchCompilerHost = (...create: Parameters<typeof original>) => {
    const host = original(...create);
    const installedCache = compiler.createModuleResolutionCache(session, (path) => path);
    host.resolveModuleNameLiterals = (literals, containingFile, redirected, options) => {
      const isInstalled = containingFile.includes("/node_modules/") || contains(join(project, "dist"), containingFile);
      // What installed packages import doesn't change while the kernel runs; what a cell imports may be installed any time.
      const cache = isInstalled ? installedCache : undefined;
      const resolve = (name: string, from: string): typescript.ResolvedModuleWithFailedLookupLocations =>
        compiler.resolveModuleName(name, from, options, host, cache, redirected);
      return literals.map(({ text }) => {
        if (isInstalled) return resolve(text, containingFile);
        if (isOwnPackage(text)) return resolve(text, fromProject);
        const found = resolve(text, containingFile);
        return found.resolvedModule || isPath(text) ? found : resolve(text, fromProject);
      });
    };
    return host;
  };
  Object.assign(compiler, { createWatchCompilerHost });
}

type ResolveFilename = (request: string, parent: { filename?: string | null } | undefined, ...rest: unknown[]) => string;

function resolveAtRunTime({ project, session }: SessionFolder): void {
  const internals = Module as unknown as { _resolveFilename: ResolveFilename };
  const original = internals._resolveFilename;
  const { resolve } = createRequire(join(project, "cell.js"));
  internals._resolveFilename = function (request, parent, ...rest) {
    const fromCell = parent?.filename != null && contains(session, parent.filename) && !parent.filename.includes("node_modules");
    if (!fromCell || isPath(request)) return original.call(this, request, parent, ...rest);
    if (isOwnPackage(request) && parent.filename !== join(project, "cell.js")) return resolve(request);
    try {
      return original.call(this, request, parent, ...rest);
    } catch (error) {
      if (parent.filename === join(project, "cell.js") || (error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
      return resolve(request);
    }
  };
}

function isOwnPackage(name: string): boolean {
  return name === "crossflow" || name.startsWith("crossflow/");
}

function isPath(name: string): boolean {
  return /^(?:\.{0,2}[\\/]|\.{1,2}$|[a-z]:[\\/]|node:)/i.test(name);
}
