/** How far a long piece of work has come. */
export interface ProgressEvent {
  /** What is being done, e.g. "rendering avatars". */
  readonly label: string;
  /** Units finished so far, 0 to `total`. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
  readonly elapsedSeconds: number;
  /** Estimated time left; undefined until the first unit is finished. */
  readonly secondsLeft: number | undefined;
}

export type ProgressListener = (event: ProgressEvent) => void;

/** What every long-running function of this package takes. */
export interface LongRunOptions {
  onProgress?: ProgressListener;
  /** Stops the work at the next safe point; the function then throws the signal's reason. */
  signal?: AbortSignal;
}

export interface ProgressOptions {
  label: string;
  /** Units in all; a positive number. */
  total: number;
  /** Units that were already finished before this run, e.g. on a resumed training; they don't count as speed. */
  done?: number;
  onUpdate?: ProgressListener;
  /** Clock in seconds; a monotonic one by default. */
  now?: () => number;
}

export interface Progress {
  /** Marks `count` (default 1) more units as finished, tells the listener, and returns the new state. */
  advance(count?: number): ProgressEvent;
  /** The state now, without telling the listener. */
  current(): ProgressEvent;
}

/** How much of the work the estimate remembers, as a share of the whole. */
const MEMORY_SHARE = 0.1;

/**
 * Counts finished units and estimates the time left.
 *
 * The estimate is a running mean of the seconds a unit takes, with a memory of about a tenth of the whole: it follows a
 * change of speed (a slow first step, another program on the machine) without jumping at each unit.
 *
 * @throws RangeError if `total` isn't a positive finite number
 */
export function createProgress(options: ProgressOptions): Progress {
  const { label, total, onUpdate, now = monotonicSeconds } = options;
  if (!(total > 0 && Number.isFinite(total))) throw new RangeError(`Progress "${label}": total must be a positive number, got ${total}.`);
  const start = now();
  const memory = Math.max(1, total * MEMORY_SHARE);
  let done = options.done ?? 0;
  let finished = 0;
  let last = start;
  let secondsPerUnit: number | undefined;

  const current = (): ProgressEvent => ({
    label,
    done,
    total,
    elapsedSeconds: now() - start,
    secondsLeft: done >= total ? 0 : secondsPerUnit === undefined ? undefined : Math.max(0, (total - done) * secondsPerUnit),
  });

  const advance = (count = 1): ProgressEvent => {
    const time = now();
    if (count > 0) {
      finished += count;
      done = Math.min(total, done + count);
      const measured = (time - last) / count;
      // Until the memory is full this is the plain mean of all units so far.
      const weight = Math.min(1, count / Math.min(finished, memory));
      secondsPerUnit = secondsPerUnit === undefined ? measured : secondsPerUnit + weight * (measured - secondsPerUnit);
      last = time;
    }
    const event = current();
    onUpdate?.(event);
    return event;
  };

  return { advance, current };
}

/** "8 s", "3 min 20 s" or "2 h 5 min". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return withRest(Math.floor(whole / 60), "min", whole % 60, "s");
  const minutes = Math.round(whole / 60);
  return withRest(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

function withRest(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${restUnit}`;
}

/** One line of text, e.g. "rendering avatars 1200/24000, 5 %, 12 s, 3 min 40 s left". */
export function formatProgress(event: ProgressEvent): string {
  const percent = Math.floor((100 * event.done) / event.total);
  const left = event.secondsLeft === undefined || event.done >= event.total ? "" : `, ${formatDuration(event.secondsLeft)} left`;
  return `${event.label} ${event.done}/${event.total}, ${percent} %, ${formatDuration(event.elapsedSeconds)}${left}`;
}

function monotonicSeconds(): number {
  return performance.now() / 1000;
}
