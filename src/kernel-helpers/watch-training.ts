import { independenceNote } from "../model/metrics/independence";
import type { ProgressListener } from "../model/progress";
import type { StepEvent } from "../model/trainer";
import { display } from "./display";
import { liveChart } from "./figures/live-chart";
import { imageGridBundle } from "./image-grid";
import { createLiveDisplay, type LiveDisplayOptions } from "./live-display";
import { progressBar } from "./progress-bar";
import { figurePng } from "./figures/static-figure";
import { describeFigure } from "./figures/describe";
import { alarmBundle, regionFigure } from "./training-diagnostics";

export interface WatchTrainingOptions {
  /** Title of the chart of losses. */
  title?: string;
  /** Logarithmic loss axis. Default true. */
  yLog?: boolean;
  /** Shows the gradient by region of (r, t) as well, renewed with each diagnostics. Default false; alarms are always shown. */
  diagnostics?: boolean;
  show?: LiveDisplayOptions["show"];
}

/** What a training is given in order to be watched from its first second. */
export interface TrainingWatch {
  /** For train()'s option of that name: hears of rendering, encoding and compiling. */
  onProgress: ProgressListener;
}

/**
 * Watches a training: progress bars with the time left, the losses as a growing chart, the latest samples, and alarms where it shows signs of a collapse,
 * each in one place.
 * The steps come through as they are:
 *
 *     for await (const event of watchTraining((watch) => train({ name: "mine" }, watch))) if (event.step === 100) break;
 *
 * Leaving the loop, an error and the stop button end the training as they do without it, and the displays keep their last state.
 *
 * @param start starts the training with the options that it is given
 */
export async function* watchTraining(start: (watch: TrainingWatch) => AsyncIterable<StepEvent>, options: WatchTrainingOptions = {}): AsyncGenerator<StepEvent, void, undefined> {
  const { title = "Losses", yLog = true, diagnostics = false, show = display } = options;
  const bar = progressBar({ show });
  const chart = liveChart({ title, xTitle: "step", yTitle: "loss", yLog, show });
  const samples = createLiveDisplay({ show });
  const alarms = createLiveDisplay({ show });
  const regions = createLiveDisplay({ show, metadata: { "image/png": { width: 720, height: 360 } } });
  let alarmed = false;
  try {
    for await (const event of start({ onProgress: bar.update })) {
      const { step, steps, elapsedSeconds, secondsLeft } = event;
      bar.update({ label: "training", done: step, total: steps, elapsedSeconds, secondsLeft });
      chart.add(step, event.losses);
      if (event.samples) {
        const { pixels, count, imageSize, labels } = event.samples;
        const note = independenceNote(event.lossNetworks);
        const images = { pixels: new Uint8Array(pixels), shape: [count, imageSize, imageSize, 3] as const };
        samples.update(() => imageGridBundle(images, { columns: new Set(labels).size, scale: Math.max(1, Math.round(64 / imageSize)), caption: [`Samples after step ${step}`, note].filter((line) => line !== undefined).join(". ") }));
      }
      if (event.diagnostics) {
        const { alarms: raised } = event.diagnostics;
        alarmed ||= raised.length > 0;
        if (alarmed) alarms.update(alarmBundle(raised, step));
        if (diagnostics) {
          const figure = regionFigure(event.diagnostics);
          regions.update(async () => ({ "image/png": await figurePng(figure), "text/plain": describeFigure(figure) }));
        }
      }
      yield event;
    }
  } finally {
    await Promise.all([bar.close(), chart.finish(), samples.flush(), alarms.flush(), regions.flush()]);
  }
}
