import assert from "node:assert/strict";
import { test } from "node:test";
import { setUp } from "../../src/setup";
import { SetupError } from "../../src/setup/errors";
import type { Part, SetupContext } from "../../src/setup/part";
import { createReporter, type Reporter } from "../../src/setup/report";

interface FakePart extends Part {
  installations: number;
}

/** A part that is there after `install`, which may be told to fail. */
function fakePart(name: string, options: { present?: boolean; without?: string; failure?: Error; forgets?: boolean } = {}): FakePart {
  let present = options.present ?? false;
  return {
    name,
    title: name,
    without: options.without,
    installations: 0,
    check: async () => ({ ok: present, detail: present ? "there" : "missing" }),
    plan: () => "installing",
    async install() {
      this.installations++;
      if (options.failure) throw options.failure;
      present = !options.forgets;
    },
  };
}

function context(signal: AbortSignal = new AbortController().signal): SetupContext {
  return { project: "/project", cache: "/cache", environment: {}, signal };
}

function recorder(): Reporter & { lines: string[] } {
  const lines: string[] = [];
  return { lines, line: (text) => lines.push(text), update: () => undefined };
}

test("what is there stays untouched and unmentioned, what is missing is installed", async () => {
  const parts = [fakePart("a", { present: true }), fakePart("b")];
  const reporter = recorder();
  const outcomes = await setUp(parts, context(), reporter);
  assert.deepEqual(outcomes.map(({ name, outcome }) => [name, outcome]), [["a", "present"], ["b", "installed"]]);
  assert.deepEqual(parts.map(({ installations }) => installations), [0, 1]);
  assert.equal(reporter.lines.length, 2, "plan and result of b");
  assert.deepEqual((await setUp(parts, context(), reporter)).map(({ outcome }) => outcome), ["present", "present"]);
});

test("a part with a way without it is left out with one line; the rest goes on", async () => {
  const reporter = recorder();
  const engine = fakePart("engine", { without: "WebAssembly takes over", failure: new SetupError("No network.") });
  const outcomes = await setUp([engine, fakePart("after")], context(), reporter);
  assert.deepEqual(outcomes.map(({ outcome }) => outcome), ["left out", "installed"]);
  assert.equal(reporter.lines.filter((line) => /left out: No network\. So WebAssembly takes over\./.test(line)).length, 1);
});

test("an essential part that fails stops everything, and so does a full disk in any part", async () => {
  const after = fakePart("after");
  await assert.rejects(setUp([fakePart("python", { failure: new SetupError("no pip") }), after], context(), recorder()), /no pip/);
  await assert.rejects(setUp([fakePart("engine", { without: "fine", failure: new SetupError("disk full", true) }), after], context(), recorder()), /disk full/);
  assert.equal(after.installations, 0);
});

test("an installation that doesn't hold is an error, not a success", async () => {
  await assert.rejects(setUp([fakePart("python", { forgets: true })], context(), recorder()), /missing after its installation/);
});

test("an interruption is never mistaken for a part that can be left out", async () => {
  const abortion = new AbortController();
  const part = fakePart("engine", { without: "fine" });
  part.install = async () => {
    abortion.abort(new Error("interrupted"));
    throw new Error("pip was killed");
  };
  const after = fakePart("after");
  await assert.rejects(setUp([part, after], context(abortion.signal), recorder()), /interrupted/);
  assert.equal(after.installations, 0);
});

test("in a log, updates come at most every ten seconds", () => {
  const written: string[] = [];
  let time = 0;
  const stream = { isTTY: false, write: (text: string) => written.push(text) };
  const reporter = createReporter(stream, () => time);
  for (time = 0; time <= 25_000; time += 1000) reporter.update(`${time / 1000} s`);
  reporter.line("done");
  assert.deepEqual(written, ["10 s\n", "20 s\n", "done\n"]);
});
