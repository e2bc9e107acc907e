import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { versionMismatch } from "../../src/kernel-helpers/preload/tslab";
import { installKernel, jupyterDataFolder, listKernels, uninstallKernel } from "../../src/kernel-helpers/kernelspec";

describe("the kernelspec", () => {
  let prefix: string;
  before(async () => void (prefix = await mkdtemp(join(tmpdir(), "crossflow-kernelspec-"))));
  after(() => rm(prefix, { recursive: true }));

  test("is installed whole, may be installed again, and leaves nothing behind when removed", async () => {
    const folder = await installKernel({ prefix });
    assert.equal(folder, join(prefix, "share", "jupyter", "kernels", "crossflow"));
    assert.equal(await installKernel({ prefix }), folder);
    const spec = JSON.parse(await readFile(join(folder, "kernel.json"), "utf8"));
    assert.equal(spec.display_name, "CrossFlow (TypeScript)");
    assert.equal(spec.interrupt_mode, "signal");
    const [program, option, preload, tslab, ...rest] = spec.argv;
    assert.deepEqual([option, ...rest], ["--require", "kernel", "--config-path", "{connection_file}"]);
    for (const file of [program, preload, tslab]) assert.ok(existsSync(file), file);
    assert.deepEqual(await readdir(join(folder, "..")), ["crossflow"]);
    assert.equal(await uninstallKernel({ prefix }), folder);
    assert.deepEqual(await readdir(join(folder, "..")), []);
    assert.equal(await uninstallKernel({ prefix }), undefined);
  });

  test("never replaces or removes another program's kernel", async () => {
    const folder = join(prefix, "share", "jupyter", "kernels", "crossflow");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "kernel.json"), JSON.stringify({ argv: ["other"], display_name: "Other" }));
    await assert.rejects(installKernel({ prefix }), /another program's kernel/);
    assert.equal(await uninstallKernel({ prefix }), undefined);
    assert.equal(JSON.parse(await readFile(join(folder, "kernel.json"), "utf8")).display_name, "Other");
  });

  test("goes to the user's Jupyter folder and is listed from there", async () => {
    const environment = { JUPYTER_DATA_DIR: join(prefix, "data") };
    assert.equal(jupyterDataFolder({ user: true }, environment), join(prefix, "data"));
    const folder = join(prefix, "data", "kernels", "python3");
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "kernel.json"), JSON.stringify({ argv: [], display_name: "Python 3" }));
    const listed = (await listKernels(environment)).find((kernel) => kernel.folder === folder);
    assert.deepEqual(listed, { name: "python3", displayName: "Python 3", folder, isOwn: false });
    assert.throws(() => jupyterDataFolder({ user: true, prefix }), /either user or prefix/);
  });

  test("starts an unmended kernel, and says so, where versions differ", () => {
    assert.equal(versionMismatch(), undefined);
    assert.match(versionMismatch((name) => (name === "zeromq" ? "7.0.0" : "1.0.22")) ?? "", /^CrossFlow's kernel is made for zeromq 6\.8\.0 and found 7\.0\.0: .*npm ci.*$/);
  });
});
