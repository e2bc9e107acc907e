import { interruptSignal, yieldToEventLoop } from "../../model/interrupt";
import { createProgress } from "../../model/progress";
import { display, newDisplayId, type DisplayOptions, type MimeBundle } from "../display";
import { escapeHtml } from "../html";
import type { ImageGridOptions } from "../image-grid";
import { createLiveDisplay } from "../live-display";
import { progressBundle } from "../progress-bar";
import { combination, describeValues, positionsOf, valuesAt, type Controls, type ControlValues, type Positions } from "./controls";
import { framesBundle } from "./frames";
import { pictureStyle, storedPicture, type Picture, type StoredPicture } from "./picture";
import { dropdownWidget, htmlWidget, sliderWidget, verticalBox, widgetView, type Widget } from "./widgets";

export interface InteractiveOptions extends ImageGridOptions {
  /** What the pictures show, in words: their text alternative begins with it. Default "Picture". */
  description?: string;
  /** Draw each picture when it is asked for, in the running kernel, instead of all beforehand. Default false. */
  live?: boolean;
  /** Combinations drawn beforehand at most. Default 400. */
  mostFrames?: number;
  /** Where it is shown. Default: {@link display}. */
  show?: (bundle: MimeBundle, options: DisplayOptions) => void;
}

/** Set by what runs notebooks without a front end: there, widgets would never be seen. */
export const noWidgetsVariable = "CROSSFLOW_NO_WIDGETS";

/**
 * Shows a picture with controls that change it: a slider for each {@link slider}, a list for each array.
 *
 * All combinations are drawn beforehand, so that the controls work in a saved notebook without a kernel. With `live`, only
 * what is looked at is drawn, by the running kernel and through Jupyter's widgets; use it where there are too many
 * combinations.
 *
 * @param draw makes the picture for the controls' values: images [B, H, W, 1 or 3] in [-1, 1], a figure, or PNG bytes. A
 *   tensor that it returns is disposed of
 * @throws RangeError if the controls have more than `mostFrames` combinations and it isn't live
 *
 * @example await interactive({ class: classes, r: slider(0, 1, 0.1) }, ({ class: name, r }) => draw(name, r));
 */
export async function interactive<const AllControls extends Controls>(
  controls: AllControls,
  draw: (values: ControlValues<AllControls>) => Picture | Promise<Picture>,
  options: InteractiveOptions = {},
): Promise<void> {
  const { description = "Picture", live = false, mostFrames = 400, show = display, ...gridOptions } = options;
  const positions = positionsOf(controls);
  const drawStored: DrawStored = async (values) => storedPicture(await draw(values as ControlValues<AllControls>), gridOptions);
  if (live) return showLive(positions, drawStored, description, show);
  const count = positions.reduce((product, { values }) => product * values.length, 1);
  if (count > mostFrames) {
    throw new RangeError(`interactive: the controls have ${count} combinations, and at most ${mostFrames} are drawn beforehand. Take larger steps or fewer choices, or give { live: true }, which draws what is looked at while the kernel runs.`);
  }
  await showFrames(positions, count, drawStored, description, show);
}

type DrawStored = (values: Record<string, string | number>) => Promise<StoredPicture>;
type Show = NonNullable<InteractiveOptions["show"]>;

async function showFrames(positions: readonly Positions[], count: number, drawStored: DrawStored, description: string, show: Show): Promise<void> {
  const signal = interruptSignal();
  const place = createLiveDisplay({ show: (bundle, options) => show(bundle, { ...options, metadata }) });
  let metadata: DisplayOptions["metadata"];
  const progress = createProgress({ label: description, total: count, onUpdate: (event) => place.update(() => progressBundle([event])) });
  const pictures: StoredPicture[] = [];
  for (let number = 0; number < count; number++) {
    signal.throwIfAborted();
    pictures.push(await drawStored(valuesAt(positions, combination(positions, number))));
    progress.advance();
    await yieldToEventLoop();
  }
  const frames = framesBundle({ positions, pictures, description }, newDisplayId());
  metadata = frames.metadata;
  place.update(frames.bundle);
  await place.flush();
}

async function showLive(positions: readonly Positions[], drawStored: DrawStored, description: string, show: Show): Promise<void> {
  const state = positions.map(({ first }) => first);
  const draw = async (): Promise<StoredPicture & { text: string }> => {
    const values = valuesAt(positions, state);
    return { ...(await drawStored(values)), text: `${description}; ${describeValues(values)}` };
  };
  const first = await draw();
  const still = { "image/png": first.png, "text/plain": first.text };
  const metadata = { "image/png": { width: first.width } };
  if (process.env[noWidgetsVariable]) return show(still, { metadata });
  const image = htmlWidget(imageElement(first));
  // Room for the longest name, so that none is cut and all controls begin at one place.
  const descriptionWidth = `${Math.max(...positions.map(({ name }) => name.length))}ch`;
  const controls = positions.map((control, index): Widget => {
    const { name, kind, labels } = control;
    // A slider's positions are its widget's numbers, so that both round alike.
    const widget = kind === "choice" ? dropdownWidget(name, labels, control.first, { descriptionWidth }) : sliderWidget(name, sliderRange(control), { descriptionWidth });
    widget.onChange(async (changes) => {
      if (!("value" in changes) && !("index" in changes)) return;
      state[index] = kind === "choice" ? Number(changes.index) : nearest(control.values, Number(changes.value));
      try {
        image.set({ value: imageElement(await draw()) });
      } catch (error) {
        image.set({ value: `<pre role="alert">${escapeHtml(error instanceof Error ? `${error.name}: ${error.message}` : String(error))}</pre>` });
      }
    });
    return widget;
  });
  show({ ...widgetView(verticalBox([...controls, image])), ...still }, { metadata });
}

function imageElement({ png, width, text }: StoredPicture & { text: string }): string {
  return `<img alt="${escapeHtml(text)}" src="data:image/png;base64,${Buffer.from(png).toString("base64")}" style="${pictureStyle({ width })}" onload="${keepKeys}">`;
}

/**
 * Runs in the page when a live picture has come. JupyterLab takes the keys pressed in a cell's output for commands of its
 * own (arrows go to another cell, an x cuts the cell), unless the element in focus says no; widgets have no setting for that.
 */
const keepKeys = `this.closest('.widget-vbox')?.querySelectorAll('select, .noUi-handle').forEach((control) => control.setAttribute('data-lm-suppress-shortcuts', 'true'))`;

function sliderRange({ values, first }: Positions): { min: number; max: number; step: number; value: number } {
  const numbers = values.map(Number);
  const [min, second = min] = numbers;
  return { min, max: numbers[numbers.length - 1], step: Number((second - min).toPrecision(12)), value: numbers[first] };
}

function nearest(values: readonly (string | number)[], value: number): number {
  return values.reduce<number>((best, candidate, index) => (Math.abs(Number(candidate) - value) < Math.abs(Number(values[best]) - value) ? index : best), 0);
}
