import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DisplayOptions, MimeBundle } from "../../src/kernel-helpers/display";
import { describeFigure } from "../../src/kernel-helpers/figures/describe";
import { figureSvg } from "../../src/kernel-helpers/figures/static-figure";
import { alarmBundle, diagnosticsFigures, regionFigure } from "../../src/kernel-helpers/training-diagnostics";
import { watchTraining } from "../../src/kernel-helpers/watch-training";
import { REGION_COLUMNS, REGION_ROWS, type Alarm, type Diagnostics } from "../../src/model/diagnostics";
import type { StepEvent } from "../../src/model/trainer";

const alarm: Alarm = { name: "critic too strong", sign: "accuracy <b>1</b> & gap 9", cause: "no penalty", cure: "raise criticPenalty" };
const map = (value: number | null): (number | null)[][] => REGION_ROWS.map((_, row) => REGION_COLUMNS.map((__, column) => (row === 7 && column === 5 ? 0.01 : value)));
const diagnostics = (step: number, alarms: Alarm[] = []): Diagnostics => ({
  step, steps: 10, alarms, regions: { count: REGION_ROWS.map(() => REGION_COLUMNS.map(() => 3)), gradient: map(1), residual: map(0.1), derivative: map(null) },
  residual: { start: 1, mean: 0.5 }, gradientNorm: 1, updateToWeight: { blocks: 0.01, head: 0.02 }, sensitivity: { class: 0.5, noise: 0.4, r: 0.3 }, diagonal: { t: [0.1, 0.9], psnr: [20, 12] }, derivativeError: 0.001,
});

describe("a training's diagnostics", () => {
  test("are drawn as maps in logarithms, one row and column a region, and lines over the steps", () => {
    const figures = diagnosticsFigures([diagnostics(10), diagnostics(20)]);
    assert.deepEqual(figures.map(({ data }) => data[0].type), ["heatmap", "heatmap", "heatmap", "scatter", "scatter", "scatter", "scatter"]);
    const [trace] = regionFigure(diagnostics(20)).data;
    assert.ok(trace.type === "heatmap" && trace.z.length === 8 && trace.x.length === 6);
    assert.equal(trace.z[7][5], -2);
    assert.match(describeFigure(figures[0]), /step 20.*x: t; y: r\nheat map of 8 rows and 6 columns: from -2 to 0/);
    assert.match(describeFigure(figures[3]), /another class: 2 points, first 0\.5/);
    assert.match(figureSvg(figures[0]), /r = t/);
    assert.throws(() => diagnosticsFigures([]), /no diagnostics.*diagnosticsEvery above 0/);
  });

  test("tell alarms with cause and cure, escaped", () => {
    const { "text/html": html, "text/plain": text } = alarmBundle([alarm], 20);
    assert.match(String(html), /role="alert".*accuracy &lt;b&gt;1&lt;\/b&gt; &amp; gap 9.*no penalty.*raise criticPenalty/);
    assert.match(String(text), /! critic too strong: .*\n {2}likely cause: no penalty\n {2}cure: raise criticPenalty/);
    assert.match(String(alarmBundle([], 20)["text/html"]), /role="status".*No sign of a collapse at step 20/);
  });

  test("show in a watched training: alarms from the first one on, the map where asked for", async () => {
    const shown = new Map<string, MimeBundle>();
    const show = (bundle: MimeBundle, { id = "" }: DisplayOptions): void => void shown.set(id, bundle);
    async function* training(): AsyncGenerator<StepEvent> {
      for (let step = 1; step <= 3; step++) yield { step, steps: 3, losses: { pixel: 1 }, total: 1, gradientNorm: 1, residual: 1, learningRate: 1, seconds: 0.1, dataSeconds: 0, waitShare: 0, elapsedSeconds: step, secondsLeft: 1, lossNetworks: [], diagnostics: diagnostics(step, step === 2 ? [alarm] : []) };
    }
    const texts = (): string[] => [...shown.values()].map((bundle) => String(bundle["text/plain"]));
    for await (const { step } of watchTraining(training, { show, diagnostics: true })) if (step === 1) assert.ok(!texts().some((text) => text.includes("collapse")));
    assert.ok(texts().some((text) => text.startsWith("No sign of a collapse at step 3")), "the last state stays");
    assert.ok(texts().some((text) => text.includes("Gradient that reaches F, log10 by region, 0: usual pull (step 3)")));
  });
});
