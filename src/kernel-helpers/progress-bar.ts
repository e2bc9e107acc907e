import { formatDuration, type ProgressEvent } from "../model/progress";
import type { MimeBundle } from "./cell-outputs";
import { escapeHtml } from "./html";
import { createLiveDisplay, type LiveDisplayOptions } from "./live-display";

export interface ProgressBarOptions {
  /** Shortest time between two drawings. Default 250 ms. */
  minimumIntervalMilliseconds?: number;
  show?: LiveDisplayOptions["show"];
}

/** Progress bars in one display: a bar for each label, in the order in which they began. */
export interface ProgressBar {
  /** Takes a progress event; give it to what works: `loadAvatars({ onProgress: bar.update })`. */
  readonly update: (event: ProgressEvent) => void;
  /** Sends the last state; call it when the work has ended, well or not. */
  close(): Promise<void>;
}

/**
 * A progress bar in place, with the rate and the time left. Work inside work shows as bars below one another: each label has
 * its own, and one that begins anew starts its bar anew.
 */
export function progressBar({ minimumIntervalMilliseconds = 250, show }: ProgressBarOptions = {}): ProgressBar {
  const events = new Map<string, ProgressEvent>();
  const live = createLiveDisplay({ minimumIntervalMilliseconds, show });
  return {
    update(event) {
      events.set(event.label, event);
      live.update(() => progressBundle([...events.values()]));
    },
    close: () => live.flush(),
  };
}

/** Bars for the given states, as HTML and as text. */
export function progressBundle(events: readonly ProgressEvent[]): MimeBundle {
  const bars = events.map((event) => ({ share: event.total > 0 ? Math.min(1, event.done / event.total) : 0, ...describe(event) }));
  const html = bars.map(
    ({ share, label, numbers }) =>
      // A label names the bar where ARIA is taken away: in JupyterLab's untrusted outputs.
      `<div style="margin: 2px 0"><label><span style="display: inline-block; min-width: 12em">${escapeHtml(label)}</span> ` +
      `<progress max="1" value="${share.toFixed(4)}" style="width: 18em; vertical-align: middle"></progress></label> ` +
      `<span style="font-variant-numeric: tabular-nums">${escapeHtml(numbers)}</span></div>`,
  );
  const text = bars.map(({ share, label, numbers }) => `${label} [${"#".repeat(Math.round(20 * share)).padEnd(20, ".")}] ${numbers}`);
  return { "text/html": html.join(""), "text/plain": text.join("\n") };
}

function describe({ label, done, total, elapsedSeconds, secondsLeft }: ProgressEvent): { label: string; numbers: string } {
  const percent = total > 0 ? Math.floor((100 * done) / total) : 0;
  const rate = elapsedSeconds > 0 && done > 0 ? `, ${formatRate(done / elapsedSeconds)}` : "";
  const time = done >= total ? `, ${formatDuration(elapsedSeconds)}` : secondsLeft === undefined ? "" : `, ${formatDuration(secondsLeft)} left`;
  return { label, numbers: `${done}/${total}, ${percent} %${rate}${time}` };
}

/** "12.3/s", or "4.5 s each" where one takes longer than a second. */
function formatRate(perSecond: number): string {
  return perSecond >= 1 ? `${Number(perSecond.toPrecision(3))}/s` : `${Number((1 / perSecond).toPrecision(2))} s each`;
}
