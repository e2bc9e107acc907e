import { readFile, stat } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { describeFileError } from "../files";
import type { LongRunOptions } from "../progress";
import { allocatePixels, CHANNELS, createDataset, imageBytes, type Dataset, type DatasetSplits, type Split } from "./dataset";
import { checkImageCount, checkImageSize, withDefaults } from "./options";
import { resizeSquareImages } from "./resize";

export interface Cifar10Options {
  /** The unpacked folder `cifar-10-batches-bin`, or the folder that holds it. */
  path: string;
  /** Height and width in pixels; 32 by default, as on disk. */
  imageSize?: number;
  /** The first so many training images; all 50,000 by default. */
  trainCount?: number;
  /** The first so many test images; all 10,000 by default. */
  testCount?: number;
  /** Images in each file; 10,000 by default, as published. */
  imagesPerFile?: number;
}

const DEFAULTS = { imageSize: 32, imagesPerFile: 10_000, trainCount: Infinity, testCount: Infinity };

const FOLDER = "cifar-10-batches-bin";
const FILES: Readonly<Record<Split, readonly string[]>> = {
  train: [1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`),
  test: ["test_batch.bin"],
};
const NAMES_FILE = "batches.meta.txt";

const SIDE = 32;
const CLASS_COUNT = 10;
const PLANE_BYTES = SIDE * SIDE;
/** One label byte, then the red, the green and the blue plane. */
const RECORD_BYTES = 1 + CHANNELS * PLANE_BYTES;

/**
 * Reads CIFAR-10 in its binary version (Krizhevsky, "Learning multiple layers of features from tiny images", 2009):
 * data_batch_1.bin to data_batch_5.bin, test_batch.bin, and the class names in batches.meta.txt.
 *
 * @throws Error naming the file if one is missing, has another size than expected or holds a label over 9
 */
export async function loadCifar10(options: Cifar10Options, run: LongRunOptions = {}): Promise<DatasetSplits> {
  const { path, imageSize, imagesPerFile, trainCount, testCount } = withDefaults(DEFAULTS, options);
  checkImageSize(imageSize);
  checkImageCount("imagesPerFile", imagesPerFile, 1);
  const folder = await findFolder(resolve(path));
  const classes = await readClassNames(join(folder, NAMES_FILE));
  const read = async (split: Split, count: number): Promise<Dataset> => {
    if (count !== Infinity) checkImageCount(`${split}Count`, count);
    const images = await readBatches(FILES[split].map((name) => join(folder, name)), imagesPerFile, count, run.signal);
    const pixels = await resizeSquareImages(images.pixels, SIDE, imageSize, run);
    return createDataset({ name: "cifar10", split, classes, imageSize, pixels, labels: images.labels });
  };
  return { train: await read("train", trainCount), test: await read("test", testCount) };
}

async function findFolder(path: string): Promise<string> {
  const status = await stat(path).catch((error: unknown) => {
    throw new Error(`There is no folder ${path}: expected the unpacked ${FOLDER}.`, { cause: error });
  });
  if (!status.isDirectory()) throw new Error(`${path} is a file: unpack the archive (the binary version, cifar-10-binary.tar.gz) and give the folder ${FOLDER}.`);
  const folder = existsSync(join(path, FOLDER)) ? join(path, FOLDER) : path;
  const missing = [...FILES.train, ...FILES.test, NAMES_FILE].filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0) {
    const hint = existsSync(join(folder, "data_batch_1")) ? " These look like the files of the Python version; the binary version is needed." : "";
    throw new Error(`${folder} isn't CIFAR-10 in its binary version: ${missing.join(", ")} missing.${hint}`);
  }
  return folder;
}

async function readClassNames(path: string): Promise<string[]> {
  const names = (await readFile(path, "utf8")).split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (names.length !== CLASS_COUNT || new Set(names).size !== CLASS_COUNT) throw new Error(`${path} must name ${CLASS_COUNT} different classes, one a line, but names ${names.length}.`);
  return names;
}

async function readBatches(paths: readonly string[], imagesPerFile: number, limit: number, signal: AbortSignal | undefined): Promise<{ pixels: Uint8Array; labels: Int32Array }> {
  const count = Math.min(limit, paths.length * imagesPerFile);
  const pixels = allocatePixels(count, SIDE);
  const labels = new Int32Array(count);
  for (let first = 0; first < count; first += imagesPerFile) {
    signal?.throwIfAborted();
    const path = paths[first / imagesPerFile];
    const records = await readRecords(path, imagesPerFile);
    for (let record = 0; record < Math.min(imagesPerFile, count - first); record++) {
      const start = record * RECORD_BYTES;
      const label = records[start];
      if (label >= CLASS_COUNT) throw new Error(`${path}: image ${record} has label ${label}, expected 0 to ${CLASS_COUNT - 1}. The file is damaged.`);
      labels[first + record] = label;
      const planes = records.subarray(start + 1, start + RECORD_BYTES);
      interleave(planes, pixels.subarray((first + record) * imageBytes(SIDE), (first + record + 1) * imageBytes(SIDE)));
    }
  }
  return { pixels, labels };
}

async function readRecords(path: string, imagesPerFile: number): Promise<Uint8Array> {
  const records = await readFile(path).catch((error: unknown) => {
    throw new Error(`Can't read ${path}: ${describeFileError(error)}`, { cause: error });
  });
  if (records.length !== imagesPerFile * RECORD_BYTES) {
    throw new Error(`${path} has ${records.length} bytes, expected ${imagesPerFile * RECORD_BYTES} (${imagesPerFile} images of ${RECORD_BYTES}). The download is probably incomplete.`);
  }
  return records;
}

/** [3, 32, 32] to [32, 32, 3]. */
function interleave(planes: Uint8Array, pixels: Uint8Array): void {
  for (let position = 0; position < PLANE_BYTES; position++) {
    for (let channel = 0; channel < CHANNELS; channel++) pixels[position * CHANNELS + channel] = planes[channel * PLANE_BYTES + position];
  }
}
