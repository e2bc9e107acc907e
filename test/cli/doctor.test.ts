import assert from "node:assert/strict";
import { test } from "node:test";
import { describeDisk, describeEngine, describeMemory, formatFindings, type Finding } from "../../src/cli/doctor";
import { temporaryFolder } from "../setup/temporary";
import { runCli } from "./run";

const CHECKS = ["Node", "Python", "engine", "crossflow", "Python, Jupyter", "TensorFlow", "notebook kernel", "feature weights", "avatars", "disk space", "memory"];

interface Report {
  ok: boolean;
  findings: Finding[];
}

test("a complete set-up gets a whole table and exit code 0", () => {
  const { code, stdout } = runCli(["doctor", "--json"]);
  const report: Report = JSON.parse(stdout);
  assert.deepEqual(report.findings.map(({ check }) => check), CHECKS);
  assert.deepEqual(report.findings.filter(({ ok, essential }) => essential && !ok), []);
  assert.equal(report.ok, true);
  assert.equal(code, 0);
});

test("what is missing is named with what to do; the exit code is 1 if it is essential", () => {
  const { code, stdout } = runCli(["doctor", "--json"], { CROSSFLOW_CACHE: temporaryFolder(), CROSSFLOW_PYTHON: "/nowhere/python" });
  const report: Report = JSON.parse(stdout);
  const missing = Object.fromEntries(report.findings.filter(({ ok }) => !ok).map((finding) => [finding.check, finding]));
  assert.equal(code, 1);
  assert.equal(report.ok, false);
  assert.match(missing.Python.remedy ?? "", /Install Python/);
  assert.equal(missing.Python.essential, true);
  assert.equal(missing["feature weights"].remedy, "npx crossflow setup");
  assert.equal(missing["feature weights"].essential, false);
});

test("the table aligns, puts the remedy below its line, and ends with a verdict", () => {
  const findings: Finding[] = [
    { check: "Node", ok: true, essential: true, detail: "20.19.0" },
    { check: "Python", ok: false, essential: true, detail: "none", remedy: "install it" },
    { check: "memory", ok: false, essential: false, detail: "1.0 of 2.0 GB available", remedy: "close other programs" },
  ];
  assert.equal(
    formatFindings(findings),
    [
      "Node    ok       20.19.0",
      "Python  MISSING  none",
      "    what to do: install it",
      "memory  note     1.0 of 2.0 GB available",
      "    what to do: close other programs",
      "",
      "Missing: Python.",
    ].join("\n"),
  );
  assert.match(formatFindings(findings.slice(0, 1)), /\n\nEverything essential is there\.$/);
});

test("little disk space or memory is a note with a figure, never a failure", () => {
  for (const finding of [describeDisk(0.5e9, "/project"), describeMemory(1e9, 8e9)]) {
    assert.equal(finding.ok, false);
    assert.equal(finding.essential, false);
    assert.match(finding.detail, /GB/);
    assert.ok(finding.remedy);
  }
  assert.equal(describeDisk(50e9, "/project").remedy, undefined);
  assert.equal(describeMemory(50e9, 64e9).ok, true);
});

test("an engine that falls short of the machine is a note with the reason", () => {
  const machine = { platform: "linux", arch: "x64", hasNvidiaGpu: false } as const;
  assert.deepEqual(describeEngine("tensorflow", "2.21.0", "CPU, 2 threads", machine, []), {
    check: "engine",
    essential: true,
    detail: "tensorflow 2.21.0 on CPU, 2 threads",
    ok: true,
  });
  const fallback = describeEngine("wasm", "4.22.0", "CPU, 1 thread", machine, ["TensorFlow could not be loaded (no binding)."]);
  assert.deepEqual([fallback.ok, fallback.essential, fallback.remedy], [false, false, "TensorFlow could not be loaded (no binding)."]);
  assert.equal(describeEngine("wasm", "4.22.0", "CPU, 1 thread", { ...machine, platform: "win32" }, ["..."]).ok, true, "there is nothing better for Windows");
  assert.match(describeEngine("tensorflow", "2.21.0", "CPU, 2 threads", { ...machine, hasNvidiaGpu: true }, []).remedy ?? "", /GPU is not used/);
});
