import assert from "node:assert/strict";
import { describe, test } from "node:test";
import sharp from "sharp";
import { barChart, heatMap, histogram, lineChart, scatterChart } from "../../src/kernel-helpers/figures/charts";
import { describeFigure } from "../../src/kernel-helpers/figures/describe";
import type { BarTrace, LineTrace } from "../../src/kernel-helpers/figures/figure";
import { liveChart } from "../../src/kernel-helpers/figures/live-chart";
import { cividis, seriesColors } from "../../src/kernel-helpers/figures/palette";
import { figureBundle } from "../../src/kernel-helpers/figures/show-figure";
import { figurePng, figureSvg, legendRows } from "../../src/kernel-helpers/figures/static-figure";
import type { DisplayOptions, MimeBundle } from "../../src/kernel-helpers/display";

/** Points of the first path drawn in a colour. */
function pathPoints(svg: string, color: string): [number, number][] {
  const path = new RegExp(`<path d="([^"]+)"[^>]*stroke="${color}"`).exec(svg)?.[1] ?? "";
  return [...path.matchAll(/(-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
}

describe("charts", () => {
  test("are plain JSON with gaps where numbers aren't finite", () => {
    const figure = lineChart({ name: "loss", y: new Float32Array([1, NaN, 0.25]) }, { title: "Loss", yLog: true });
    assert.deepEqual(JSON.parse(JSON.stringify(figure)), figure);
    assert.deepEqual((figure.data[0] as LineTrace).y, [1, null, 0.25]);
    assert.match(figureSvg(lineChart({ name: "one point", y: [2] })), new RegExp(seriesColors[0]), "a line of one point is drawn as a point");
    assert.deepEqual((lineChart({ name: "log", y: [0, -1, 2] }, { yLog: true }).data[0] as LineTrace).y, [null, null, 2]);
  });

  test("name what doesn't fit together", () => {
    assert.throws(() => scatterChart({ name: "a", x: [1], y: [1, 2] }), /x of "a": expected one value per y value, 2 in all, got 1/);
    assert.throws(() => barChart({ name: "a", values: [1] }, { categories: ["x", "y"] }), /values of "a"/);
    assert.throws(() => heatMap([[1, 2], [3]]), /row 1: expected one value per column/);
    assert.throws(() => histogram([NaN]), /at least one finite value/);
  });

  test("tell series apart by dash and by symbol, not by colour alone", () => {
    const series = [0, 1, 2, 3].map((index) => ({ name: `s${index}`, x: [0, 1], y: [index, index] }));
    assert.equal(new Set(lineChart(series).data.map((trace) => (trace as LineTrace).line?.dash)).size, 4);
    assert.equal(new Set(scatterChart(series).data.map((trace) => (trace as LineTrace).marker?.symbol)).size, 4);
  });

  test("count a histogram's values once each, the largest in the last bin", () => {
    const { x, y, width } = histogram([0, 0.1, 0.9, 1, 1, NaN], { bins: 2 }).data[0] as BarTrace;
    assert.deepEqual([x, y, width], [[0.25, 0.75], [2, 3], [0.5, 0.5]]);
    assert.deepEqual((histogram([3, 3, 3], { bins: 1 }).data[0] as BarTrace).y, [3]);
  });

  test("are described in words", () => {
    const figure = barChart({ name: "FID", values: [10.5, 20], intervals: [1, 2] }, { categories: ["L1", "L2"], title: "Losses", yTitle: "FID" });
    assert.equal(describeFigure(figure), "Losses; y: FID\nFID: L1 10.5 ± 1, L2 20 ± 2");
    assert.equal(describeFigure(heatMap([[1, 2], [3, 4]])), "Figure\nheat map of 2 rows and 2 columns: from 1 to 4");
  });
});

describe("a figure drawn without a browser", () => {
  test("shows the figure's points: pixels are an affine map of the data", () => {
    const [x, y] = [[0, 1, 2, 5, 10], [3, 1, 4, 1, 5]];
    const points = pathPoints(figureSvg(lineChart({ name: "a", x, y })), seriesColors[0]);
    assert.equal(points.length, x.length);
    const [scaleX, scaleY] = [(points[4][0] - points[0][0]) / 10, (points[4][1] - points[1][1]) / (5 - 1)];
    assert.ok(scaleX > 0 && scaleY < 0);
    points.forEach(([left, top], index) => {
      assert.ok(Math.abs(left - (points[0][0] + scaleX * x[index])) < 0.1, `x of point ${index}`);
      assert.ok(Math.abs(top - (points[1][1] + scaleY * (y[index] - 1))) < 0.1, `y of point ${index}`);
    });
  });

  test("draws a logarithmic axis as Plotly does: equal ratios, equal steps", () => {
    const points = pathPoints(figureSvg(lineChart({ name: "a", y: [1, 10, 100] }, { yLog: true })), seriesColors[0]);
    assert.ok(Math.abs(points[0][1] - points[1][1] - (points[1][1] - points[2][1])) < 0.1);
  });

  test("puts a heat map's first row at the top, smallest value darkest", async () => {
    const { data, info } = await sharp(await figurePng(heatMap([[0, 1], [2, 3]]), 1)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const colorAt = (x: number, y: number): string =>
      `#${[0, 1, 2].map((channel) => data[(Math.round(y * info.height) * info.width + Math.round(x * info.width)) * 3 + channel].toString(16).padStart(2, "0")).join("")}`;
    const lightness = (color: string): number => parseInt(color.slice(1, 3), 16) + parseInt(color.slice(3, 5), 16);
    const corners = [colorAt(0.25, 0.3), colorAt(0.7, 0.3), colorAt(0.25, 0.7), colorAt(0.7, 0.7)].map(lightness);
    assert.deepEqual([...corners].sort((a, b) => a - b), corners);
    assert.ok(Math.abs(corners[0] - lightness(cividis[0])) < 12 && Math.abs(corners[3] - lightness(cividis[9])) < 12, corners.join());
  });

  test("draws each bar from zero, in proportion to its value", () => {
    const svg = figureSvg(barChart({ name: "a", values: [1, 2, 4] }, { categories: ["x", "y", "z"] }));
    const heights = [...svg.matchAll(new RegExp(`<path d="M[\\d.]+ ([\\d.]+)l[^"]*0 (-?[\\d.]+)l[^"]*" fill="${seriesColors[0]}"`, "g"))].map(([, , height]) => Math.abs(Number(height)));
    assert.equal(heights.length, 3);
    assert.ok(Math.abs(heights[1] / heights[0] - 2) < 0.01 && Math.abs(heights[2] / heights[0] - 4) < 0.01, heights.join());
  });

  test("keeps a legend's names apart, and gives more names more rows above the plot", async () => {
    const names = ["autoencoder's own", "F(z, r ~ 0, y)", "WWWW MMMM wide", "the fourth of all these names", "a fifth, which no row has room for"];
    const chart = (count: number) => lineChart(names.slice(0, count).map((name, index) => ({ name, y: [index, 1] })), { width: 720 });
    for (const count of [2, 3]) {
      const { data, info } = await sharp(await figurePng(chart(count), 1)).extract({ left: 0, top: 36, width: 720, height: 16 }).removeAlpha().raw().toBuffer({ resolveWithObject: true });
      const column = (x: number): number[][] => Array.from({ length: info.height }, (_, y) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]);
      const marks = seriesColors.slice(1, count).map((color) => [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16)));
      for (const mark of marks) {
        const start = Array.from({ length: info.width }, (_, x) => x).findIndex((x) => column(x).some((pixel) => pixel.every((value, channel) => Math.abs(value - mark[channel]) < 20)));
        assert.ok(start > 0);
        // White before the mark: the name before it has ended.
        for (let x = start - 6; x < start - 2; x++) assert.ok(column(x).every((pixel) => Math.min(...pixel) > 230), `a name runs into the mark at ${start}`);
      }
    }
    const top = (count: number): number => Math.min(...pathPoints(figureSvg(chart(count)), seriesColors[4]).concat(pathPoints(figureSvg(chart(count)), seriesColors[1])).map(([, y]) => y));
    assert.equal(legendRows(names.slice(0, 2), 36, 13, 680), 1);
    assert.equal(legendRows(names, 36, 13, 680), 2);
    assert.ok(top(5) > top(2) + 20, "the plot begins below the second row");
  });

  test("escapes its text and carries its description", () => {
    const svg = figureSvg(lineChart({ name: "<script>", y: [1, 2] }, { title: "a < b & c" }));
    assert.ok(!svg.includes("<script"));
    assert.match(svg, /^<svg[^>]* role="img"><title>a &lt; b &amp; c<\/title><desc>a &lt; b &amp; c\n&lt;script&gt;: 2 points/);
  });
});

describe("a figure's display", () => {
  test("has the forms that show in every notebook, and no HTML", async () => {
    const bundle = await figureBundle(lineChart({ name: "a", y: [1, 2] }));
    assert.deepEqual(Object.keys(bundle), ["application/vnd.plotly.v1+json", "image/png", "text/plain"]);
    assert.equal((await sharp(bundle["image/png"] as Uint8Array).metadata()).width, 720);
  });

  test("grows in place and ends as one interactive figure of all points", async () => {
    const shown: { bundle: MimeBundle; options: DisplayOptions }[] = [];
    const chart = liveChart({ title: "Loss", minimumIntervalMilliseconds: 0, show: (bundle, options) => void shown.push({ bundle, options }) });
    for (let step = 0; step < 3; step++) chart.add(step, { loss: 1 / (step + 1), ...(step > 0 && { critic: step }) });
    await chart.finish();
    assert.ok(shown.length >= 2);
    assert.deepEqual(shown.map(({ options }) => options.update), [false, ...shown.slice(1).map(() => true)]);
    assert.equal(new Set(shown.map(({ options }) => options.id)).size, 1);
    assert.ok(shown.slice(0, -1).every(({ bundle }) => !("application/vnd.plotly.v1+json" in bundle) && "image/png" in bundle));
    const { data } = shown.at(-1)?.bundle["application/vnd.plotly.v1+json"] as { data: LineTrace[] };
    assert.deepEqual(data.map(({ name, x, y }) => [name, x, y]), [["loss", [0, 1, 2], [1, 1 / 2, 1 / 3]], ["critic", [1, 2], [1, 2]]]);
  });
});
