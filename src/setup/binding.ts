import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runCommand } from "./command";
import { PORTABLE_COMPILER, findCompilers, type Compiler } from "./compiler";
import { SetupError } from "./errors";
import { folderIsComplete, installFolder } from "./folders";
import type { SetupContext } from "./part";
import { unpackWheels } from "./pip";
import { runtimeFolder, type RuntimePlan } from "./runtime";

const BINDING = "tfjs_binding.node";
const NAPI_VERSION = 8;

/** The folder of the package whose native binding is compiled here against a current TensorFlow. */
function bindingPackage(project: string): string {
  return join(project, "node_modules", "@tensorflow", "tfjs-node-gpu");
}

/** Where that package looks for its binding. */
function installedBinding(project: string): string {
  return join(bindingPackage(project), "lib", `napi-v${NAPI_VERSION}`, BINDING);
}

function sourceFolder(project: string): string {
  return join(bindingPackage(project), "binding");
}

/** Headers of this project that the compiler reads before the package's source: they mend what the source doesn't know. */
function includedHeaders(project: string): string[] {
  return ["log-level.h", "signals-blocked.h"].map((name) => join(project, "native", name));
}

/** Compiler arguments that don't depend on the compiler. */
export function compilerArguments(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">, platform: NodeJS.Platform, output: string): string[] {
  const { project } = context;
  const tensorflow = join(runtimeFolder(plan, context), "tensorflow");
  return [
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    ...(platform === "darwin" ? ["-undefined", "dynamic_lookup"] : []),
    `-DNAPI_VERSION=${NAPI_VERSION}`,
    "-DNODE_GYP_MODULE_NAME=tfjs_binding",
    "-DBUILDING_NODE_EXTENSION",
    `-I${join(tensorflow, "include")}`,
    `-I${join(project, "node_modules", "node-api-headers", "include")}`,
    ...includedHeaders(project).flatMap((header) => ["-include", header]),
    join(sourceFolder(project), "tfjs_backend.cc"),
    join(sourceFolder(project), "tfjs_binding.cc"),
    ...plan.libraries.map((library) => join(tensorflow, library)),
    `-Wl,-rpath,${tensorflow}`,
    "-o",
    output,
  ];
}

/**
 * The folder in the cache that holds the compiled binding. Its name carries a hash of all that goes into the binding, so
 * that checkouts share one while they agree and each has its own where they don't.
 */
function bindingFolder(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">): string {
  const { project } = context;
  const hash = createHash("sha256");
  const headersManifest = join(project, "node_modules", "node-api-headers", "package.json");
  const sources = readdirSync(sourceFolder(project)).sort().map((name) => join(sourceFolder(project), name));
  for (const file of [headersManifest, ...includedHeaders(project), ...sources]) hash.update(readFileSync(file)).update("\0");
  // Paths inside the project don't change the outcome; the cache's path does (rpath).
  const flags = compilerArguments(plan, context, process.platform, BINDING).join("\0").replaceAll(project, "");
  hash.update(flags).update(process.arch);
  return join(context.cache, `${plan.folder}-binding-${hash.digest("hex").slice(0, 12)}`);
}

/** Whether the binding is compiled for this TensorFlow and installed in node_modules. */
export function bindingIsInstalled(plan: RuntimePlan, context: Pick<SetupContext, "project" | "cache">): boolean {
  if (!existsSync(sourceFolder(context.project))) return false;
  const folder = bindingFolder(plan, context);
  const installed = installedBinding(context.project);
  return folderIsComplete(folder) && existsSync(installed) && readFileSync(installed).equals(readFileSync(join(folder, BINDING)));
}

/** Compiles the binding, unless the cache has it, and puts it where its package looks for it. */
export async function installBinding(plan: RuntimePlan, context: SetupContext, update: (text: string) => void): Promise<void> {
  const folder = bindingFolder(plan, context);
  if (!folderIsComplete(folder)) {
    await installFolder({
      target: folder,
      files: [BINDING],
      fill: (temporary) => compileBinding(plan, context, join(temporary, BINDING), update),
    });
  }
  const target = installedBinding(context.project);
  await mkdir(dirname(target), { recursive: true });
  // A running program keeps the file that it has loaded; the new one comes by its side.
  await copyFile(join(folder, BINDING), `${target}.tmp`);
  await rename(`${target}.tmp`, target);
}

async function compileBinding(plan: RuntimePlan, context: SetupContext, output: string, update: (text: string) => void): Promise<void> {
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
      await runCommand(program, [...prefix, ...compilerArguments(plan, context, process.platform, output)], { signal });
      await verifyBinding(output, signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SetupError && error.fatal) throw error;
      await rm(output, { force: true });
      failures.push(`${compiler.name}: ${(error as Error).message}`);
      return false;
    }
  };
  for (const compiler of await findCompilers({ platform: process.platform, works, environment })) {
    if (await attempt(compiler, "about 10 s")) return;
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
