import assert from "node:assert/strict";
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { prepareCopy } from "../../src/cli/workshop";
import { openKernel } from "../../src/kernel-helpers/kernel-client";
import { readNotebook } from "../../src/kernel-helpers/notebook";
import { readEvents } from "../../src/kernel-helpers/workshop-times";
import { projectRoot } from "../../src/model/files";

describe("a participant's copy", () => {
  let root: string;
  let folder: string;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), "crossflow-workshop-"));
    folder = join(root, "ada");
  });
  after(() => rm(root, { recursive: true }));

  test("has all notebooks and solutions without outputs, and a timer below each section", async () => {
    assert.ok((await prepareCopy(folder)).fresh);
    const original = await readNotebook(join(projectRoot(), "notebooks", "01-encode.ipynb"));
    const { cells } = await readNotebook(join(folder, "01-encode.ipynb"));
    const timed = original.cells.filter(({ metadata }) => "minutes" in metadata).length;
    assert.ok(timed >= 3);
    assert.equal(cells.filter(({ source }) => String(source).includes("section(")).length, timed);
    assert.ok(cells.every(({ outputs = [], execution_count = null }) => outputs.length === 0 && execution_count === null));
    assert.deepEqual((await readdir(join(folder, "solutions"))).length, (await readdir(join(projectRoot(), "notebooks", "solutions"))).filter((name) => name.endsWith(".ipynb")).length);
    for (const name of (await readdir(folder)).filter((file) => file.endsWith(".ipynb"))) {
      const copied = (await readNotebook(join(folder, name))).cells;
      assert.equal(copied.at(-1)!.source.includes("showSectionTimes"), copied.some(({ metadata }) => "minutes" in metadata), name);
    }
  });

  test("stays as it is until it is reset, which keeps what was written", async () => {
    await writeFile(join(folder, "mine.txt"), "work");
    assert.equal((await prepareCopy(folder)).fresh, false);
    assert.equal(await readFile(join(folder, "mine.txt"), "utf8"), "work");
    assert.ok((await prepareCopy(folder, { reset: true })).fresh);
    const aside = (await readdir(root)).find((name) => name !== "ada")!;
    assert.equal(await readFile(join(root, aside, "mine.txt"), "utf8"), "work");
    assert.ok(!(await readdir(folder)).includes("mine.txt"));
  });

  test("notes sections and exercises from the real kernel, and reads a log that was cut off", async () => {
    const log = join(folder, "times.jsonl");
    process.env.CROSSFLOW_WORKSHOP_LOG = log;
    const kernel = await openKernel({ folder });
    delete process.env.CROSSFLOW_WORKSHOP_LOG;
    try {
      const { status, outputs } = await kernel.execute(`import { check, section } from "crossflow/kernel";\nsection("01: Latents", 8);\ncheck("compression", 16);\ncheck("compression", 12);\nsection("01: And back", 5);`);
      assert.equal(status, "ok");
      const texts = outputs.map((output) => (output.output_type === "display_data" ? String(output.data["text/plain"]) : ""));
      assert.match(texts[1], /^compression: ✗ not yet\. Not yet: you compared the places/);
      assert.match(texts[2], /^compression: ✓ exact\./);
      assert.match(texts[3], /^Section "01: And back": 5 min by the plan\. The section before, 01: Latents, took \d+ s of 8 min\.$/);
    } finally {
      await kernel.shutdown();
    }
    await appendFile(log, `{"time":"2026`);
    assert.deepEqual(readEvents(log).map(({ kind, name }) => `${kind} ${name}`), ["section 01: Latents", "exercise compression", "exercise compression", "section 01: And back"]);
  });
});
