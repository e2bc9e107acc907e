import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { compilerArguments } from "../../src/setup/binding";
import { findCompilers } from "../../src/setup/compiler";
import { TENSORFLOW_VERSION, planRuntime } from "../../src/setup/runtime";

test("each platform gets the wheel that carries TensorFlow's C library for it", () => {
  const plan = (platform: NodeJS.Platform, arch: string, hasNvidiaGpu = false) => planRuntime({ platform, arch, hasNvidiaGpu });
  assert.deepEqual(plan("linux", "x64")?.requirements, [`tensorflow-cpu==${TENSORFLOW_VERSION}`]);
  assert.deepEqual(plan("linux", "arm64")?.requirements, [`tensorflow==${TENSORFLOW_VERSION}`]);
  assert.deepEqual(plan("darwin", "arm64")?.libraries, ["libtensorflow_cc.2.dylib", "libtensorflow_framework.2.dylib"]);
  for (const [platform, arch] of [["win32", "x64"], ["darwin", "x64"], ["linux", "ia32"]] as const) assert.equal(plan(platform, arch), undefined);
});

test("an NVIDIA GPU gets the CUDA build with pinned CUDA packages, in a folder of its own", () => {
  const gpu = planRuntime({ platform: "linux", arch: "x64", hasNvidiaGpu: true });
  const cpu = planRuntime({ platform: "linux", arch: "x64", hasNvidiaGpu: false });
  assert.ok(gpu?.requirementsFile);
  assert.notEqual(gpu.folder, cpu?.folder);
  const lines = readFileSync(join(projectRoot(), "scripts", gpu.requirementsFile), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
  assert.ok(lines.length >= 12 && lines.every((line) => /^nvidia-[a-z0-9-]+==[\d.]+$/.test(line)), lines.join("\n"));
});

test("the binding is compiled with this project's headers and finds TensorFlow where it lies", () => {
  const plan = planRuntime({ platform: "linux", arch: "x64", hasNvidiaGpu: false });
  assert.ok(plan);
  const flags = compilerArguments(plan, { project: "/project", cache: "/cache" }, "linux", "out.node");
  const included = flags.filter((_, index) => flags[index - 1] === "-include");
  assert.deepEqual(included, ["/project/native/log-level.h", "/project/native/signals-blocked.h"]);
  assert.ok(flags.includes(`-Wl,-rpath,/cache/tensorflow-cpu-${TENSORFLOW_VERSION}/tensorflow`));
  assert.ok(!flags.includes("dynamic_lookup"));
  assert.ok(compilerArguments(plan, { project: "/project", cache: "/cache" }, "darwin", "out.node").includes("dynamic_lookup"));
});

test("the machine's compilers are tried in the platform's order, the user's choice first", async () => {
  const names = async (platform: NodeJS.Platform, present: string[], CXX?: string) =>
    (await findCompilers({ platform, works: async (program) => present.includes(program), environment: { CXX } })).map(({ name }) => name);
  assert.deepEqual(await names("linux", ["clang++", "g++"]), ["g++", "clang++"]);
  assert.deepEqual(await names("darwin", ["clang++", "g++"]), ["clang++", "g++"]);
  assert.deepEqual(await names("linux", ["g++", "icpx"], "icpx"), ["icpx", "g++"]);
  assert.deepEqual(await names("linux", ["g++"], "not-there"), ["g++"]);
  assert.deepEqual(await names("linux", ["g++"], "g++"), ["g++"], "not twice");
  assert.deepEqual(await names("linux", []), [], "then the portable compiler is fetched");
});
