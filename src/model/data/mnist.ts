import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { describeFileError } from "../files";
import type { LongRunOptions } from "../progress";
import { allocatePixels, CHANNELS, createDataset, imageBytes, type Dataset, type DatasetSplits, type Split } from "./dataset";
import { checkImageCount, checkImageSize } from "./options";
import { resizeSquareImages } from "./resize";

export interface MnistOptions {
  /** Folder with the four IDX files, gzipped or not; for EMNIST also its mapping file, if there. */
  path: string;
  /** Which of EMNIST's data sets, where the folder holds several: "balanced", "letters", "digits", "byclass", "bymerge", "mnist". */
  emnistSplit?: string;
  /** Height and width in pixels; 32 by default. */
  imageSize?: number;
  /** How 28 x 28 becomes the image size: a border in the background's colour, or scaling. By default "pad" up to 32 and "resize" otherwise. */
  placement?: "pad" | "resize";
  /** Whether rows and columns are exchanged on disk, as in EMNIST; by default true for files whose name begins with "emnist". */
  transposed?: boolean;
  /** Class names by label; by default the characters of EMNIST's mapping file, or else the labels. */
  classes?: readonly string[];
  /** The first so many training images; all by default. */
  trainCount?: number;
  /** The first so many test images; all by default. */
  testCount?: number;
}

/** MNIST's first two numbers of a file: unsigned bytes, in 3 dimensions (images) or 1 (labels). */
const MAGIC = { images: 0x00000803, labels: 0x00000801 };

/** Padding up to this size keeps the digits' scale; a larger image is filled by scaling. */
const LARGEST_PADDED_SIZE = 32;

/** More than the largest of these data sets needs (byclass, 697,932 images); stops a small file that unpacks to a huge one. */
const MAX_UNPACKED_BYTES = 2 ** 30;

/** e.g. train-images-idx3-ubyte.gz, t10k-labels.idx1-ubyte, emnist-letters-test-images-idx3-ubyte.gz */
const FILE_NAME = /^(?:emnist-(?<emnist>[a-z]+)-)?(?<split>train|t10k|test)-(?<content>images|labels)[-.]idx[13]-ubyte(?:\.gz)?$/;

type Content = keyof typeof MAGIC;

/** The four files of one data set. */
interface IdxFiles {
  emnist: string | undefined;
  paths: Record<Split, Record<Content, string>>;
}

/** Square greyscale images as they are on disk. */
interface IdxImages {
  count: number;
  side: number;
  /** [N, side, side], 0 to 255. */
  grey: Uint8Array;
}

/**
 * Reads MNIST, Fashion-MNIST or EMNIST in the IDX format (LeCun, Cortes and Burges; Cohen et al., "EMNIST", 2017). Grey
 * becomes RGB with three equal channels.
 *
 * @throws Error naming the file and what was expected: a missing file, a wrong magic number, a size that the header doesn't
 *   match, different numbers of images and labels, a damaged gzip file
 */
export async function loadMnist(options: MnistOptions, run: LongRunOptions = {}): Promise<DatasetSplits> {
  const imageSize = options.imageSize ?? 32;
  checkImageSize(imageSize);
  const folder = resolve(options.path);
  const files = await findFiles(folder, options.emnistSplit);
  const transposed = options.transposed ?? files.emnist !== undefined;
  const name = files.emnist === undefined ? "mnist" : `emnist-${files.emnist}`;

  const readSplit = async (split: Split): Promise<{ images: IdxImages; labels: Uint8Array }> => {
    const { images: imagesPath, labels: labelsPath } = files.paths[split];
    const images = await readImages(imagesPath);
    const labels = await readLabels(labelsPath);
    if (labels.length !== images.count) throw new Error(`${imagesPath} holds ${images.count} images, but ${labelsPath} ${labels.length} labels.`);
    return { images, labels };
  };
  const content = { train: await readSplit("train"), test: await readSplit("test") };
  run.signal?.throwIfAborted();
  const labelNames = await nameLabels(folder, files, options.classes, [content.train.labels, content.test.labels]);
  const values = [...labelNames.keys()].sort((a, b) => a - b);

  const toDataset = async (split: Split, limit: number | undefined): Promise<Dataset> => {
    if (limit !== undefined) checkImageCount(`${split}Count`, limit);
    const { images, labels } = content[split];
    const count = Math.min(limit ?? Infinity, images.count);
    const rgb = greyToRgb({ ...images, count }, transposed);
    const pixels = await placeImages(rgb, images.side, imageSize, options.placement, run);
    const classLabels = Int32Array.from(labels.subarray(0, count), (label) => values.indexOf(label));
    return createDataset({ name, split, classes: values.map((value) => labelNames.get(value) ?? String(value)), imageSize, pixels, labels: classLabels });
  };
  return { train: await toDataset("train", options.trainCount), test: await toDataset("test", options.testCount) };
}

async function findFiles(folder: string, emnistSplit: string | undefined): Promise<IdxFiles> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    const fault = error.code === "ENOENT" ? `There is no folder ${folder}` : error.code === "ENOTDIR" ? `${folder} is a file, not a folder` : `Can't read ${folder}: ${describeFileError(error)}`;
    throw new Error(`${fault}: expected the four IDX files of MNIST or EMNIST in it.`, { cause: error });
  });
  const found = names.flatMap((name) => {
    const groups = FILE_NAME.exec(name)?.groups;
    return groups ? [{ name, emnist: groups.emnist, split: groups.split === "train" ? ("train" as const) : ("test" as const), content: groups.content }] : [];
  });
  const sets = [...new Set(found.map(({ emnist }) => emnist))];
  const wanted = emnistSplit ?? sets[0];
  if (sets.length === 0) throw new Error(`${folder} holds no IDX files: expected names such as train-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.`);
  if (emnistSplit === undefined && sets.length > 1) throw new Error(`${folder} holds several data sets (${sets.map((set) => set ?? "MNIST").join(", ")}): choose one with emnistSplit.`);
  if (!sets.includes(wanted)) throw new Error(`${folder} holds no EMNIST files of ${JSON.stringify(wanted)}, but ${sets.map((set) => set ?? "MNIST").join(", ")}.`);

  const pathOf = (split: Split, content: Content): string => {
    const file = found.find((candidate) => candidate.emnist === wanted && candidate.split === split && candidate.content === content);
    if (!file) throw new Error(`${folder} has no file with the ${split === "train" ? "training" : "test"} ${content}.`);
    return join(folder, file.name);
  };
  const both = (split: Split): Record<Content, string> => ({ images: pathOf(split, "images"), labels: pathOf(split, "labels") });
  return { emnist: wanted, paths: { train: both("train"), test: both("test") } };
}

async function readImages(path: string): Promise<IdxImages> {
  const file = await readIdx(path, "images", 4);
  const [, count, rows, columns] = file.header;
  if (rows !== columns || rows === 0) throw new Error(`${path} holds images of ${rows} x ${columns} pixels, expected squares.`);
  checkLength(path, file.values.length, count * rows * columns, `${count} images of ${rows} x ${columns}`);
  return { count, side: rows, grey: file.values };
}

async function readLabels(path: string): Promise<Uint8Array> {
  const file = await readIdx(path, "labels", 2);
  checkLength(path, file.values.length, file.header[1], `${file.header[1]} labels`);
  return file.values;
}

/** An IDX file: `headerLength` big-endian 32-bit numbers, the first the magic number, then one byte a value. */
async function readIdx(path: string, content: Content, headerLength: number): Promise<{ header: number[]; values: Uint8Array }> {
  const bytes = await readUnpacked(path);
  if (bytes.length < 4 * headerLength) throw new Error(`${path} has ${bytes.length} bytes, fewer than its header: it is cut off or no IDX file.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = Array.from({ length: headerLength }, (_, index) => view.getUint32(4 * index));
  if (header[0] !== MAGIC[content]) throw new Error(`${path} begins with the magic number ${hex(header[0])}, expected ${hex(MAGIC[content])}: it is no IDX file of ${content}.`);
  return { header, values: bytes.subarray(4 * headerLength) };
}

async function readUnpacked(path: string): Promise<Uint8Array> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new Error(`Can't read ${path}: ${describeFileError(error)}`, { cause: error });
  });
  const gzipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
  if (!gzipped) return bytes;
  return promisify(gunzip)(bytes, { maxOutputLength: MAX_UNPACKED_BYTES }).catch((error: NodeJS.ErrnoException) => {
    const fault = error.code === "ERR_BUFFER_TOO_LARGE" ? `it unpacks to more than ${MAX_UNPACKED_BYTES} bytes` : `its gzip data is damaged or cut off (${error.message})`;
    throw new Error(`Can't read ${path}: ${fault}.`, { cause: error });
  });
}

function checkLength(path: string, bytes: number, expected: number, content: string): void {
  if (bytes !== expected) throw new Error(`${path} announces ${content}, which is ${expected} bytes, but ${bytes} follow its header. The download is probably incomplete.`);
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/** The name of each label: given, or from EMNIST's mapping file, or the label itself. EMNIST letters count from 1, others from 0. */
async function nameLabels(folder: string, { emnist }: IdxFiles, given: readonly string[] | undefined, labels: readonly Uint8Array[]): Promise<Map<number, string>> {
  const used = new Set(labels.flatMap((list) => [...new Set(list)]));
  const names = given ? new Map(given.entries()) : ((await readMapping(folder, emnist)) ?? new Map([...used].map((label) => [label, String(label)])));
  const unnamed = [...used].find((label) => !names.has(label));
  if (unnamed !== undefined) throw new Error(`The label ${unnamed} in ${folder} has no class name among ${[...names.values()].join(", ")}.`);
  return names;
}

/** EMNIST's mapping file: on each line a label and the ASCII codes of the characters that it stands for. */
async function readMapping(folder: string, emnist: string | undefined): Promise<Map<number, string> | undefined> {
  if (emnist === undefined) return undefined;
  const path = join(folder, `emnist-${emnist}-mapping.txt`);
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new Error(`Can't read ${path}: ${describeFileError(error)}`, { cause: error });
  });
  if (text === undefined) return undefined;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return new Map(
    lines.map((line) => {
      const [label, ...codes] = line.trim().split(/\s+/).map(Number);
      if (codes.length === 0 || [label, ...codes].some((number) => !Number.isInteger(number))) throw new Error(`${path}: expected a label and character codes on each line, found ${JSON.stringify(line)}.`);
      return [label, String.fromCharCode(codes[0])];
    }),
  );
}

/** [N, side, side] to [N, side, side, 3], with rows and columns exchanged if they are on disk. */
function greyToRgb({ count, side, grey }: IdxImages, transposed: boolean): Uint8Array {
  const pixels = allocatePixels(count, side);
  const area = side * side;
  for (let image = 0; image < count; image++) {
    for (let position = 0; position < area; position++) {
      const source = transposed ? (position % side) * side + Math.floor(position / side) : position;
      pixels.fill(grey[image * area + source], (image * area + position) * CHANNELS, (image * area + position + 1) * CHANNELS);
    }
  }
  return pixels;
}

async function placeImages(pixels: Uint8Array, side: number, imageSize: number, placement: MnistOptions["placement"], run: LongRunOptions): Promise<Uint8Array> {
  const chosen = placement ?? (imageSize >= side && imageSize <= LARGEST_PADDED_SIZE ? "pad" : "resize");
  if (chosen === "resize") return resizeSquareImages(pixels, side, imageSize, run);
  if (imageSize < side) throw new RangeError(`imageSize ${imageSize} is smaller than the images (${side}): they can't be padded to it. Use placement "resize".`);
  return padImages(pixels, side, imageSize);
}

/** Puts each image in the middle of a black square; if the border is odd, the larger part is right and below. */
function padImages(pixels: Uint8Array, side: number, imageSize: number): Uint8Array {
  const count = pixels.length / imageBytes(side);
  const padded = allocatePixels(count, imageSize);
  const margin = Math.floor((imageSize - side) / 2);
  const rowBytes = side * CHANNELS;
  for (let image = 0; image < count; image++) {
    for (let row = 0; row < side; row++) {
      const from = (image * side + row) * rowBytes;
      const to = ((image * imageSize + margin + row) * imageSize + margin) * CHANNELS;
      padded.set(pixels.subarray(from, from + rowBytes), to);
    }
  }
  return padded;
}
