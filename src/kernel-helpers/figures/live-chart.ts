import { createLiveDisplay, type LiveDisplayOptions } from "../live-display";
import { display, type DisplayOptions, type MimeBundle } from "../display";
import { lineChart, type ChartOptions } from "./charts";
import { describeFigure } from "./describe";
import type { Figure } from "./figure";
import { figureBundle, figureMetadata } from "./show-figure";
import { figurePng } from "./static-figure";
import { thinned } from "./thinned";

export interface LiveChartOptions extends ChartOptions {
  /** Shortest time between two drawings. Default 1000 ms: drawing takes time from the training. */
  minimumIntervalMilliseconds?: number;
  show?: LiveDisplayOptions["show"];
}

/** A line chart that grows in place. */
export interface LiveChart {
  /** Adds a point to each named series at `x`, e.g. `add(step, { loss: 0.3 })`; new names start new lines. */
  add(x: number, values: Record<string, number>): void;
  /** The chart as it is now; long lines keep their extremes, not every point. */
  figure(): Figure;
  /** Puts the finished interactive figure in the picture's place. Call it when nothing more comes, also after an error. Without any point it shows nothing. */
  finish(): Promise<void>;
}

/**
 * A line chart for numbers that come one after another. While it grows it is a picture, since an interactive figure can't be
 * updated in place; {@link LiveChart.finish} puts the interactive one there.
 */
export function liveChart(options: LiveChartOptions = {}): LiveChart {
  const { minimumIntervalMilliseconds = 1000, show = display, ...chart } = options;
  const series = new Map<string, { x: number[]; y: number[] }>();
  const figure = (): Figure => lineChart([...series].map(([name, { x, y }]) => ({ name, ...thinned(x, y) })), chart);
  const { width = 720, height = 420 } = chart;
  const metadata = { "image/png": { width, height } };
  let shown = false;
  const live = createLiveDisplay({
    minimumIntervalMilliseconds,
    metadata,
    show(bundle: MimeBundle, displayOptions: DisplayOptions) {
      shown = true;
      show(bundle, displayOptions);
    },
  });
  return {
    add(x, values) {
      for (const [name, value] of Object.entries(values)) {
        const points = series.get(name) ?? { x: [], y: [] };
        points.x.push(x);
        points.y.push(value);
        series.set(name, points);
      }
      live.update(async () => {
        const now = figure();
        return { "image/png": await figurePng(now), "text/plain": describeFigure(now) };
      });
    },
    figure,
    async finish() {
      if (series.size === 0) return;
      await live.flush();
      const last = figure();
      show(await figureBundle(last), { id: live.id, update: shown, metadata: figureMetadata(last) });
    },
  };
}
