import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { planCompilations } from "../../src/setup/binding";
import { findCompilers } from "../../src/setup/compiler";
import { TENSORFLOW_VERSION, describeMachine, planRuntime } from "../../src/setup/runtime";

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

test("the binding is compiled with this project's header and finds TensorFlow where it lies", () => {
  const plan = planRuntime({ platform: "linux", arch: "x64", hasNvidiaGpu: false });
  assert.ok(plan);
  const folders = { project: "/project", cache: "/cache" };
  const linux = planCompilations(plan, folders, "linux");
  assert.deepEqual(linux.map(({ output }) => output), ["tensorflow_binding.node", "tfjs_binding.node"]);
  const flags = linux[0].arguments;
  assert.equal(flags[flags.indexOf("-include") + 1], "/project/native/signals-blocked.h");
  assert.ok(flags.includes(`-Wl,-rpath,/cache/tensorflow-cpu-${TENSORFLOW_VERSION}/tensorflow`));
  assert.ok(!flags.includes("dynamic_lookup"));
  const mac = planCompilations(plan, folders, "darwin");
  assert.deepEqual(mac.map(({ output }) => output), ["tfjs_binding.node"]);
  assert.ok(mac[0].arguments.includes("dynamic_lookup"));
});

test("the installed binding loads TensorFlow without a word, and blocks signals", { skip: !planRuntime(describeMachine()) && "no TensorFlow for this platform" }, () => {
  const folder = join(projectRoot(), "node_modules", "@tensorflow", "tfjs-node-gpu", "lib", "napi-v8");
  const environment = { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2", TF_ENABLE_ONEDNN_OPTS: "1" };
  const { status, stdout, stderr } = spawnSync(process.execPath, ["-p", "require(process.argv[1]).TF_Version", join(folder, "tfjs_binding.node")], { encoding: "utf8", env: environment });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: `${TENSORFLOW_VERSION}\n`, stderr: "" });
  const compiled = readdirSync(folder).map((name) => readFileSync(join(folder, name)));
  assert.ok(compiled.some((binary) => binary.includes("pthread_sigmask")));
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
