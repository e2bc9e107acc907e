import { Argument, Command, InvalidArgumentError } from "commander";
import { unknownNameMessage } from "../model/nearest-name";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import type { Dataset, DatasetSplits, DatasetSummary } from "../model/data/dataset";
import type { DatasetConfig } from "../model/data/load";
import type { Picture } from "../model/image-files";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";

interface DataOptions {
  size?: number;
  count?: number;
  testCount?: number;
  seed?: number;
  testShare?: number;
  allowSingleClass?: boolean;
  emnist?: string;
  preview?: string;
  json?: boolean;
}

const SOURCES: readonly DatasetConfig["name"][] = ["avatars", "folder", "cifar10", "mnist"];

/** Held-out images for each training image where only --count is given; as in the whole avatars data set. */
const TEST_IMAGES_PER_TRAINING_IMAGE = 1 / 6;

/** Images of each class in a preview's row, and rows at most. */
const PREVIEW_COLUMNS = 10;
const PREVIEW_ROWS = 16;

/** Previews of small images are enlarged to about this size an image. */
const PREVIEW_IMAGE_PIXELS = 96;

/** Unreadable files that the table lists by name. */
const LISTED_SKIPPED = 20;

export function dataCommand(): Command {
  const command = new Command("data")
    .description("render or read a data set and show what is in it")
    .addArgument(new Argument("[source]", "avatars, folder, cifar10 or mnist (also Fashion-MNIST and EMNIST)").default("avatars"))
    .argument("[path]", "where the images are; not for avatars")
    .option("--size <pixels>", "height and width of the images", wholeNumber)
    .option("--count <images>", "training images", wholeNumber)
    .option("--test-count <images>", "held-out images", wholeNumber)
    .option("--seed <number>", "another seed gives other avatars, or another split of a folder", wholeNumber)
    .option("--test-share <share>", "share of a folder's images that is held out", fraction)
    .option("--allow-single-class", "accept a folder with one class")
    .option("--emnist <split>", "which EMNIST data set: balanced, letters, digits ...")
    .option("--preview <file>", "write a picture of each class's first images (.png, .jpg or .webp)");
  addJsonOption(command).action(showData);
  return addExamples(command, ["data", "data avatars --size 64 --count 6000", "data folder photos --size 64 --preview photos.png", "data cifar10 cifar-10-batches-bin --json", "data mnist emnist --emnist letters"]);
}

async function showData(source: string, path: string | undefined, options: DataOptions): Promise<void> {
  // Loaded here only: --help must not need the image library.
  const { loadDataset } = await import("../model/data/load.js");
  const { summarizeDataset } = await import("../model/data/dataset.js");
  const { pictureFormat, writePicture } = await import("../model/image-files.js");
  if (options.preview !== undefined) pictureFormat(options.preview);

  const splits = await loadWithProgress(loadDataset, datasetConfig(source, path, options));
  const shown = [splits.train, splits.test].map((dataset) => ({ dataset, summary: summarizeDataset(dataset) }));
  if (options.preview !== undefined) await writePicture(options.preview, await previewPicture(splits.train));
  if (options.json) {
    console.log(JSON.stringify({ ok: true, ...jsonReport(shown), preview: options.preview }, null, 2));
    return;
  }
  console.log(formatReport(shown));
  if (options.preview !== undefined) console.log(`\nPreview: ${options.preview}`);
}

async function loadWithProgress(load: typeof import("../model/data/load.js").loadDataset, config: DatasetConfig): Promise<DatasetSplits> {
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  let lastProgress = "";
  try {
    const splits = await load(config, { signal, onProgress: (event) => reporter.update((lastProgress = formatProgress(event))) });
    if (lastProgress !== "") reporter.line(lastProgress);
    return splits;
  } catch (error) {
    if (!signal.aborted) throw error;
    const kept = config.name === "avatars" ? " What is rendered is kept: the same command goes on from there." : "";
    throw new CommandError(`Interrupted.${kept}`, EXIT.interrupted, { cause: error });
  }
}

/**
 * The configuration that a command line means.
 *
 * @throws CommandError (wrong usage) for an unknown source or a path that is missing or not wanted
 */
export function datasetConfig(source: string, path: string | undefined, options: DataOptions): DatasetConfig {
  const { count, testCount = count === undefined ? undefined : Math.ceil(count * TEST_IMAGES_PER_TRAINING_IMAGE) } = options;
  const shared = { imageSize: options.size, trainCount: count, testCount };
  if (source === "avatars") {
    if (path !== undefined) throw new CommandError(`The avatars are rendered: they take no path, got ${path}.`, EXIT.usage);
    return { name: "avatars", ...shared, seed: options.seed };
  }
  const needPath = (): string => {
    if (path === undefined) throw new CommandError(`Where is the data? Give its folder: npx crossflow data ${source} <path>`, EXIT.usage);
    return path;
  };
  switch (source) {
    case "folder":
      return { name: "folder", path: needPath(), ...shared, seed: options.seed, testShare: options.testShare, allowSingleClass: options.allowSingleClass };
    case "cifar10":
      return { name: "cifar10", path: needPath(), ...shared };
    case "mnist":
      return { name: "mnist", path: needPath(), ...shared, emnistSplit: options.emnist };
    default:
      throw new CommandError(unknownNameMessage("data set", source, SOURCES), EXIT.usage);
  }
}

type Shown = readonly { dataset: Dataset; summary: DatasetSummary }[];

function formatReport(shown: Shown): string {
  const { name, imageSize, classes } = shown[0].dataset;
  const splitRows = shown.map(({ dataset, summary }) => [
    dataset.split,
    String(dataset.size),
    formatChannels(summary.channelMeans),
    formatChannels(summary.channelDeviations),
    String(dataset.skipped.length),
    dataset.fingerprint,
  ]);
  const classRows = classes.map((className, label) => [className, ...shown.map(({ summary }) => String(summary.classCounts[label]))]);
  const skipped = shown.flatMap(({ dataset }) => dataset.skipped);
  return [
    `${name}: ${classes.length} classes, images of ${imageSize} x ${imageSize}`,
    "",
    formatTable([["split", "images", "mean (red, green, blue)", "deviation", "skipped", "fingerprint"], ...splitRows]),
    "",
    formatTable([["class", ...shown.map(({ dataset }) => dataset.split)], ...classRows]),
    ...(skipped.length === 0 ? [] : ["", "Skipped:", ...skipped.slice(0, LISTED_SKIPPED).map(({ path, reason }) => `  ${path}: ${reason}`)]),
    ...(skipped.length > LISTED_SKIPPED ? [`  and ${skipped.length - LISTED_SKIPPED} more (--json lists all)`] : []),
  ].join("\n");
}

function formatChannels(values: readonly number[]): string {
  return values.map((value) => (Number.isNaN(value) ? "-" : value.toFixed(3))).join(" ");
}

function jsonReport(shown: Shown): object {
  const { name, imageSize, classes } = shown[0].dataset;
  const splits = shown.map(({ dataset, summary }) => ({
    split: dataset.split,
    images: dataset.size,
    classCounts: summary.classCounts,
    channelMeans: summary.channelMeans,
    channelDeviations: summary.channelDeviations,
    fingerprint: dataset.fingerprint,
    skipped: dataset.skipped,
  }));
  return { name, imageSize, classes, splits };
}

/** One row a class with its first images; as many columns as every class shown has images. */
async function previewPicture(dataset: Dataset): Promise<Picture> {
  const { imageGrid } = await import("../model/image-files.js");
  const { subset } = await import("../model/data/dataset.js");
  const rows: number[][] = [];
  dataset.labels.forEach((label, index) => {
    const row = (rows[label] ??= []);
    if (label < PREVIEW_ROWS && row.length < PREVIEW_COLUMNS) row.push(index);
  });
  const filled = rows.slice(0, PREVIEW_ROWS).filter((row) => row.length > 0);
  if (filled.length === 0) throw new CommandError("There are no training images to preview.");
  const columns = Math.min(...filled.map((row) => row.length));
  const chosen = subset(dataset, filled.flatMap((row) => row.slice(0, columns)));
  return imageGrid(chosen.pixels, chosen.imageSize, { columns, scale: Math.max(1, Math.round(PREVIEW_IMAGE_PIXELS / chosen.imageSize)) });
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

function fraction(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0 && value < 1)) throw new InvalidArgumentError("Expected a number from 0 to less than 1.");
  return value;
}
