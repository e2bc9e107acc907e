import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { describeMissingPython, findPython, pythonVariables } from "../../src/setup/python";
import { temporaryFolder } from "./temporary";

/** A folder with programs that answer the probe as some Python would. */
function folderOfPythons(answers: Record<string, { version: number[]; modules: string[] }>): string {
  const folder = temporaryFolder();
  for (const [name, facts] of Object.entries(answers)) {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\necho '${JSON.stringify({ executable: path, ...facts })}'\n`);
    chmodSync(path, 0o755);
  }
  return folder;
}

const signal = new AbortController().signal;
const all = ["pip", "ensurepip", "venv"];

test("the first Python that will do is taken, past those that won't", async () => {
  const PATH = folderOfPythons({
    python3: { version: [3, 8, 18], modules: all },
    python: { version: [3, 11, 2], modules: ["venv"] },
    "python3.12": { version: [3, 12, 1], modules: ["pip", "venv"] },
  });
  assert.equal((await findPython({ environment: { PATH }, signal })).executable, join(PATH, "python3.12"));
});

test("a Python without pip but with ensurepip will do", async () => {
  const PATH = folderOfPythons({ python3: { version: [3, 10, 0], modules: ["ensurepip", "venv"] } });
  assert.deepEqual((await findPython({ environment: { PATH }, signal })).version, [3, 10, 0]);
});

test("too old a Python, a missing pip and no Python at all each get one message that says so", async () => {
  const old = folderOfPythons({ python3: { version: [3, 9, 2], modules: all } });
  await assert.rejects(findPython({ environment: { PATH: old }, signal }), /needs Python 3\.10 or later with pip: .*python3 \(3\.9\.2\) is too old\. Install/);
  const bare = folderOfPythons({ python3: { version: [3, 11, 2], modules: ["venv"] } });
  await assert.rejects(findPython({ environment: { PATH: bare }, signal }), /python3 \(3\.11\.2\) lacks pip\..*apt install python3 python3-pip/);
  await assert.rejects(findPython({ environment: { PATH: temporaryFolder() }, signal }), /there is none on the PATH/);
  await assert.rejects(findPython({ environment: { CROSSFLOW_PYTHON: "/nowhere/python" }, signal }), /CROSSFLOW_PYTHON=\/nowhere\/python is not a Python/);
});

test("one Python under several names is reported once", () => {
  const facts = { executable: "/usr/bin/python3", version: [3, 8, 0] as const, modules: all };
  assert.equal(describeMissingPython([facts, facts]).match(/3\.8\.0/g)?.length, 1);
});

test("settings that would lead pip out of its folder are taken away", () => {
  const variables = pythonVariables({ PIP_TARGET: "/elsewhere", PIP_USER: "1", PYTHONPATH: "/p", PIP_INDEX_URL: "kept" });
  assert.deepEqual([variables.PIP_TARGET, variables.PIP_USER, variables.PYTHONPATH, variables.PIP_INDEX_URL], [undefined, "0", undefined, "kept"]);
});
