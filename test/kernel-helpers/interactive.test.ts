import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { acceptComms, connectComms, openComm, openComms, receiveComm } from "../../src/kernel-helpers/comms";
import { combination, positionsOf, slider, valuesAt } from "../../src/kernel-helpers/interactive/controls";
import { interactive, noWidgetsVariable } from "../../src/kernel-helpers/interactive/interactive";
import type { MimeBundle } from "../../src/kernel-helpers/display";

const square = (red: number) => ({ pixels: Uint8Array.from({ length: 48 }, (_, index) => (index % 3 === 0 ? red : 0)), shape: [1, 4, 4, 3] as const });

/** What interactive shows, in the order in which it shows it. */
async function shown(run: (show: (bundle: MimeBundle) => void) => Promise<void>): Promise<MimeBundle> {
  const bundles: MimeBundle[] = [];
  await run((bundle) => bundles.push(bundle));
  return bundles[bundles.length - 1];
}

describe("controls", () => {
  test("a slider's numbers have no rounding error and end at its end", () => {
    assert.deepEqual(positionsOf({ r: slider(0, 0.3, 0.1, 0.2) })[0], { name: "r", kind: "slider", values: [0, 0.1, 0.2, 0.3], labels: ["0", "0.1", "0.2", "0.3"], first: 2 });
    assert.deepEqual(positionsOf({ r: slider(-1, 1, 0.75) })[0].values, [-1, -0.25, 0.5]);
  });

  test("each number is another combination, and its parts give the number back", () => {
    const positions = positionsOf({ a: ["x", "y"], b: slider(0, 2, 1), c: [1, 2, 3, 4] });
    const seen = Array.from({ length: 24 }, (_, number) => combination(positions, number));
    assert.equal(new Set(seen.map(String)).size, 24);
    assert.ok(seen.every(([a, b, c], number) => (a * 3 + b) * 4 + c === number));
    assert.deepEqual(valuesAt(positions, [1, 2, 0]), { a: "y", b: 2, c: 1 });
  });

  test("bad controls are refused with what was expected", async () => {
    assert.throws(() => slider(1, 0, 0.1), /expected from < to and a step above 0, got from 1 to 0/);
    assert.throws(() => slider(0, 1, 0.1, 2), /expected a first value from 0 to 1, got 2/);
    assert.throws(() => positionsOf({ a: ["x", "x"] }), /"a" to be a list of one or more different elements, got \[x, x\]/);
    await assert.rejects(interactive({ a: slider(0, 1, 0.001), b: ["x", "y"] }, () => square(0)), /2002 combinations, and at most 400[^]*live: true/);
  });
});

describe("pictures drawn beforehand", () => {
  test("the display holds every different picture once, the first as an image too, and no text of the caller's as HTML", async () => {
    const asked: unknown[] = [];
    const bundle = await shown((show) =>
      interactive({ "<i>": ["</script><b>", "other"], r: slider(0, 2, 1, 1) }, (values) => {
        asked.push(values);
        return square(100 * values.r);
      }, { description: "<u>", show }),
    );
    assert.deepEqual(asked.slice(0, 2), [{ "<i>": "</script><b>", r: 0 }, { "<i>": "</script><b>", r: 1 }]);
    assert.equal(asked.length, 6);
    const html = String(bundle["text/html"]);
    assert.ok(!/<[iub]>/.test(html) && html.split("</script>").length === 3, "only the display's own two scripts end");
    const { order, controls } = JSON.parse(/application\/json">([^]*?)<\/script>/.exec(html)?.[1] ?? "");
    const pictures = [...html.replace(/[^]*<details>/, "").matchAll(/src="data:image\/png;base64,([^"]*)"/g)].map(([, data]) => data);
    assert.equal(new Set(pictures).size, 3);
    assert.equal(pictures.length, 3);
    assert.deepEqual(order, [0, 1, 2, 0, 1, 2]);
    assert.deepEqual(controls[1], { name: "r", kind: "slider", labels: ["0", "1", "2"], first: 1 });
    assert.ok(html.replace(/<details>[^]*/, "").includes(`src="data:image/png;base64,${pictures[1]}"`));
    assert.equal(html.split("as for &lt;i&gt;: &lt;/script&gt;&lt;b&gt;, r: ").length, 4, "each picture that comes again points to the first");
    assert.deepEqual(Buffer.from(bundle["image/png"] as Uint8Array).toString("base64"), pictures[1]);
    assert.match(String(bundle["text/plain"]), /^<u>; <i>: <\/script><b>, r: 1\nControls: /);
  });

  test("a tensor that was drawn is disposed of", async () => {
    const before = tf.memory().numTensors;
    await shown((show) => interactive({ seed: [0, 1, 2] }, ({ seed }) => tf.fill([1, 4, 4, 3], seed / 2) as tf.Tensor4D, { show }));
    assert.equal(tf.memory().numTensors, before);
  });
});

describe("live pictures", () => {
  interface Sent {
    type: string;
    content: { comm_id: string; target_name?: string; data: { state?: Record<string, unknown>; [name: string]: unknown } };
    metadata: object;
  }

  test("sliders and lists ask for a picture of their values, by the widgets' messages", async () => {
    const sent: Sent[] = [];
    connectComms({ publish: (type, content, metadata) => void sent.push({ type, content: content as Sent["content"], metadata }) });
    try {
      const asked: unknown[] = [];
      const bundle = await shown((show) =>
        interactive({ name: ["a", "b"], r: slider(0, 1, 0.25) }, (values) => {
          asked.push(values);
          return square(200 * values.r);
        }, { live: true, description: "Live", show }),
      );
      assert.deepEqual(asked, [{ name: "a", r: 0 }]);
      assert.ok(sent.every(({ type, content, metadata }) => type === "comm_open" && content.target_name === "jupyter.widget" && "version" in metadata));
      const model = (name: string): Sent => sent.find(({ content }) => content.data.state?._model_name === name) as Sent;
      const view = bundle["application/vnd.jupyter.widget-view+json"] as { model_id: string };
      assert.equal(view.model_id, model("VBoxModel").content.comm_id);
      assert.deepEqual(model("VBoxModel").content.data.state?.children, ["DropdownModel", "FloatSliderModel", "HTMLModel"].map((name) => `IPY_MODEL_${model(name).content.comm_id}`));

      const update = (name: string, state: object) => receiveComm({ type: "comm_msg", content: { comm_id: model(name).content.comm_id, data: { method: "update", state } } });
      await update("FloatSliderModel", { value: 0.5000001 });
      await update("DropdownModel", { index: 1 });
      assert.deepEqual(asked.slice(1), [{ name: "a", r: 0.5 }, { name: "b", r: 0.5 }]);
      const last = sent.at(-1) as Sent;
      assert.equal(last.content.comm_id, model("HTMLModel").content.comm_id);
      assert.match(String(last.content.data.state?.value), /^<img alt="Live; name: b, r: 0.5" src="data:image\/png;base64,/);

      // A page that is loaded anew asks for all widgets.
      await receiveComm({ type: "comm_open", content: { comm_id: "control", target_name: "jupyter.widget.control", data: {} } });
      await receiveComm({ type: "comm_msg", content: { comm_id: "control", data: { method: "request_states" } } });
      const states = sent.at(-1)?.content.data.states as Record<string, { model_name: string; state: Record<string, unknown> }>;
      assert.equal(states[model("DropdownModel").content.comm_id].state.index, 1);
      assert.deepEqual(Object.keys(openComms("jupyter.widget")).sort(), Object.keys(states).sort());
    } finally {
      connectComms(undefined);
    }
  });

  test("where notebooks run without a front end the first picture is shown alone", async () => {
    process.env[noWidgetsVariable] = "1";
    try {
      const bundle = await shown((show) => interactive({ r: slider(0, 1, 0.5) }, ({ r }) => square(r), { live: true, show }));
      assert.deepEqual(Object.keys(bundle), ["image/png", "text/plain"]);
    } finally {
      delete process.env[noWidgetsVariable];
    }
  });
});

describe("comms", () => {
  test("data goes both ways, closing reaches the other side, and a target that nobody knows is closed", async () => {
    const sent: unknown[] = [];
    connectComms({ publish: (type, content) => void sent.push([type, content]) });
    try {
      const heard: unknown[] = [];
      acceptComms("echo", (comm, data) => {
        heard.push(data);
        return { onMessage: (message) => comm.send({ echo: message }), onClose: () => heard.push("closed") };
      });
      await receiveComm({ type: "comm_open", content: { comm_id: "1", target_name: "echo", data: { hello: 1 } } });
      await receiveComm({ type: "comm_msg", content: { comm_id: "1", data: { word: "two" } } });
      await receiveComm({ type: "comm_close", content: { comm_id: "1" } });
      await receiveComm({ type: "comm_open", content: { comm_id: "2", target_name: "unknown" } });
      assert.deepEqual(heard, [{ hello: 1 }, "closed"]);
      assert.deepEqual(sent, [["comm_msg", { comm_id: "1", data: { echo: { word: "two" } } }], ["comm_close", { comm_id: "2", data: {} }]]);
      const own = openComm("elsewhere", {});
      own.close();
      own.close();
      assert.equal(sent.length, 4, "opened, closed once");
    } finally {
      connectComms(undefined);
    }
    assert.throws(() => openComm("elsewhere", {}), /No notebook is connected/);
  });
});
