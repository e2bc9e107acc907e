import { escapeHtml, scriptJson } from "../html";
import type { RenderedValue } from "../values/renderers";
import { describeValues, valuesAt, combination, type Positions } from "./controls";
import { pictureStyle, type StoredPicture } from "./picture";

/** One picture for each combination of the controls' positions, in the order of {@link combination}. */
export interface Frames {
  positions: readonly Positions[];
  pictures: readonly StoredPicture[];
  /** What the pictures show, in words. */
  description: string;
}

/**
 * Pictures with controls as one display that needs neither a kernel nor a network: HTML that holds the first picture, all
 * others in a fold below it, and a script that puts controls in the fold's place. Where scripts may not run (a notebook
 * that isn't trusted, a site that shows notebooks without them), the fold stays, and opens by mouse or keys; front ends
 * without HTML show the PNG.
 *
 * @param id a name of its own for this display
 */
export function framesBundle({ positions, pictures, description }: Frames, id: string): RenderedValue {
  const first = positions.reduce((number, { values, first: index }) => number * values.length + index, 0);
  const textOf = (number: number): string => describeValues(valuesAt(positions, combination(positions, number)));
  const describe = (number: number): string => `${description}; ${textOf(number)}`;
  // Combinations may well show the same picture; each is stored once, at the first of them.
  const encoded = pictures.map(({ png }) => Buffer.from(png).toString("base64"));
  const firstShown = new Map<string, number>();
  encoded.forEach((data, number) => firstShown.has(data) || firstShown.set(data, number));
  const places = new Map([...firstShown.keys()].map((data, place) => [data, place]));
  const order = encoded.map((data) => places.get(data));
  const image = (number: number, style: string): string => `<img alt="${escapeHtml(describe(number))}" src="data:image/png;base64,${encoded[number]}" style="${style}">`;

  const last = positions[positions.length - 1];
  const rows = Array.from({ length: pictures.length / last.values.length }, (_, row) => {
    const figures = last.labels.map((label, index) => {
      const number = row * last.labels.length + index;
      const shownBefore = firstShown.get(encoded[number]) ?? number;
      const caption = escapeHtml(`${last.name}: ${label}`);
      if (shownBefore !== number) return `<figure style="margin: 0">${caption}: as for ${escapeHtml(textOf(shownBefore))}</figure>`;
      return `<figure style="margin: 0">${image(number, `width: ${pictures[number].width}px; image-rendering: pixelated`)}<figcaption>${caption}</figcaption></figure>`;
    });
    const others = describeValues(valuesAt(positions.slice(0, -1), combination(positions, row * last.labels.length).slice(0, -1)));
    return `${others && `<p style="margin: 12px 0 4px">${escapeHtml(others)}</p>`}<div style="display: flex; flex-wrap: wrap; gap: 8px">${figures.join("")}</div>`;
  });
  const fold =
    `<details><summary>All ${pictures.length} pictures</summary>${rows.join("")}</details>` +
    `<p>Controls stand here when scripts may run: trust this notebook (in JupyterLab by the command "Trust Notebook"), or run the cell.</p>`;

  const controls = positions.map(({ name, kind, labels, first: start }) => ({ name, kind, labels, first: start }));
  const data = scriptJson({ controls, order, description });
  const html =
    `<div data-interactive="${escapeHtml(id)}">${image(first, pictureStyle(pictures[first]))}${fold}` +
    `<script type="application/json">${data}</script><script>(${moveFrames})(${JSON.stringify(id)});</script></div>`;
  const ranges = positions.map(({ name, labels }) => (labels.length > 8 ? `${name} from ${labels[0]} to ${labels.at(-1)}` : `${name}: ${labels.join(", ")}`));
  const { png, width } = pictures[first];
  const bundle = { "text/html": html, "image/png": png, "text/plain": `${describe(first)}\nControls: ${ranges.join("; ")}` };
  return { bundle, metadata: { "image/png": { width } } };
}

/** Runs in the page. A copied cell has the same id, so that each display that isn't ready yet is taken. */
const moveFrames = `function (id) {
  for (const root of document.querySelectorAll('[data-interactive="' + id + '"]:not([data-ready])')) {
    root.setAttribute("data-ready", "");
    const { controls, order, description } = JSON.parse(root.querySelector("script").textContent);
    const [image, fold, note] = root.children;
    const pictures = Array.from(fold.querySelectorAll("img"), ({ src }) => src);
    const form = document.createElement("div");
    note.remove();
    fold.replaceWith(form);
    const state = controls.map(({ first }) => first);
    const show = () => {
      const number = controls.reduce((sum, { labels }, index) => sum * labels.length + state[index], 0);
      image.src = pictures[order[number]];
      image.alt = description + "; " + controls.map(({ name, labels }, index) => name + ": " + labels[state[index]]).join(", ");
    };
    controls.forEach(({ name, kind, labels, first }, index) => {
      const row = document.createElement("label");
      row.style.cssText = "display: flex; align-items: center; gap: 0.75em; margin: 4px 0";
      const text = document.createElement("span");
      text.style.minWidth = "7em";
      text.textContent = name;
      const input = document.createElement(kind === "slider" ? "input" : "select");
      const output = document.createElement("output");
      if (kind === "slider") Object.assign(input, { type: "range", min: 0, max: labels.length - 1, step: 1 });
      else for (const label of labels) input.add(new Option(label));
      if (kind === "slider") input.value = first; else input.selectedIndex = first;
      input.style.width = "18em";
      // Else JupyterLab takes the arrow keys for its own.
      input.setAttribute("data-lm-suppress-shortcuts", "true");
      const move = () => {
        state[index] = kind === "slider" ? Number(input.value) : input.selectedIndex;
        if (kind === "slider") { output.textContent = labels[state[index]]; input.setAttribute("aria-valuetext", labels[state[index]]); }
        show();
      };
      input.addEventListener("input", move);
      row.append(text, input, output);
      form.append(row);
      move();
    });
  }
}`;
