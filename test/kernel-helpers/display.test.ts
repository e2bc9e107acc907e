import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createOutputCollector } from "../../src/kernel-helpers/cell-outputs";
import type { DisplayOptions, MimeBundle } from "../../src/kernel-helpers/display";
import { createLiveDisplay } from "../../src/kernel-helpers/live-display";
import { modelSummary } from "../../src/kernel-helpers/model-summary";
import { progressBar, progressBundle } from "../../src/kernel-helpers/progress-bar";
import { table } from "../../src/kernel-helpers/table";

const hostile = `<img src=x onerror="alert('1')">&`;
const escaped = "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;";

function recorder(): { shown: { bundle: MimeBundle; options: DisplayOptions }[]; show: (bundle: MimeBundle, options: DisplayOptions) => void } {
  const shown: { bundle: MimeBundle; options: DisplayOptions }[] = [];
  return { shown, show: (bundle, options) => void shown.push({ bundle, options }) };
}

describe("a live display", () => {
  test("shows the first content at once, then only the latest, under one name", async () => {
    const { shown, show } = recorder();
    const live = createLiveDisplay({ minimumIntervalMilliseconds: 10_000, show });
    let made = 0;
    for (let step = 0; step < 100; step++) live.update(() => ({ "text/plain": `${step}, ${++made} made` }));
    await live.flush();
    assert.deepEqual(shown.map(({ bundle }) => bundle["text/plain"]), ["0, 1 made", "99, 2 made"]);
    assert.deepEqual(shown.map(({ options }) => [options.id, options.update]), [[live.id, false], [live.id, true]]);
  });

  test("sends the last content by itself, and one at a time", async () => {
    const { shown, show } = recorder();
    const live = createLiveDisplay({ minimumIntervalMilliseconds: 1, show });
    let working = 0;
    for (let step = 0; step < 5; step++) {
      live.update(async () => {
        assert.equal(++working, 1);
        await delay(10);
        working--;
        return { "text/plain": String(step) };
      });
      await delay(4);
    }
    await delay(60);
    assert.equal(shown.at(-1)?.bundle["text/plain"], "4");
  });

  test("tells whoever flushes that content couldn't be made", async () => {
    const live = createLiveDisplay({ show: () => undefined });
    live.update(() => Promise.reject(new Error("no picture")));
    await assert.rejects(live.flush(), /no picture/);
  });
});

describe("tables", () => {
  test("escape their text in HTML and Markdown, align numbers, and name columns in order of appearance", () => {
    const bundle = table([{ name: hostile, value: 0.123456 }, { name: "a|b", count: 12345 }], { caption: hostile });
    const html = String(bundle["text/html"]);
    assert.ok(html.includes(`<caption>${escaped}</caption>`) && html.includes(`>${escaped}</td>`) && !html.includes("<img"));
    assert.ok(html.includes(`<td style="text-align: right">0.1235</td>`));
    assert.match(String(bundle["text/markdown"]), /\| name \| value \| count \|\n\|---\|---:\|---:\|\n/);
    assert.ok(String(bundle["text/markdown"]).includes("| a\\|b |  | 12\u2009345 |"));
    assert.equal(table([{ a: 1, b: "x" }, { a: 20, b: "yy" }])["text/plain"], " a  b\n--  --\n 1  x\n20  yy");
  });

  test("a model's summary adds up", () => {
    const text = String(modelSummary({ "blocks.0.w": { shape: [3, 4] }, "blocks.0.b": { shape: [4] }, "blocks.1.w": { shape: [2, 2] }, head: { shape: [] } }, { depth: 2 })["text/plain"]);
    assert.match(text, /blocks\.0 +2 tensors +16 +76\.2 %\nblocks\.1 +\[2, 2\] +4 +19\.0 %\nhead +\[\] +1 +4\.8 %\ntotal +4 tensors +21 +100\.0 %$/);
  });
});

describe("progress bars", () => {
  test("say share, rate and time left, escaped, nested work below", async () => {
    const { shown, show } = recorder();
    const bar = progressBar({ show });
    bar.update({ label: hostile, done: 5, total: 20, elapsedSeconds: 10, secondsLeft: 30 });
    bar.update({ label: "inner", done: 30, total: 30, elapsedSeconds: 3, secondsLeft: 0 });
    await bar.close();
    const { bundle } = shown[1];
    assert.equal(bundle["text/plain"], `${hostile} [#####...............] 5/20, 25 %, 2 s each, 30 s left\ninner [####################] 30/30, 100 %, 10/s, 3 s`);
    assert.ok(String(bundle["text/html"]).includes(`<label><span style="display: inline-block; min-width: 12em">${escaped}</span>`) && !String(bundle["text/html"]).includes("<img"));
  });

  test("of nothing are empty", () => assert.deepEqual(progressBundle([]), { "text/html": "", "text/plain": "" }));
});

describe("the outputs of cells", () => {
  test("merge printed text, replace updated displays wherever they stand, and obey clearing", () => {
    const collector = createOutputCollector();
    const first = collector.begin();
    collector.receive({ type: "stream", content: { name: "stdout", text: "a" } });
    collector.receive({ type: "stream", content: { name: "stdout", text: "b\n" } });
    collector.receive({ type: "display_data", content: { data: { "text/plain": "old" }, transient: { display_id: "x" } } });
    const second = collector.begin();
    collector.receive({ type: "update_display_data", content: { data: { "text/plain": "new" }, transient: { display_id: "x" } } });
    collector.receive({ type: "stream", content: { name: "stderr", text: "stays until the next" } });
    collector.receive({ type: "clear_output", content: { wait: true } });
    assert.equal(second.length, 1);
    collector.receive({ type: "stream", content: { name: "stderr", text: "next" } });
    assert.deepEqual(first, [
      { output_type: "stream", name: "stdout", text: "ab\n" },
      { output_type: "display_data", data: { "text/plain": "new" }, metadata: {} },
    ]);
    assert.deepEqual(second, [{ output_type: "stream", name: "stderr", text: "next" }]);
    collector.receive({ type: "clear_output", content: { wait: false } });
    assert.deepEqual(second, []);
  });
});
