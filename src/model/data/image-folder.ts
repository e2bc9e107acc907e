import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join, relative, resolve, sep } from "node:path";
import { describeFileError } from "../files";
import { createProgress, type LongRunOptions } from "../progress";
import { randomStream } from "../random";
import { allocatePixels, createDataset, imageBytes, type Dataset, type DatasetSplits, type SkippedImage, type Split } from "./dataset";
import { mapConcurrently } from "./map-concurrently";
import { checkImageCount, checkImageSize, withDefaults } from "./options";
import { decodeSquareImage, IMAGES_IN_FLIGHT } from "./resize";

export interface ImageFolderOptions {
  /** A folder with one sub-folder of images per class, or with the folders `train` and `test` (or `val`) that hold those. */
  path: string;
  /** Height and width in pixels to which every image is cropped and scaled; 32 by default. */
  imageSize?: number;
  /** Share of each class's images that is held out, 0 to 1 (not 1 itself); 0.1 by default. Unused if the folder has a `test`. */
  testShare?: number;
  /** Another seed gives another split; 0 by default. */
  seed?: number;
  /** At most so many training images, chosen by the seed; all by default. */
  trainCount?: number;
  /** At most so many held-out images; all by default. */
  testCount?: number;
  /** Accept a folder with one class; false by default. */
  allowSingleClass?: boolean;
  /** More unreadable images than this stop the loading; 100 by default. */
  maxSkipped?: number;
  /** A larger share of unreadable images than this stops the loading; 0.1 by default. */
  maxSkippedShare?: number;
}

const DEFAULTS = { imageSize: 32, testShare: 0.1, seed: 0, trainCount: Infinity, testCount: Infinity, allowSingleClass: false, maxSkipped: 100, maxSkippedShare: 0.1 };

const EXTENSIONS: readonly string[] = [".png", ".jpg", ".jpeg", ".webp"];

const HELD_OUT_FOLDERS = ["test", "val"];

/** Unreadable files that an error lists by name. */
const LISTED_FAILURES = 20;

const EXPECTED_LAYOUT = "expected one sub-folder per class with PNG, JPEG or WebP images in it";

/** A file that should be an image, and its class. */
interface ImageFile {
  path: string;
  className: string;
}

/**
 * Reads a folder of images, the class is the sub-folder (images may lie deeper in it). Each image is turned upright by its
 * EXIF orientation, cropped to the centred square, scaled, and put on white where it is transparent.
 *
 * Each class is split by the seed: adding a class doesn't move the other classes' images. A broken image is left out and
 * listed in `skipped` of its split. Files that aren't images by their extension, and hidden ones, are ignored.
 *
 * @throws Error if the path is no folder, holds no images, a class folder is empty, there is one class only (unless allowed),
 *   or too many images are broken; RangeError for an option out of range; the signal's reason when stopped
 */
export async function loadImageFolder(options: ImageFolderOptions, run: LongRunOptions = {}): Promise<DatasetSplits> {
  const settings = withDefaults(DEFAULTS, options);
  checkOptions(settings);
  const root = resolve(settings.path);
  const files = await findSplitFiles(root, settings);
  const classes = sortedNames([...files.train, ...files.test].map(({ className }) => className));
  if (classes.length === 1 && !settings.allowSingleClass) {
    throw new Error(`${root} has one class, ${JSON.stringify(classes[0])}: ${EXPECTED_LAYOUT}, at least two. A training tells classes apart; loadImageFolder({ allowSingleClass: true }) and crossflow data --allow-single-class read such a folder.`);
  }
  const chosen = {
    train: chooseSome(files.train, settings.trainCount, settings.seed, "train"),
    test: chooseSome(files.test, settings.testCount, settings.seed, "test"),
  };
  const total = chosen.train.length + chosen.test.length;
  const limits = { maxSkipped: settings.maxSkipped, maxSkippedShare: settings.maxSkippedShare, total };
  const progress = createProgress({ label: "reading images", total, onUpdate: run.onProgress });
  const failures: SkippedImage[] = [];
  const read = async (split: Split): Promise<Dataset> => {
    const decoded = await decodeAll(chosen[split], settings.imageSize, {
      signal: run.signal,
      onDone: () => progress.advance(),
      onFailure: (failure) => {
        failures.push(failure);
        if (failures.length > limits.maxSkipped) throw tooManyFailures(root, failures, limits);
      },
    });
    const labels = Int32Array.from(decoded.files, ({ className }) => classes.indexOf(className));
    return createDataset({ name: basename(root), split, classes, imageSize: settings.imageSize, pixels: decoded.pixels, labels, skipped: decoded.skipped });
  };
  const train = await read("train");
  const test = await read("test");
  if (failures.length > limits.maxSkippedShare * total) throw tooManyFailures(root, failures, limits);
  return { train, test };
}

function checkOptions(settings: typeof DEFAULTS): void {
  checkImageSize(settings.imageSize);
  if (settings.trainCount !== Infinity) checkImageCount("trainCount", settings.trainCount, 1);
  if (settings.testCount !== Infinity) checkImageCount("testCount", settings.testCount);
  if (!(settings.testShare >= 0 && settings.testShare < 1)) throw new RangeError(`testShare must be from 0 to less than 1, got ${settings.testShare}.`);
  if (!(settings.maxSkippedShare >= 0 && settings.maxSkippedShare <= 1)) throw new RangeError(`maxSkippedShare must be from 0 to 1, got ${settings.maxSkippedShare}.`);
}

async function findSplitFiles(root: string, { testShare, seed }: { testShare: number; seed: number }): Promise<Record<Split, ImageFile[]>> {
  const folders = await subfolders(root);
  const heldOut = HELD_OUT_FOLDERS.find((name) => folders.includes(name));
  if (heldOut !== undefined && folders.includes("train")) {
    const train = await findImages(join(root, "train"));
    const test = await findImages(join(root, heldOut));
    const known = new Set(train.map(({ className }) => className));
    const unknown = test.find(({ className }) => !known.has(className));
    if (unknown) throw new Error(`${join(root, heldOut)} has a class ${JSON.stringify(unknown.className)} that ${join(root, "train")} doesn't have.`);
    return { train, test };
  }
  return splitByClass(await findImages(root), testShare, seed);
}

async function subfolders(root: string): Promise<string[]> {
  const status = await stat(root).catch((error: NodeJS.ErrnoException) => {
    throw new Error(error.code === "ENOENT" ? `There is no folder ${root}: ${EXPECTED_LAYOUT}.` : `Can't read ${root}: ${describeFileError(error)}`, { cause: error });
  });
  if (!status.isDirectory()) throw new Error(`${root} is a file, not a folder: ${EXPECTED_LAYOUT}.`);
  const entries = await readdir(root, { withFileTypes: true });
  const visible = entries.filter(({ name }) => !isHidden(name));
  const isFolder = await Promise.all(visible.map(async (entry) => entry.isDirectory() || (entry.isSymbolicLink() && (await linksToFolder(join(root, entry.name))))));
  return visible.filter((_, index) => isFolder[index]).map(({ name }) => name);
}

async function linksToFolder(path: string): Promise<boolean> {
  return stat(path).then((status) => status.isDirectory(), () => false);
}

/** The images below a folder of class folders, sorted by path. */
async function findImages(root: string): Promise<ImageFile[]> {
  const found: ImageFile[] = [];
  for (const className of sortedNames(await subfolders(root))) {
    const names = await readdir(join(root, className), { recursive: true });
    const images = sortedNames(names.filter(isImageName));
    if (images.length === 0) throw new Error(`The class folder ${join(root, className)} holds no PNG, JPEG or WebP image. Add some, or remove the folder.`);
    found.push(...images.map((name) => ({ path: join(root, className, name), className })));
  }
  if (found.length === 0) {
    const loose = (await readdir(root)).filter(isImageName).length;
    const hint = loose > 0 ? ` (${loose} images lie in the folder itself, outside any class)` : "";
    throw new Error(`${root} holds no class folders${hint}: ${EXPECTED_LAYOUT}.`);
  }
  return found;
}

function isImageName(path: string): boolean {
  return EXTENSIONS.includes(extname(path).toLowerCase()) && !path.split(sep).some(isHidden);
}

/** Dot files, and the folder that macOS adds to archives. */
function isHidden(name: string): boolean {
  return name.startsWith(".") || name === "__MACOSX";
}

/** Without repetitions, in the order of their code units: the same on every machine and in every language. */
function sortedNames(names: Iterable<string>): string[] {
  return [...new Set(names)].sort();
}

function splitByClass(files: readonly ImageFile[], testShare: number, seed: number): Record<Split, ImageFile[]> {
  const split: Record<Split, ImageFile[]> = { train: [], test: [] };
  for (const className of sortedNames(files.map((file) => file.className))) {
    const ofClass = files.filter((file) => file.className === className);
    // Of two images or more at least one is held out and at least one is trained on.
    const wanted = testShare === 0 ? 0 : Math.max(1, Math.round(testShare * ofClass.length));
    const heldOutCount = Math.min(wanted, ofClass.length - 1);
    const order = randomStream(seed, `split/${className}`).permutation(ofClass.length);
    const heldOut = new Set(order.subarray(0, heldOutCount));
    ofClass.forEach((file, index) => split[heldOut.has(index) ? "test" : "train"].push(file));
  }
  return split;
}

function chooseSome(files: readonly ImageFile[], count: number, seed: number, split: Split): readonly ImageFile[] {
  if (count >= files.length) return files;
  const order = randomStream(seed, `subset/${split}`).permutation(files.length);
  return Array.from(order.slice(0, count).sort(), (index) => files[index]);
}

interface DecodeOptions {
  signal: AbortSignal | undefined;
  onDone: () => void;
  /** May throw to stop the reading. */
  onFailure: (failure: SkippedImage) => void;
}

async function decodeAll(
  files: readonly ImageFile[],
  imageSize: number,
  { signal, onDone, onFailure }: DecodeOptions,
): Promise<{ files: ImageFile[]; pixels: Uint8Array; skipped: SkippedImage[] }> {
  const bytes = imageBytes(imageSize);
  const pixels = allocatePixels(files.length, imageSize);
  const failures = await mapConcurrently(
    files,
    async ({ path }, index): Promise<SkippedImage | undefined> => {
      try {
        pixels.set(await decodeSquareImage(await readImageFile(path), imageSize), index * bytes);
        return undefined;
      } catch (error) {
        const failure = { path, reason: (error as Error).message };
        onFailure(failure);
        return failure;
      } finally {
        onDone();
      }
    },
    { concurrency: IMAGES_IN_FLIGHT, signal },
  );
  signal?.throwIfAborted();
  const good = files.map((_, index) => index).filter((index) => failures[index] === undefined);
  good.forEach((index, position) => pixels.copyWithin(position * bytes, index * bytes, (index + 1) * bytes));
  return {
    files: good.map((index) => files[index]),
    pixels: pixels.subarray(0, good.length * bytes),
    skipped: failures.filter((failure) => failure !== undefined),
  };
}

async function readImageFile(path: string): Promise<Uint8Array> {
  return readFile(path).catch((error: unknown) => {
    throw new Error(`it can't be read: ${describeFileError(error)}`, { cause: error });
  });
}

function tooManyFailures(root: string, failures: readonly SkippedImage[], { maxSkipped, maxSkippedShare, total }: { maxSkipped: number; maxSkippedShare: number; total: number }): Error {
  const listed = failures.slice(0, LISTED_FAILURES).map(({ path, reason }) => `  ${relative(root, path)}: ${reason}`);
  const more = failures.length > LISTED_FAILURES ? `\n  and ${failures.length - LISTED_FAILURES} more` : "";
  const limit = failures.length > maxSkipped ? `more than ${maxSkipped}` : `more than ${100 * maxSkippedShare} %`;
  return new Error(`${failures.length} of ${total} images in ${root} can't be used, ${limit}. Mend or remove them, or raise maxSkipped and maxSkippedShare:\n${listed.join("\n")}${more}`);
}
