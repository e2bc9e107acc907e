import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readNotebook } from "../../src/kernel-helpers/notebook";
import { runNotebook } from "../../src/kernel-helpers/notebook-runner";
import { projectRoot } from "../../src/model/files";

const folder = join(projectRoot(), "notebooks");
const names = readdirSync(folder).filter((name) => name.endsWith(".ipynb")).sort();
const temporary = mkdtempSync(join(tmpdir(), "crossflow-notebooks-"));
after(() => rmSync(temporary, { recursive: true, force: true }));

test("the walk has its six notebooks", () => {
  assert.deepEqual(names.map((name) => name.slice(0, 2)), ["01", "02", "03", "04", "05", "06"]);
});

test("one cell is tagged as the grid of samples that npm start -- --headless leaves", async () => {
  const cells = (await Promise.all(names.map((name) => readNotebook(join(folder, name))))).flatMap((notebook) => notebook.cells);
  const tagged = cells.filter(({ metadata }) => Array.isArray(metadata.tags) && metadata.tags.includes("samples"));
  assert.equal(tagged.length, 1);
  assert.ok(JSON.stringify(tagged[0].outputs).includes("image/png"));
});

for (const name of names) {
  test(`${name} is committed executed, small and without errors`, async () => {
    const file = join(folder, name);
    const code = (await readNotebook(file)).cells.filter((cell) => cell.cell_type === "code");
    assert.ok(statSync(file).size < 1_500_000, "outputs stay small");
    assert.ok(code.every((cell) => cell.execution_count !== null), "every cell was executed");
    assert.ok(!JSON.stringify(code).includes('"output_type":"error"'), "no cell failed");
  });

  test(`${name} runs in the real kernel`, { timeout: 600_000 }, async () => {
    process.env.CROSSFLOW_SETTING = "FAST";
    const output = join(temporary, name);
    await runNotebook({ notebook: join(folder, name), output, cellTimeoutSeconds: 500, onEvent: () => undefined });
    const outputs = JSON.stringify((await readNotebook(output)).cells);
    assert.ok(outputs.includes("image/png"), "it shows pictures");
  });
}
