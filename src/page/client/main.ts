import type { ImageRequest, PageModel } from "./messages";
import { startPainter, type Painter } from "./painter";
import { unpack } from "./unpack";

/** Images in a strip: the walk between two noises, and the sweep of r. */
const STRIP = 9;
/** Strips are drawn when nothing has changed for so long. */
const STRIP_DELAY_MILLISECONDS = 90;
/** A walk to the other noise and back. */
const WALK_MILLISECONDS = 6000;

const byId = <Kind extends HTMLElement>(id: string): Kind => document.getElementById(id) as Kind;
const model = JSON.parse(byId("model").textContent ?? "") as PageModel;
const { imageSize } = model.network;
const start: ImageRequest = { label: 0, seed: 310, otherSeed: 700, blend: 0, r: 0, strength: 1 };
let state = { ...start };

const picture = byId<HTMLCanvasElement>("picture");
const time = byId("time");
const sliders = ["seed", "otherSeed", "blend", "r", "strength"] as const;
const inputOf = (name: (typeof sliders)[number]): HTMLInputElement => byId(`input-${name}`);

/** A canvas of an image's size that tells what it shows. */
function draw(canvas: HTMLCanvasElement, pixels: Uint8ClampedArray, index: number): void {
  const bytes = imageSize * imageSize * 4;
  const image = new ImageData(new Uint8ClampedArray(pixels.subarray(index * bytes, (index + 1) * bytes)), imageSize);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
}

function describe({ label, seed, otherSeed, blend, r, strength }: ImageRequest): string {
  const noise = blend === 0 ? `noise ${seed}` : blend === 1 ? `noise ${otherSeed}` : `${Math.round(100 * blend)} % of the way from noise ${seed} to noise ${otherSeed}`;
  return `${model.classNames[label]}, ${noise}, r = ${r.toFixed(2)}${strength === 1 ? "" : `, noise strength ${strength.toFixed(2)}`}`;
}

const sweep = (from: number): number => from / (STRIP - 1);
const stripRequests = (): { classes: ImageRequest[]; blend: ImageRequest[]; r: ImageRequest[] } => ({
  classes: model.classNames.map((_, label) => ({ ...state, label })),
  blend: Array.from({ length: STRIP }, (_, index) => ({ ...state, blend: sweep(index) })),
  r: Array.from({ length: STRIP }, (_, index) => ({ ...state, r: sweep(index) })),
});
const canvasesOf = (id: string): HTMLCanvasElement[] => [...byId(id).querySelectorAll("canvas")];

/** Puts what the state says into the controls. */
function showState(): void {
  for (const name of sliders) {
    inputOf(name).value = String(state[name]);
    byId(`value-${name}`).textContent = name === "blend" ? `${Math.round(100 * state.blend)} %` : name === "r" || name === "strength" ? state[name].toFixed(2) : String(state[name]);
  }
  byId("classes").querySelectorAll("input").forEach((input, label) => (input.checked = label === state.label));
  picture.setAttribute("aria-label", `Generated picture: ${describe(state)}`);
  byId("caption").textContent = describe(state);
  for (const [id, key] of [["strip-blend", "blend"], ["strip-r", "r"]] as const) {
    byId(id).querySelectorAll("button").forEach((button, index) => button.setAttribute("aria-pressed", String(Math.abs(state[key] - sweep(index)) < 1e-6)));
  }
}

/** Builds what depends on the number of classes; the rest stands in the page. */
function build(): void {
  byId("classes").append(
    ...model.classNames.map((name, label) => {
      const choice = document.createElement("label");
      choice.className = "class";
      const input = Object.assign(document.createElement("input"), { type: "radio", name: "class", value: String(label) });
      input.addEventListener("change", () => change({ label }));
      choice.append(input, thumbnail(), Object.assign(document.createElement("span"), { textContent: name }));
      return choice;
    }),
  );
  for (const [id, key, text] of [["strip-blend", "blend", (value: number) => `${Math.round(100 * value)} % towards the other noise`], ["strip-r", "r", (value: number) => `r = ${value.toFixed(3)}`]] as const) {
    byId(id).append(
      ...Array.from({ length: STRIP }, (_, index) => {
        const button = Object.assign(document.createElement("button"), { type: "button" });
        button.setAttribute("aria-label", text(sweep(index)));
        button.append(thumbnail());
        button.addEventListener("click", () => change({ [key]: sweep(index) }));
        return button;
      }),
    );
  }
}

function thumbnail(): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement("canvas"), { width: imageSize, height: imageSize });
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}

let painter: Painter | undefined;
let painting = false;
let wanted = false;
let stripTimer = 0;

function change(changes: Partial<ImageRequest>): void {
  state = { ...state, ...changes };
  showState();
  void paintPicture();
  clearTimeout(stripTimer);
  stripTimer = window.setTimeout(() => void paintStrips(), STRIP_DELAY_MILLISECONDS);
}

/** Paints the picture; while one is under way only the latest wish is kept. */
async function paintPicture(): Promise<void> {
  wanted = true;
  if (painting || !painter) return;
  painting = true;
  while (wanted) {
    wanted = false;
    const { pixels, milliseconds } = await painter.paint([state]);
    draw(picture, pixels, 0);
    time.textContent = `${milliseconds.toFixed(0)} ms`;
  }
  painting = false;
}

async function paintStrips(): Promise<void> {
  if (!painter || playing) return;
  const requests = stripRequests();
  for (const [id, images] of [["classes", requests.classes], ["strip-blend", requests.blend], ["strip-r", requests.r]] as const) {
    const { pixels } = await painter.paint(images);
    canvasesOf(id).forEach((canvas, index) => draw(canvas, pixels, index));
  }
  document.body.dataset.painted = JSON.stringify(state);
}

let playing = false;

/** Walks to the other noise and back until it is stopped. */
function play(): void {
  playing = !playing;
  const button = byId("play");
  button.setAttribute("aria-pressed", String(playing));
  button.textContent = playing ? "Stop" : "Walk";
  const began = performance.now() - (state.blend * WALK_MILLISECONDS) / 2;
  const step = (now: number): void => {
    if (!playing) return change({});
    const phase = ((now - began) % WALK_MILLISECONDS) / WALK_MILLISECONDS;
    change({ blend: Math.round(200 * (phase < 0.5 ? phase : 1 - phase)) / 100 });
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

function save(): void {
  const large = Object.assign(document.createElement("canvas"), { width: 512, height: 512 });
  const context = large.getContext("2d");
  if (!context) return;
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, 512, 512);
  const link = Object.assign(document.createElement("a"), { href: large.toDataURL("image/png"), download: `${model.classNames[state.label]}-${state.seed}.png` });
  link.click();
}

function listen(): void {
  for (const name of sliders) inputOf(name).addEventListener("input", (event) => change({ [name]: Number((event.target as HTMLInputElement).value) }));
  byId("shuffle").addEventListener("click", () => change({ seed: Math.floor(Math.random() * 1000), otherSeed: Math.floor(Math.random() * 1000), blend: 0 }));
  byId("reset").addEventListener("click", () => change({ ...start }));
  byId("play").addEventListener("click", play);
  byId("save").addEventListener("click", save);
}

async function main(): Promise<void> {
  build();
  showState();
  listen();
  const status = byId("status");
  try {
    const [worker, weights, program] = await Promise.all(["worker", "weights", "program"].map(unpack));
    const started = await startPainter(worker, { network: model.network, weights, program });
    painter = started.painter;
    status.textContent = `Ready: about ${started.milliseconds.toFixed(0)} ms a picture on this device.`;
    document.body.dataset.ready = "yes";
    for (const control of document.querySelectorAll<HTMLFieldSetElement>("fieldset[disabled]")) control.disabled = false;
    change({});
  } catch (error) {
    status.textContent = `The generator could not start: ${error instanceof Error ? error.message : String(error)}. The pictures below were drawn beforehand.`;
    status.classList.add("error");
  }
}

void main();
