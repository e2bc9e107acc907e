import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { cacheDirectory, projectRoot } from "../../src/model/files";
import { temporaryFolder } from "./temporary";

const scripts = join(projectRoot(), "scripts");

interface Scripts {
  "lock.mjs": { withLock<T>(folder: string, work: () => Promise<T>, onWait?: (owner: { pid: number }) => void): Promise<T> };
  "packages.mjs": { packagesAreInstalled(folder: string): boolean };
  "paths.mjs": { cacheDirectory(environment: NodeJS.ProcessEnv): string; project: string };
}

/** Scripts are plain JavaScript outside the compiled tree. */
async function load<Name extends keyof Scripts>(name: Name): Promise<Scripts[Name]> {
  return import(pathToFileURL(join(scripts, name)).href);
}

/** Starts a process that takes the lock, prints "locked" and keeps it. */
async function startLockHolder(folder: string): Promise<ReturnType<typeof spawn>> {
  const code = `
    import { withLock } from ${JSON.stringify(pathToFileURL(join(scripts, "lock.mjs")).href)};
    await withLock(process.argv[1], () => { console.log("locked"); return new Promise((resolve) => setTimeout(resolve, 60_000)); });
  `;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", code, folder], { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(holder.stdout);
  for await (const line of createInterface(holder.stdout)) {
    assert.equal(line, "locked");
    return holder;
  }
  throw new Error("the lock holder ended early");
}

test("the lock admits one at a time", async () => {
  const { withLock } = await load("lock.mjs");
  const folder = temporaryFolder();
  let inside = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, ++inside);
    await new Promise((resolve) => setTimeout(resolve, 20));
    inside--;
  };
  await Promise.all([withLock(folder, work), withLock(folder, work), withLock(folder, work)]);
  assert.equal(most, 1);
  assert.equal(existsSync(join(folder, "setup.lock")), false);
});

test("whoever waits is told for whom, and a killed owner's lock is taken over", async () => {
  const { withLock } = await load("lock.mjs");
  const folder = temporaryFolder();
  const holder = await startLockHolder(folder);
  const waitedFor: number[] = [];
  let entered = false;
  const waiting = withLock(
    folder,
    async () => {
      entered = true;
    },
    ({ pid }) => {
      waitedFor.push(pid);
      assert.equal(entered, false);
      holder.kill("SIGKILL");
    },
  );
  await waiting;
  assert.deepEqual(waitedFor, [holder.pid]);
  assert.equal(entered, true);
});

test("a failure inside gives the lock back", async () => {
  const { withLock } = await load("lock.mjs");
  const folder = temporaryFolder();
  await assert.rejects(withLock(folder, async () => Promise.reject(new Error("inside"))), /inside/);
  assert.equal(await withLock(folder, async () => "again"), "again");
});

test("npm packages count as installed only if npm finished and every one is there", async () => {
  const { packagesAreInstalled } = await load("packages.mjs");
  const folder = temporaryFolder();
  const write = (path: string, value: unknown) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), JSON.stringify(value));
  };
  const a = { version: "1.0.0" };
  write("package-lock.json", { packages: { "": {}, "node_modules/a": a, "node_modules/a-windows": { version: "1.0.0", optional: true } } });
  assert.equal(packagesAreInstalled(folder), false, "nothing yet");
  write("node_modules/a/package.json", a);
  assert.equal(packagesAreInstalled(folder), false, "npm was cut off");
  write("node_modules/.package-lock.json", { packages: { "node_modules/a": a } });
  assert.equal(packagesAreInstalled(folder), true, "optional packages of other platforms may lack");
  write("node_modules/.package-lock.json", { packages: { "node_modules/a": { version: "0.9.0" } } });
  assert.equal(packagesAreInstalled(folder), false, "another version");
  write("node_modules/.package-lock.json", { packages: { "node_modules/a": a } });
  rmSync(join(folder, "node_modules/a"), { recursive: true });
  assert.equal(packagesAreInstalled(folder), false, "a folder was deleted");
});

test("scripts and compiled code agree on the folders", async () => {
  const paths = await load("paths.mjs");
  assert.equal(paths.project, projectRoot());
  for (const environment of [{}, { CROSSFLOW_CACHE: "relative" }, { XDG_CACHE_HOME: "/xdg" }]) assert.equal(paths.cacheDirectory(environment), cacheDirectory(environment));
});

test("too old a Node is told so in one line", () => {
  const preload = join(temporaryFolder(), "old-node.cjs");
  writeFileSync(preload, "Object.defineProperty(process.versions, 'node', { value: '18.20.4' });");
  const { status, stderr } = spawnSync(process.execPath, ["--require", preload, join(scripts, "run.mjs"), "start"], { encoding: "utf8" });
  assert.equal(status, 1);
  assert.match(stderr, /^CrossFlow needs Node 20\.19 or later, but this is Node 18\.20\.4\..*\n$/);
});

test("the lock file of the packages names no registry", () => {
  const lock = JSON.parse(readFileSync(join(projectRoot(), "package-lock.json"), "utf8"));
  const resolved = Object.entries<{ resolved?: string }>(lock.packages).filter(([, { resolved }]) => resolved !== undefined);
  assert.deepEqual(resolved, []);
});
