import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runNotebook } from "../../src/kernel-helpers/notebook-runner";
import { readNotebook, writeNotebook } from "../../src/kernel-helpers/notebook";
import { projectRoot } from "../../src/model/files";
import { environmentPython } from "../../src/setup/python";

const source = `import { display, figurePng, lineChart, markdown, progressBar, showFigure, showTable } from "crossflow/kernel";
const figure = lineChart({ name: "falling", y: [3, 2, 1] }, { title: "A <loss>" });
await showFigure(figure);
display({ "image/png": await figurePng(figure), "text/plain": "a picture <of> it" });
display({ "image/png": await figurePng(figure), "text/plain": "un" + "used" }, { metadata: { "image/png": { width: 100, alt: "its own words" } } });
showTable([{ name: "first", value: 0.5 }]);
markdown("**bold** $x^2$");
const bar = progressBar();
bar.update({ label: "work", done: 1, total: 2, elapsedSeconds: 1, secondsLeft: 1 });
await bar.close();`;

// nbviewer shows what nbconvert makes. Its template "lab" gives pictures no text of ours, "classic" and "basic" do.
test("nbconvert's page shows each display once, pictures with their text alternatives, without scripts and escapes", async () => {
  const folder = await mkdtemp(join(tmpdir(), "crossflow-nbconvert-"));
  try {
    const path = join(folder, "displays.ipynb");
    await writeNotebook(path, { ...(await readNotebook(join(projectRoot(), "notebooks", "01-encode.ipynb"))), cells: [{ cell_type: "code", source, metadata: {}, outputs: [], execution_count: null }] });
    await runNotebook({ notebook: path });
    for (const template of ["lab", "classic", "basic"]) {
      execFileSync(environmentPython(projectRoot()), ["-m", "jupyter", "nbconvert", "--to", "html", "--template", template, path], { stdio: "pipe" });
      const html = await readFile(join(folder, "displays.html"), "utf8");
      const body = html.slice(Math.max(0, html.indexOf("<body"))).replace(/<script[\s\S]*?<\/script>/g, "");
      const alternatives = [...body.matchAll(/<img[^>]*>/g)].map(([image]) => /alt="([^"]*)"/.exec(image)?.[1]);
      assert.equal(alternatives.length, 3, template);
      if (template !== "lab") {
        assert.match(alternatives[0] ?? "", /A &lt;loss&gt;[\s\S]*falling/, template);
        assert.deepEqual(alternatives.slice(1), ["a picture &lt;of&gt; it", "its own words"], template);
      }
      assert.equal([...body.matchAll(/<table/g)].length, 1, template);
      assert.equal([...body.matchAll(/<progress/g)].length, 1, template);
      assert.equal([...body.matchAll(/<strong>bold<\/strong>/g)].length, 1, template);
      assert.equal(/\u001b|plotly|unused/.exec(body), null, template);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});
