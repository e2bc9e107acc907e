import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { copyFile, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "./command";
import { PORTABLE_COMPILER, findCompilers, type Compiler } from "./compiler";
import { SetupError } from "./errors";
import { folderIsComplete, installFolder } from "./folders";
import type { SetupContext } from "./part";
import { unpackWheels } from "./pip";
import { runtimeFolder, type RuntimePlan } from "./runtime";

const NAPI_VERSION = 8;

/** The name under which the package looks for its binding. */
const ADDON = "tfjs_binding.node";

/** The folder of the package whose native binding is compiled here against a current TensorFlow. */
function bindingPackage(project: string): string {
  return join(project, "node_modules", "@tensorflow", "tfjs-node-gpu");
}

/** Where that package looks for its binding. */
function installedFolder(project: string): string {
  return join(bindingPackage(project), "lib", `napi-v${NAPI_VERSION}`);
}

function packageSources(project: string): string[] {
  const folder = join(bindingPackage(project), "binding");
  return readdirSync(folder).sort().map((name) => join(folder, name));
}

function nativeSource(project: string, name: string): string {
  return join(project, "native", name);
}

/** One shared library to compile. */
export interface Compilation {
  /** Name of the file that comes out. */
  output: string;
  /** Compiler arguments, without the output. */
  arguments: readonly string[];
}

/**
 * What is compiled on a platform: the package's own source with this project's header before it, linked to the libraries
 * where they lie; on Linux also the addon that loads it quietly.
 */
export function planCompilations(plan: RuntimePlan, { project, cache }: Pick<SetupContext, "project" | "cache">, platform: NodeJS.Platform): Compilation[] {
  const tensorflow = join(runtimeFolder(plan, { cache }), "tensorflow");
  const common = [
    "-std=c++17",
    "-O3",
    // Without these no square root and no comparison of a loop runs on several numbers at a time, and no product is added in one operation.
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fPIC",
    "-shared",
    ...(platform === "darwin" ? ["-undefined", "dynamic_lookup"] : []),
    `-DNAPI_VERSION=${NAPI_VERSION}`,
    `-I${join(project, "node_modules", "node-api-headers", "include")}`,
  ];
  const binding = [
    ...common,
    `-I${join(tensorflow, "include")}`,
    "-include",
    nativeSource(project, "signals-blocked.h"),
    ...["tfjs_backend.cc", "tfjs_binding.cc"].map((name) => join(bindingPackage(project), "binding", name)),
    nativeSource(project, "fused-elementwise.cc"),
    ...plan.libraries.map((library) => join(tensorflow, library)),
    `-Wl,-rpath,${tensorflow}`,
  ];
  if (platform !== "linux") return [{ output: ADDON, arguments: binding }];
  return [
    { output: "tensorflow_binding.node", arguments: binding },
    { output: ADDON, arguments: [...common, nativeSource(project, "quiet-loader.cc"), "-ldl"] },
  ];
}

/**
 * The folder in the cache that holds the compiled binding. Its name carries a hash of all that goes into the binding, so
 * that checkouts share one while they agree and each has its own where they don't.
 */
function bindingFolder(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">): string {
  const { project } = context;
  const hash = createHash("sha256");
  const ownSources = ["signals-blocked.h", "traced-runs.h", "fused-elementwise.cc", "elementwise-loops.h", "quiet-loader.cc"].map((name) => nativeSource(project, name));
  const headersManifest = join(project, "node_modules", "node-api-headers", "package.json");
  for (const file of [headersManifest, ...ownSources, ...packageSources(project)]) hash.update(readFileSync(file)).update("\0");
  // Where the project lies doesn't change the outcome; where the cache lies does (rpath).
  hash.update(JSON.stringify(planCompilations(plan, context, process.platform)).replaceAll(project, "")).update(process.arch);
  return join(context.cache, `${plan.folder}-binding-${hash.digest("hex").slice(0, 12)}`);
}

function outputs(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">): string[] {
  return planCompilations(plan, context, process.platform).map(({ output }) => output);
}

/** Whether the binding is compiled for this TensorFlow and installed in node_modules. */
export function bindingIsInstalled(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">): boolean {
  if (!existsSync(bindingPackage(context.project))) return false;
  const folder = bindingFolder(plan, context);
  if (!folderIsComplete(folder)) return false;
  return outputs(plan, context).every((output) => {
    const installed = join(installedFolder(context.project), output);
    return existsSync(installed) && readFileSync(installed).equals(readFileSync(join(folder, output)));
  });
}

/** Compiles the binding, unless the cache has it, and puts it where its package looks for it. */
export async function installBinding(plan: RuntimePlan, context: SetupContext, update: (text: string) => void): Promise<void> {
  const folder = bindingFolder(plan, context);
  if (!folderIsComplete(folder)) {
    await installFolder({ target: folder, files: outputs(plan, context), fill: (temporary) => compileBinding(plan, context, temporary, update) });
  }
  const target = installedFolder(context.project);
  await mkdir(target, { recursive: true });
  for (const output of outputs(plan, context)) {
    // A running program keeps the file that it has loaded; the new one comes by its side.
    await copyFile(join(folder, output), join(target, `${output}.tmp`));
    await rename(join(target, `${output}.tmp`), join(target, output));
  }
}

async function compileBinding(plan: RuntimePlan, context: SetupContext, folder: string, update: (text: string) => void): Promise<void> {
  const { environment, signal } = context;
  const failures: string[] = [];
  const works = async (program: string): Promise<boolean> => {
    try {
      await runCommand(program, ["--version"], { signal });
      return true;
    } catch {
      signal.throwIfAborted();
      return false;
    }
  };
  const attempt = async (compiler: Compiler, duration: string): Promise<boolean> => {
    update(`compiling the binding with ${compiler.name} (${duration})`);
    const [program, ...prefix] = compiler.command;
    try {
      for (const { output, arguments: flags } of planCompilations(plan, context, process.platform)) {
        await runCommand(program, [...prefix, ...flags, "-o", join(folder, output)], { signal });
      }
      await verifyBinding(join(folder, ADDON), signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SetupError && error.fatal) throw error;
      failures.push(`${compiler.name}: ${(error as Error).message}`);
      return false;
    }
  };
  for (const compiler of await findCompilers({ platform: process.platform, works, environment })) {
    if (await attempt(compiler, "about 15 s")) return;
  }
  update(`no C++ compiler here will do; fetching one (${PORTABLE_COMPILER}, 100 MB)`);
  if (await attempt(await fetchPortableCompiler(context, update), "about 2 min, only once")) return;
  throw new SetupError(`The TensorFlow binding could not be compiled.\n${failures.join("\n")}`);
}

/** Loads the binding in a process of its own: a library that doesn't fit would end this one. */
async function verifyBinding(binding: string, signal: AbortSignal): Promise<void> {
  await runCommand(process.execPath, ["-e", "require(process.argv[1])", binding], { signal, env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2" } });
}

async function fetchPortableCompiler(context: SetupContext, update: (text: string) => void): Promise<Compiler> {
  const folder = join(context.cache, PORTABLE_COMPILER.replace("==", "-"));
  if (!folderIsComplete(folder)) {
    await installFolder({
      target: folder,
      files: ["ziglang/zig"],
      fill: (temporary) => unpackWheels([PORTABLE_COMPILER], temporary, context, update),
    });
  }
  return { name: PORTABLE_COMPILER, command: [join(folder, "ziglang", "zig"), "c++"] };
}
