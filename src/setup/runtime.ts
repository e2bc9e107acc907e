import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { folderIsComplete, installFolder, requireDiskSpace } from "./folders";
import type { SetupContext } from "./part";
import { unpackWheels } from "./pip";

export const TENSORFLOW_VERSION = "2.21.0";

/** What the choice of a TensorFlow build depends on. */
export interface Machine {
  platform: NodeJS.Platform;
  arch: string;
  hasNvidiaGpu: boolean;
}

/** A TensorFlow build to install: the C library and its headers, out of PyPI's wheels. */
export interface RuntimePlan {
  /** Folder in the cache, e.g. "tensorflow-cpu-2.21.0". */
  folder: string;
  /** What pip unpacks. */
  requirements: readonly string[];
  /** File of further requirements in scripts/, for the GPU. */
  requirementsFile?: string;
  /** Names of the two shared libraries, in the folder tensorflow/. */
  libraries: readonly [string, string];
  downloadBytes: number;
  /** Room needed while unpacking: pip's copy in its cache, and the files twice for a moment. */
  diskBytes: number;
}

/**
 * Chooses the TensorFlow build for a machine.
 *
 * @returns undefined where PyPI has none that carries the C library (Windows, Intel Macs): the WebAssembly engine is for
 * those
 */
export function planRuntime({ platform, arch, hasNvidiaGpu }: Machine): RuntimePlan | undefined {
  const linuxLibraries = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"] as const;
  if (platform === "linux" && arch === "x64" && hasNvidiaGpu) {
    return {
      folder: `tensorflow-cuda-${TENSORFLOW_VERSION}`,
      requirements: [`tensorflow==${TENSORFLOW_VERSION}`],
      requirementsFile: "requirements-cuda.txt",
      libraries: linuxLibraries,
      downloadBytes: 3.4e9,
      diskBytes: 14e9,
    };
  }
  if (platform === "linux" && (arch === "x64" || arch === "arm64")) {
    const name = arch === "x64" ? "tensorflow-cpu" : "tensorflow";
    return {
      folder: `tensorflow-cpu-${TENSORFLOW_VERSION}`,
      requirements: [`${name}==${TENSORFLOW_VERSION}`],
      libraries: linuxLibraries,
      downloadBytes: 0.28e9,
      diskBytes: 1.8e9,
    };
  }
  if (platform === "darwin" && arch === "arm64") {
    return {
      folder: `tensorflow-cpu-${TENSORFLOW_VERSION}`,
      requirements: [`tensorflow==${TENSORFLOW_VERSION}`],
      libraries: ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"],
      downloadBytes: 0.25e9,
      diskBytes: 1.8e9,
    };
  }
  return undefined;
}

/** Looks at this machine; an NVIDIA GPU is seen by its driver's files, natively or under WSL2. */
export function describeMachine(): Machine {
  const driverFiles = ["/proc/driver/nvidia/version", "/usr/lib/wsl/lib/libcuda.so.1"];
  return { platform: process.platform, arch: process.arch, hasNvidiaGpu: driverFiles.some((file) => existsSync(file)) };
}

export function runtimeFolder(plan: RuntimePlan, { cache }: Pick<SetupContext, "cache">): string {
  return join(cache, plan.folder);
}

export function runtimeIsComplete(plan: RuntimePlan, context: Pick<SetupContext, "cache">): boolean {
  return folderIsComplete(runtimeFolder(plan, context));
}

/** Installs TensorFlow's C library into the cache that all checkouts share. */
export async function installRuntime(plan: RuntimePlan, context: SetupContext, update: (text: string) => void): Promise<void> {
  await requireDiskSpace(context.cache, plan.diskBytes, "TensorFlow");
  const requirements = [...plan.requirements];
  if (plan.requirementsFile) requirements.push("--requirement", join(context.project, "scripts", plan.requirementsFile));
  await installFolder({
    target: runtimeFolder(plan, context),
    files: [...plan.libraries, "include/tensorflow/c/c_api.h"].map((file) => `tensorflow/${file}`),
    fill: async (temporary) => {
      await unpackWheels(requirements, temporary, context, update);
      // Only the libraries and headers are used; the Python half would take a fifth of the space.
      for (const unused of ["python", "_api", "lite", "tools", "__pycache__"]) {
        await rm(join(temporary, "tensorflow", unused), { recursive: true, force: true });
      }
    },
  });
}
