import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { stripAnsi } from "../../src/kernel-helpers/ansi";
import { openKernel, type Execution, type KernelConnection } from "../../src/kernel-helpers/kernel-client";
import { installKernel, type KernelSpec } from "../../src/kernel-helpers/kernelspec";

// The kernel as Jupyter starts it: by the installed kernel.json, in a folder that has nothing to do with the project.
describe("the notebook kernel", () => {
  let folder: string;
  let kernel: KernelConnection;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "crossflow-notebook-"));
    const spec: KernelSpec = JSON.parse(await readFile(join(await installKernel({ prefix: folder }), "kernel.json"), "utf8"));
    await writeFile(join(folder, "helper.ts"), "export const three: number = 3;\n");
    kernel = await openKernel({ command: spec.argv, folder });
  });

  after(async () => {
    await kernel.shutdown();
    await rm(folder, { recursive: true });
  });

  const printed = ({ outputs }: Execution): string => outputs.map((output) => (output.output_type === "stream" ? output.text : "")).join("");
  const run = async (code: string): Promise<string> => {
    const execution = await kernel.execute(code);
    assert.equal(execution.status, "ok", errorText(execution));
    return printed(execution);
  };
  const errorText = ({ outputs }: Execution): string => outputs.map((output) => (output.output_type === "error" ? stripAnsi(output.traceback.join("\n")) : "")).join("");
  const fail = async (code: string): Promise<string> => {
    const execution = await kernel.execute(code);
    assert.equal(execution.status, "error");
    return errorText(execution);
  };
  /** Starts a cell, interrupts it once it has printed something, and says how long it then went on. */
  const interrupted = async (code: string): Promise<{ execution: Execution; seconds: number }> => {
    let stopped = 0;
    const execution = await kernel.execute(code, {
      onMessage({ type, content }) {
        // Not at a warning of Node's own.
        if (type !== "stream" || content.name !== "stdout" || stopped > 0) return;
        stopped = performance.now();
        kernel.interrupt();
      },
    });
    return { execution, seconds: (performance.now() - stopped) / 1000 };
  };

  test("all of 20,000 printed lines arrive and the cell ends", async () => {
    const lines = (await run("for (let line = 0; line < 20000; line++) console.log(line);")).trim().split("\n");
    assert.deepEqual(lines, Array.from({ length: 20_000 }, (_, line) => String(line)));
  });

  test("lines go out in batches, in the order of both streams", async () => {
    const messages: string[] = [];
    await kernel.execute("for (let line = 0; line < 2000; line++) console.log(line); console.error('last');", {
      onMessage: ({ type, content }) => void (type === "stream" && messages.push(String(content.name))),
    });
    assert.ok(messages.length < 100, `${messages.length} messages`);
    assert.equal(messages.at(-1), "stderr");
  });

  test("await before a parenthesis, before a list and in a top-level for", async () => {
    assert.equal(await run("const inParentheses = await (Promise.resolve(3)); inParentheses"), "3\n");
    assert.equal(await run("const list = await [1, 2]; list.length"), "2\n");
    assert.equal(await run("for await (const value of [Promise.resolve('a'), 'b']) console.log(value);"), "a\nb\n");
  });

  test("an await within a function leaves the cell synchronous", async () => {
    assert.equal(await run("async function later() { await null; console.log('later'); }\nconsole.log('now');"), "now\n");
  });

  test("the last expression is shown, variables live on and may be declared anew", async () => {
    assert.equal(await run("const first = 20; let second = 1; first + second"), "21\n");
    assert.equal(await run("second += 1; const first = 'text'; `${first} ${second}`"), "text 2\n");
  });

  test("an earlier cell's variables and imports are found in shorthand properties", async () => {
    await run(`import { escapeHtml as shorten } from "crossflow/kernel";\nconst encoder = "an encoder";\nlet count = 1, missing: number | undefined;`);
    assert.equal(await run("const options = { encoder, own: { shorten }, count }; `${options.encoder} ${options.own.shorten('<')} ${options.count}`"), "an encoder &lt; 1\n");
    await run("const nested = (encoder: string) => ({ encoder });\n({ count, missing = 5 } = { count: 7 } as { count: number; missing?: number });");
    assert.equal(await run("`${nested('own').encoder} ${count} ${missing}`"), "own 7 5\n", "a parameter of that name, and the pattern of an assignment");
    assert.match(await fail("// first\nconst wrapped = { encoder };\nthrow new Error(wrapped.encoder);"), /^Error: an encoder\nCell \[\d+\], line 3:/);
  });

  test("a cell in any folder imports crossflow, its own neighbours and the project's packages, with their types", async () => {
    assert.equal(await run(`import { escapeHtml } from "crossflow/kernel";\nimport { three } from "./helper";\nescapeHtml("<") + three`), "&lt;3\n");
    assert.equal(await run(`import { Matrix } from "ml-matrix";\nnew Matrix([[1, 2]]).columns`), "2\n");
    assert.equal(await run(`process.cwd() === ${JSON.stringify(folder)}`), "true\n");
    assert.match(await fail(`import { escapeHtml as escape } from "crossflow/kernel";\nescape(5)`), /TS2345: Argument of type 'number'[^]*Cell \[\d+\], line 2:/);
  });

  test("a type error shows the cell's own line", async () => {
    const text = await fail("const fine = 1;\n\nconst wrong: string = 5;");
    assert.match(text, /TS2322: Type 'number' is not assignable to type 'string'\.\nCell \[\d+\], line 3:\n  2 \| \n> 3 \| const wrong: string = 5;\n    \|       \^$/);
  });

  test("null checks are on", async () => {
    assert.match(await fail("const maybe = [1].find((value) => value > 0);\nmaybe.toFixed(1)"), /TS18048: 'maybe' is possibly 'undefined'[^]*line 2:/);
  });

  test("a runtime error shows the line that threw and the cells it came through", async () => {
    await run("interface Point {\n  x: number;\n}\n// only a comment\nfunction fails(point: Point): void {\n  throw new RangeError(`bad ${point.x}`, { cause: new Error('deeper') });\n}");
    const text = await fail("const x = 3;\n\nfails({ x });");
    assert.match(text, /^RangeError: bad 3\nCell \[\d+\], line 6:\n  5 \| function fails/);
    assert.match(text, /at fails \(Cell \[\d+\], line 6\)\n    at Cell \[\d+\], line 3\n\nCaused by:\nError: deeper\n/);
  });

  test("a rejected promise shows the line that awaited it", async () => {
    const text = await fail("const failing = async (): Promise<void> => {\n  await null;\n  throw new Error('late');\n};\n\nawait failing();");
    assert.match(text, /^Error: late\nCell \[\d+\], line 3:[^]*at failing \(Cell \[\d+\], line 3\)\n    at Cell \[\d+\], line 6$/);
  });

  test("a thrown value that is no Error is shown", async () => {
    assert.match(await fail("throw { code: 7 };"), /Thrown value: \{ code: 7 \}/);
  });

  test("after an error, waiting cells are given up and a cell sent later runs", async () => {
    const [failing, waiting] = await Promise.all([kernel.execute("throw new Error('stop')"), kernel.execute("'never'")]);
    assert.deepEqual([failing.status, waiting.status], ["error", "aborted"]);
    assert.equal(await run("'runs'"), "runs\n");
    const [, goesOn] = await Promise.all([kernel.execute("throw new Error('go on')", { stopOnError: false }), kernel.execute("'runs too'")]);
    assert.equal(printed(goesOn), "runs too\n");
  });

  test("an interrupt ends an awaited loop at once, for good, and keeps what there is", async () => {
    await run("let ticks = 0;\nconst pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));");
    const { execution, seconds } = await interrupted("const collected: number[] = [];\nfor (;;) {\n  collected.push(++ticks);\n  if (ticks === 1) console.log('running');\n  await pause(10);\n}");
    assert.match(errorText(execution), /^Interrupted: [^]*line 5:/);
    assert.ok(seconds < 2, `${seconds} s`);
    const before = await run("ticks");
    await delay(100);
    assert.equal(await run("ticks"), before, "the loop goes on in the background");
    assert.equal(await run("collected.length === ticks"), "true\n", "what the interrupted cell had declared is kept");
  });

  test("an interrupt reaches a loop that never lets the event loop turn, synchronous or not", async () => {
    const { execution } = await interrupted("console.log('running'); await pause(100);\nfor (;;) await null;");
    assert.match(errorText(execution), /^Interrupted/);
    // A synchronous loop prints nothing before its end: on a busy machine the first interrupt may come before it begins.
    const interrupting = setInterval(() => kernel.interrupt(), 500);
    const synchronous = await kernel.execute("for (;;) {}").finally(() => clearInterval(interrupting));
    assert.match(errorText(synchronous), /^Interrupted/);
  });

  test("an interrupt during one long await ends the cell, and what stands behind it never runs", async () => {
    const { execution, seconds } = await interrupted("let reached = false;\nconsole.log('running');\nawait pause(2500);\nreached = true;");
    assert.match(errorText(execution), /^Interrupted/);
    assert.ok(seconds < 2, `${seconds} s`);
    await delay(1500);
    assert.equal(await run("reached"), "false\n");
  });

  test("an interrupt aborts the kernel's signal, whose next cell has a fresh one", async () => {
    await run(`import { kernelSignal } from "crossflow/kernel";\nlet reason = "";`);
    const { execution } = await interrupted(
      `const signal = kernelSignal();\nsignal.addEventListener("abort", () => (reason = signal.reason.name));\nconsole.log("running");\n` +
        `await new Promise((resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));`,
    );
    assert.match(errorText(execution), /^Interrupted/);
    assert.equal(await run("[reason, kernelSignal().aborted].join()"), "InterruptedError,false\n");
  });

  test("an interrupt lets an awaited generator clean up before the cell ends", async () => {
    await run("let cleaned = false;\nasync function* steps() {\n  try {\n    for (let step = 0; ; step++) {\n      yield step;\n      await pause(10);\n    }\n  } finally {\n    await pause(50);\n    cleaned = true;\n  }\n}");
    await interrupted("for await (const step of steps()) if (step === 0) console.log('running');");
    assert.equal(await run("cleaned"), "true\n");
  });

  test("a failed cell's variables stay if they have a value", async () => {
    await fail("const kept = 1;\nconst lost = (() => { throw new Error('no value'); })();");
    assert.equal(await run("kept"), "1\n");
    assert.match(await fail("lost"), /TS2304: Cannot find name 'lost'/);
  });

  test("a variable that a failed cell was to declare anew keeps its value and its type", async () => {
    await run("class Shape { sides = 3; }\nlet weights = [1, 2], untouched = 'yes';\nconst shape = new Shape();");
    await fail("const shape = (() => { throw new Error('no shape'); })();\nlet weights = 'never';\nclass Shape {}");
    assert.equal(await run("`${weights.length} ${shape.sides} ${untouched} ${new Shape().sides}`"), "2 3 yes 3\n");
    assert.match(await fail("weights.toUpperCase()"), /TS2339/);
  });

  test("completion proposes what crossflow exports and its types' members", async () => {
    const importing = `import { showF } from "crossflow/kernel"`;
    assert.ok((await kernel.complete(importing, importing.indexOf(" }"))).matches.includes("showFigure"));
    const member = `import { kernelSignal } from "crossflow/kernel"; kernelSignal().abo`;
    const { matches, start, end } = await kernel.complete(member);
    assert.ok(matches.includes("aborted"));
    assert.equal(member.slice(start, end), "abo");
    await run("const remembered = { apples: 1 };");
    const loss = 'import { defineLoss } from "crossflow"; defineLoss("mine", (terms) => terms.';
    for (const term of ["F", "x0", "zT", "r", "t", "dFdt", "residual", "xHat", "features"]) assert.ok((await kernel.complete(loss)).matches.includes(term), term);
    assert.deepEqual((await kernel.complete("remembered.app")).matches, ["apples"]);
    assert.match((await kernel.inspect("remembered", 3)) ?? "", /apples: number/);
  });

  test("displays arrive as bundles, bytes as base64, updates in place", async () => {
    const { outputs } = await kernel.execute(
      `import { createLiveDisplay, display, showTable } from "crossflow/kernel";\n` +
        `display({ "image/png": new Uint8Array([1, 2, 3]), "text/plain": "picture" }, { metadata: { "image/png": { width: 5 } } });\n` +
        `showTable([{ name: "<b>", value: 1.5 }]);\n` +
        `const live = createLiveDisplay();\nfor (let step = 0; step < 50; step++) live.update({ "text/plain": "step " + step });\nawait live.flush();`,
    );
    assert.deepEqual(outputs[0], { output_type: "display_data", data: { "image/png": "AQID", "text/plain": "picture" }, metadata: { "image/png": { alt: "picture", width: 5 } } });
    assert.ok(outputs[1].output_type === "display_data" && String(outputs[1].data["text/html"]).includes("<td style=\"text-align: left\">&lt;b&gt;</td>"));
    assert.deepEqual(outputs[2], { output_type: "display_data", data: { "text/plain": "step 49" }, metadata: {} });
    assert.equal(outputs.length, 3);
  });

  test("a cell's last value is shown in the form that says most of it, before the cell ends", async () => {
    const { outputs } = await kernel.execute(`import { lineChart as chartOf } from "crossflow/kernel";\nchartOf({ name: "a", y: [1, 2] }, { title: "Curve" })`);
    assert.equal(outputs.length, 1, JSON.stringify(outputs).slice(0, 500));
    assert.ok(outputs[0].output_type === "display_data" && "application/vnd.plotly.v1+json" in outputs[0].data && "image/png" in outputs[0].data);
    assert.equal(await run("({ plain: 1 })"), "{ plain: 1 }\n");
    const broken = await kernel.execute(`({ name: "x", [Symbol.for("Jupyter.display")]() { throw new Error("no picture"); } })`);
    assert.equal(broken.status, "ok");
    assert.match(printed(broken), /name: 'x'[^]*no picture/);
  });

  test("the stop button ends a training within 2 s, and the next cell goes on from there", { timeout: 120_000 }, async () => {
    const training = (steps: number, existing: string): string =>
      `for await (const event of watchTraining((watch) => train({ name: "stopped", trainCount: 64, batchSize: 8, steps: ${steps}, losses: { pixel: 1 }, sampleEvery: 0 }, { ...watch, existing: "${existing}", runsFolder: ${JSON.stringify(folder)} }))) {\n` +
      `  trained.push(event.step);\n  stepSeconds.push(event.seconds);\n  if (trained.length === 5) console.log("five");\n  if (trained.length === stopAt) break;\n}`;
    await run(`import { train } from "crossflow";\nimport { watchTraining } from "crossflow/kernel";\nconst trained: number[] = [];\nconst stepSeconds: number[] = [];\nlet stopAt = Infinity;`);
    const { execution, seconds } = await interrupted(training(1000, "replace"));
    assert.match(errorText(execution), /^Interrupted/);
    // A step that is being computed can not be cut short; on a busy machine it alone may take seconds.
    const longest = Number(await run("Math.max(...stepSeconds.slice(1))"));
    assert.ok(seconds < 2 + 2 * longest, `${seconds} s, where a step takes up to ${longest} s`);
    const displays = execution.outputs.filter(({ output_type }) => output_type === "display_data");
    assert.equal(displays.length, 2, "a bar and a chart, in their last state");
    const done = Number(await run("trained.at(-1)"));
    assert.ok(done >= 5);
    await run("stopAt = trained.length + 2;");
    await run(training(1000, "resume"));
    const [first, second] = JSON.parse((await run("JSON.stringify(trained.slice(-2))")).trim());
    // The step that the interrupt met was trained and saved, though the loop never saw it.
    assert.ok(first === done + 1 || first === done + 2, `${done}, then ${first}`);
    assert.equal(second, first + 1);
  });

  test("the kernel names its language and version", async () => {
    const { language_info: language } = (await kernel.information()) as { language_info: { name: string; version: string } };
    assert.deepEqual([language.name, language.version], ["typescript", "5.0.4"]);
  });
});
