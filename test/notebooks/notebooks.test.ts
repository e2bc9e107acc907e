import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { WALK_EXERCISES } from "../../src/kernel-helpers/exercises/walk";
import { openKernel } from "../../src/kernel-helpers/kernel-client";
import { joinLines, readNotebook, type NotebookCell } from "../../src/kernel-helpers/notebook";
import { runNotebook } from "../../src/kernel-helpers/notebook-runner";
import { projectRoot } from "../../src/model/files";

const folder = join(projectRoot(), "notebooks");
const names = readdirSync(folder).filter((name) => name.endsWith(".ipynb")).sort();
const temporary = mkdtempSync(join(tmpdir(), "crossflow-notebooks-"));
after(() => rmSync(temporary, { recursive: true, force: true }));

test("the walk has its six notebooks, then those of the loss laboratory", () => {
  assert.deepEqual(names.map((name) => name.slice(0, 2)), ["01", "02", "03", "04", "05", "06", "07", "08"]);
});

test("one cell is tagged as the grid of samples that npm start -- --headless leaves", async () => {
  const cells = (await Promise.all(names.map((name) => readNotebook(join(folder, name))))).flatMap((notebook) => notebook.cells);
  const tagged = cells.filter(({ metadata }) => Array.isArray(metadata.tags) && metadata.tags.includes("samples"));
  assert.equal(tagged.length, 1);
  assert.ok(JSON.stringify(tagged[0].outputs).includes("image/png"));
});

test("every exercise of a notebook has a solution that the checker takes, in the real kernel", { timeout: 120_000 }, async () => {
  const kernel = await openKernel({ folder });
  const asked: string[] = [];
  try {
    for (const name of names) {
      const exercises = (cells: NotebookCell[]): string[] => cells.flatMap(({ cell_type, source }) => (cell_type === "code" ? [...joinLines(source).matchAll(/^check\("([\w-]+)"/gm)].map(([, word]) => word) : []));
      const own = exercises((await readNotebook(join(folder, name))).cells);
      const { notebook } = await runNotebook({ notebook: join(folder, "solutions", name), output: join(temporary, `solutions-${name}`), kernel });
      assert.deepEqual(exercises(notebook.cells), own, name);
      assert.ok(own.length > 0, name);
      const verdicts = notebook.cells.flatMap(({ outputs = [] }) => outputs.map(({ data }) => String((data as Record<string, unknown>)["text/plain"])));
      assert.deepEqual(verdicts.map((verdict) => verdict.split(".")[0]), own.map((word) => `${word}: ✓ exact`));
      asked.push(...own);
    }
  } finally {
    await kernel.shutdown();
  }
  assert.deepEqual(asked, WALK_EXERCISES.map(({ name }) => name));
});

test("the teacher's plan gives each section the minutes that its notebook has", async () => {
  const plan = readFileSync(join(projectRoot(), "docs", "workshop.md"), "utf8");
  for (const name of names) {
    for (const { source, metadata } of (await readNotebook(join(folder, name))).cells) {
      if (typeof metadata.minutes !== "number") continue;
      const heading = joinLines(source).split("\n")[0].replace(/^#+ /, "");
      assert.ok(plan.includes(`| ${name.slice(0, 2)} ${heading} | ${metadata.minutes} |`), `${name}: ${heading}, ${metadata.minutes} min`);
    }
  }
});

test("class, seed, r, interpolation and t each have a control drawn beforehand, which needs no kernel, and a live one", async () => {
  const cells = (await Promise.all(names.map((name) => readNotebook(join(folder, name))))).flatMap((notebook) => notebook.cells.filter(({ cell_type }) => cell_type === "code"));
  const found = { beforehand: new Set<string>(), live: new Set<string>() };
  for (const { source, outputs = [] } of cells) {
    const calls = [...joinLines(source).matchAll(/^await interactive\(\{([^}]*)\}[^]*?\{ description: [^}]*\}\);/gm)];
    const shown = outputs.map(({ data }) => (data ?? {}) as Record<string, string | string[]>);
    for (const [index, [call, controls]] of calls.entries()) {
      const labels = [...controls.matchAll(/(\w+):/g)].map(([, label]) => label);
      if (call.includes("live: true")) labels.forEach((label) => found.live.add(label));
      else {
        const html = joinLines(shown[index]["text/html"]);
        assert.ok(html.includes("data:image/png") && html.includes("<script"), "the pictures stand in the notebook's file");
        labels.filter((label) => html.includes(`"name":"${label}"`)).forEach((label) => found.beforehand.add(label));
      }
      assert.ok("image/png" in shown[index], `${call}: a picture where controls can't be shown`);
    }
  }
  for (const [form, labels] of Object.entries(found)) assert.deepEqual(["class", "seed", "r", "interpolation", "t"].filter((label) => !labels.has(label)), [], form);
});

test("every output has a form that GitHub and nbviewer show, without a script", async () => {
  for (const name of names) {
    for (const { outputs = [] } of (await readNotebook(join(folder, name))).cells) {
      for (const data of outputs.flatMap((output) => (output.data ? [output.data as Record<string, string | string[]>] : []))) {
        assert.ok("text/plain" in data, `${name}: words for every output`);
        // Both leave scripts out, and what needs an extension.
        const needsMore = Object.keys(data).some((type) => type.includes("plotly") || type.includes("widget")) || ("text/html" in data && joinLines(data["text/html"]).includes("<script"));
        if (needsMore) assert.ok("image/png" in data, `${name}: a picture beside ${Object.keys(data).join(", ")}`);
      }
    }
  }
});

for (const name of names) {
  test(`${name} is committed executed, small and without errors`, async () => {
    const file = join(folder, name);
    const code = (await readNotebook(file)).cells.filter((cell) => cell.cell_type === "code");
    assert.ok(statSync(file).size < 1_500_000, "outputs stay small");
    assert.ok(code.every((cell) => cell.execution_count !== null), "every cell was executed");
    assert.ok(!JSON.stringify(code).includes('"output_type":"error"'), "no cell failed");
  });
}
