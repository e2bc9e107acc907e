import type { TrainConfig } from "../../model/config";
import type { Dataset } from "../../model/data/dataset";
import type { Model } from "../../model/model";
import type { Run } from "../../model/run";
import type { NetworkSummary } from "../../model/summary";
import { lineChart } from "../figures/charts";
import type { Figure } from "../figures/figure";
import { thinned } from "../figures/thinned";
import { table } from "../table";
import type { Renderer } from "./renderers";

const has = (value: object, ...names: string[]): boolean => names.every((name) => name in value);

/** Runs, as learning curves. */
export const runRenderer: Renderer<Run> = {
  name: "run",
  matches: (value) => has(value, "folder", "metricsFile", "modelFile", "configFile"),
  async render(run) {
    const { readMetrics } = require("../../model/run") as typeof import("../../model/run");
    const rows = readMetrics(run.metricsFile);
    if (rows.length === 0) return { bundle: { "text/plain": `Run in ${run.folder}: no step has been trained yet` } };
    const { figureBundle, figureMetadata } = require("../figures/show-figure") as typeof import("../figures/show-figure");
    const figure = learningCurves(rows, { title: `Run ${run.folder.split(/[\\/]/).at(-1)}: ${rows.length} steps` });
    return { bundle: await figureBundle(figure), metadata: figureMetadata(figure) };
  },
};

/** The losses of a run's steps, a line each, on a logarithmic axis. @param rows what {@link readMetrics} gives */
export function learningCurves(rows: readonly ({ step: number } & Record<string, unknown>)[], options: { title?: string } = {}): Figure {
  const lossesOf = (row: Record<string, unknown>): Record<string, number> => (row.losses ?? {}) as Record<string, number>;
  const names = [...new Set(rows.flatMap((row) => Object.keys(lossesOf(row))))];
  const series = names.map((name) => {
    const own = rows.filter((row) => name in lossesOf(row));
    return { name, ...thinned(own.map(({ step }) => step), own.map((row) => lossesOf(row)[name])) };
  });
  return lineChart(series, { title: options.title ?? "Losses", xTitle: "step", yTitle: "loss", yLog: true });
}

/** Configurations of a training, as a table of all options, those first that differ from the default. */
export const configRenderer: Renderer<TrainConfig> = {
  name: "configuration",
  matches: (value) => has(value, "steps", "batchSize", "losses", "preset", "dataset", "minimumTime"),
  render(config) {
    const { TRAIN_OPTIONS } = require("../../model/config") as typeof import("../../model/config");
    const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value) ?? "");
    const rows = Object.entries(config).map(([option, value]) => {
      const { default: usual, unit = "" } = TRAIN_OPTIONS[option as keyof TrainConfig] ?? {};
      return { option, value: text(value), unit, default: text(value) === text(usual) ? "" : text(usual) };
    });
    const changed = (row: (typeof rows)[number]): boolean => row.default !== "";
    const count = rows.filter(changed).length;
    return { bundle: table([...rows.filter(changed), ...rows.filter((row) => !changed(row))], { caption: `Configuration: ${count} of ${rows.length} options differ from their default` }) };
  },
};

/** Trained networks, as a table of their layers. */
export const modelRenderer: Renderer<Model> = {
  name: "model",
  matches: (value) => has(value, "network", "parameters", "classNames", "encoderFingerprint"),
  render(model) {
    const { summarize } = require("../../model/summary") as typeof import("../../model/summary");
    const { independenceNote, lossNetworksOf } = require("../../model/metrics/independence") as typeof import("../../model/metrics/independence");
    const { trainedStepsOf } = require("../../model/model") as typeof import("../../model/model");
    const steps = trainedStepsOf(model);
    const note = independenceNote(lossNetworksOf(model));
    return { bundle: summaryTable(summarize(model.network), `Network of ${model.classNames.length} classes${steps === undefined ? "" : `, trained for ${steps} steps`}`, note) };
  },
};

/** What summarize() gives, as a table of layers. */
export const networkSummaryRenderer: Renderer<NetworkSummary> = {
  name: "network summary",
  matches: (value) => has(value, "layers", "parameters", "flops", "stateBytes"),
  render: (summary) => ({ bundle: summaryTable(summary, "Network") }),
};

function summaryTable({ layers, parameters, flops, weightBytes }: NetworkSummary, title: string, note?: string): ReturnType<typeof table> {
  const millions = (value: number): string => (value / 1e6).toFixed(2);
  const rows = layers.map((layer) => ({ layer: layer.layer, output: `[${layer.output.join(", ")}]`, parameters: layer.parameters, "MFLOP an image": millions(layer.flops) }));
  const total = { layer: "total", output: "", parameters, "MFLOP an image": millions(flops) };
  return table([...rows, total], { caption: `${title}; weights take ${(weightBytes / 1e6).toFixed(1)} MB${note === undefined ? "" : `. ${note}`}` });
}

/** Data sets, as a table of their classes. */
export const datasetRenderer: Renderer<Dataset> = {
  name: "data set",
  matches: (value) => has(value, "classes", "labels", "pixels", "imageSize", "fingerprint"),
  render({ name, split, size, classes, imageSize, labels, fingerprint }) {
    const counts = new Array<number>(classes.length).fill(0);
    for (const label of labels) counts[label]++;
    const caption = `${name} (${split}): ${size} images of ${imageSize} x ${imageSize}, fingerprint ${fingerprint}`;
    return { bundle: table(classes.map((className, label) => ({ label: String(label), class: className, images: counts[label] })), { caption }) };
  },
};
