import type { MimeBundle } from "../cell-outputs";
import { display, type DisplayOptions } from "../display";
import { datasetRenderer, configRenderer, modelRenderer, networkSummaryRenderer, runRenderer } from "./crossflow-values";
import { figureRenderer } from "./figure-value";
import { tensorRenderer } from "./tensor-value";

/** What a value looks like below a cell. */
export interface RenderedValue {
  bundle: MimeBundle;
  /** As {@link DisplayOptions.metadata}. */
  metadata?: Record<string, unknown>;
}

/** Shows values of one kind. */
export interface Renderer<Value = never> {
  /** The kind's name, e.g. "tensor"; a later renderer of that name replaces it. */
  name: string;
  /** Whether a value is of the kind: by its members, not by its class, of which there may be several copies. */
  matches: (value: object) => boolean;
  render: (value: Value) => RenderedValue | Promise<RenderedValue>;
}

/**
 * An object with a method of this name shows itself: it gives a bundle, at once or later. The name is that of Deno's Jupyter
 * kernel (docs.deno.com/runtime/reference/cli/jupyter), so that the same objects show themselves there.
 */
export const displayMethod: unique symbol = Symbol.for("Jupyter.display") as never;

const selfShowing: Renderer<{ [displayMethod]: () => MimeBundle | Promise<MimeBundle> }> = {
  name: "self-showing object",
  matches: (value) => typeof (value as Record<symbol, unknown>)[displayMethod] === "function",
  render: async (value) => ({ bundle: await value[displayMethod]() }),
};

const bundleRenderer: Renderer<MimeBundle> = {
  name: "bundle",
  matches: (value) => "text/plain" in value && Object.keys(value).every((name) => /^[\w.+-]+\/[\w.+-]+$/.test(name)),
  render: (bundle) => ({ bundle }),
};

// The first that matches shows the value.
let renderers: readonly Renderer[] = [selfShowing, bundleRenderer, figureRenderer, tensorRenderer, runRenderer, configRenderer, modelRenderer, networkSummaryRenderer, datasetRenderer];

/** Adds a way to show values of a kind of one's own; it is asked before those that are there. */
export function defineRenderer<Value>(renderer: Renderer<Value>): void {
  renderers = [renderer as Renderer, ...renderers.filter(({ name }) => name !== renderer.name)];
}

/** A value in the form that shows most of it; undefined for a value that is best shown as text. */
export async function renderValue(value: unknown): Promise<RenderedValue | undefined> {
  if (typeof value !== "object" || value === null) return undefined;
  return renderers.find(({ matches }) => matches(value))?.render(value as never);
}

/**
 * Shows a value below the cell, as a cell's last expression is shown: a tensor as images, histogram or table with its shape
 * and range, a figure drawn, a run as learning curves, a configuration as a table, anything else as text.
 */
export async function show(value: unknown, options: DisplayOptions = {}): Promise<void> {
  const rendered = await renderValue(value);
  if (rendered) display(rendered.bundle, { ...options, metadata: { ...rendered.metadata, ...options.metadata } });
  else display({ "text/plain": typeof value === "string" ? value : (require("node:util") as typeof import("node:util")).inspect(value) }, options);
}

/**
 * A value as an object that shows itself as a cell's last value in Deno's Jupyter kernel too, where values don't know how
 * this package shows them; in this package's own kernel it shows as the value does.
 */
export function rendered(value: object): { [displayMethod]: () => Promise<MimeBundle> } {
  return {
    async [displayMethod]() {
      const shown = await renderValue(value);
      const bundle = shown?.bundle ?? { "text/plain": (require("node:util") as typeof import("node:util")).inspect(value) };
      // Deno sends what it gets as it is: bytes have to be base64 already.
      return Object.fromEntries(Object.entries(bundle).map(([type, data]) => [type, data instanceof Uint8Array ? Buffer.from(data).toString("base64") : data]));
    },
  };
}
