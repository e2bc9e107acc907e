import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DisplayOptions, MimeBundle } from "../../src/kernel-helpers/display";
import { watchTraining } from "../../src/kernel-helpers/watch-training";
import type { StepEvent } from "../../src/model/trainer";

const event = (step: number, steps: number): StepEvent => ({
  step, steps, losses: { pixel: 1 / step }, total: 1, gradientNorm: 1, residual: 1, learningRate: 1, seconds: 0.1, dataSeconds: 0, waitShare: 0, elapsedSeconds: step, secondsLeft: steps - step, lossNetworks: ["efficientnet-lite0"],
  ...(step % 2 === 0 && { samples: { pixels: new Uint8ClampedArray(2 * 16 * 16 * 3), count: 2, imageSize: 16, labels: [0, 1] } }),
});

/** Watches made-up steps, leaves the loop after `stopAfter` of them, and gives the last state of each display. */
async function watched(steps: number, { stopAfter = Infinity, failAt = Infinity } = {}): Promise<{ last: MimeBundle[]; messages: number; ended: string[] }> {
  const shown = new Map<string, MimeBundle>();
  const ended: string[] = [];
  let messages = 0;
  const show = (bundle: MimeBundle, { id = "", update }: DisplayOptions): void => {
    assert.equal(update, shown.has(id), "each display is made once, then updated");
    shown.set(id, bundle);
    messages++;
  };
  async function* training(): AsyncGenerator<StepEvent> {
    try {
      for (let step = 1; step <= steps; step++) {
        if (step === failAt) throw new Error("no longer finite");
        yield event(step, steps);
      }
    } finally {
      ended.push("training");
    }
  }
  try {
    for await (const { step } of watchTraining(training, { show })) if (step === stopAfter) break;
  } catch (error) {
    ended.push((error as Error).message);
  }
  return { last: [...shown.values()], messages, ended };
}

describe("watching a training", () => {
  test("shows bar, chart and samples in three places, and only some of 2,000 steps", async () => {
    const { last, messages } = await watched(2000);
    assert.equal(last.length, 3);
    assert.ok(messages < 60, `${messages} messages`);
    assert.match(String(last.find((bundle) => "text/html" in bundle)?.["text/plain"]), /^training \[#{20}\] 2000\/2000, 100 %/);
    const chart = last.find((bundle) => "application/vnd.plotly.v1+json" in bundle)!;
    assert.match(String(chart["text/plain"]), /pixel: \d+ points, first 1, last 0\.0005/);
    assert.ok(JSON.stringify(chart["application/vnd.plotly.v1+json"]).length < 40_000);
    assert.match(String(last.find((bundle) => !("text/html" in bundle) && bundle !== chart)?.["text/plain"]), /^Samples after step 2000\. A loss learned from efficientnet-lite0: what is measured there is not independent, and does not judge this training\.\n2 images/);
  });

  test("keeps the last state and ends the training where the loop is left", async () => {
    const { last, ended } = await watched(100, { stopAfter: 7 });
    assert.deepEqual(ended, ["training"]);
    assert.match(String(last[0]["text/plain"]), /7\/100, 7 %/);
    assert.ok(last.some((bundle) => /7 points/.test(String(bundle["text/plain"]))));
  });

  test("passes an error on, with the displays finished", async () => {
    const { last, ended } = await watched(100, { failAt: 5 });
    assert.deepEqual(ended, ["training", "no longer finite"]);
    assert.ok(last.some((bundle) => "application/vnd.plotly.v1+json" in bundle));
  });

  test("shows nothing of a training that does not begin", async () => assert.deepEqual((await watched(0)).last, []));
});
