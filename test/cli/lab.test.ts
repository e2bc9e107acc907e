import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { labProblems, missingBrowserHint } from "../../src/cli/lab-check";
import { kernelName, kernelSpec } from "../../src/kernel-helpers/kernelspec";
import { projectRoot } from "../../src/model/files";
import { environmentPython } from "../../src/setup/python";
import { temporaryFolder } from "../setup/temporary";

/** A folder that looks like a project whose environment holds that JupyterLab. */
async function projectWithLab(version?: string): Promise<string> {
  const project = temporaryFolder();
  const python = environmentPython(project);
  await mkdir(dirname(python), { recursive: true });
  await writeFile(python, "");
  const library = join(project, ".venv", ...(process.platform === "win32" ? ["Lib"] : ["lib", "python3.12"]), "site-packages");
  await mkdir(version ? join(library, `jupyterlab-${version}.dist-info`) : library, { recursive: true });
  return project;
}

test("where everything is there, nothing stands in the way", async () => {
  assert.deepEqual(await labProblems(projectRoot(), []), []);
});

test("a missing or an old JupyterLab is named with what to do", async () => {
  assert.deepEqual(await labProblems(temporaryFolder(), []), ["JupyterLab is not installed. Run: npx crossflow setup"]);
  assert.match((await labProblems(await projectWithLab(), []))[0], /has no JupyterLab\. Run: npx crossflow setup/);
  assert.match((await labProblems(await projectWithLab("3.6.7"), []))[0], /^JupyterLab 3\.6\.7 in \.venv is too old: it needs 4\.2 or later\. Delete the folder \.venv, then run/);
  assert.match((await labProblems(await projectWithLab("4.1.9"), []))[0], /too old/);
  for (const version of ["4.2.0", "4.10.1", "5.0.0"]) assert.deepEqual(await labProblems(await projectWithLab(version), []), []);
});

test("a missing kernel, and one of another Node, folder or version, is named with what to do", async () => {
  const data = temporaryFolder();
  assert.deepEqual(await labProblems(projectRoot(), [], data), [`The notebook kernel is not installed (in ${data}). Run: npx crossflow setup`]);
  const folder = join(data, "kernels", kernelName);
  await mkdir(folder, { recursive: true });
  for (const outdated of [JSON.stringify({ ...kernelSpec(), argv: ["/old/node", ...kernelSpec().argv.slice(1)] }), "{ cut off"]) {
    await writeFile(join(folder, "kernel.json"), outdated);
    assert.deepEqual(await labProblems(projectRoot(), [], data), [`The notebook kernel is out of date (in ${data}). Run: npx crossflow setup`]);
  }
  await writeFile(join(folder, "kernel.json"), JSON.stringify(kernelSpec()));
  assert.deepEqual(await labProblems(projectRoot(), [], data), []);
});

test("a port in use is named before JupyterLab silently takes another", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  for (const words of [[`--port=${port}`], ["--no-browser", "--port", String(port)], [`--ServerApp.port=${port}`]]) {
    const problems = await labProblems(projectRoot(), words);
    assert.equal(problems.length, 1);
    assert.match(problems[0], new RegExp(`^Port ${port} is in use by another program\\. Give another by --port`));
  }
  await new Promise((resolve) => other.close(resolve));
  assert.deepEqual(await labProblems(projectRoot(), [`--port=${port}`]), []);
});

test("without a display the address is to be opened elsewhere, and how is said", () => {
  assert.match(missingBrowserHint(["--port=8899"], {}, "linux") ?? "", /No display here[^]*ssh -L 8899:localhost:8899/);
  assert.equal(missingBrowserHint([], { DISPLAY: ":0" }, "linux"), undefined);
  assert.equal(missingBrowserHint(["--no-browser"], {}, "linux"), undefined);
  assert.equal(missingBrowserHint([], {}, "darwin"), undefined);
});
