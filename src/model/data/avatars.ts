import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp from "sharp";
import type { Style } from "@dicebear/core" with { "resolution-mode": "import" };
import { projectRoot } from "../files";
import { createProgress, type LongRunOptions } from "../progress";
import { readSafetensors, writeSafetensors } from "../safetensors";
import { allocatePixels, createDataset, imageBytes, type Dataset, type DatasetSplits, type Split } from "./dataset";
import { mapConcurrently } from "./map-concurrently";
import { checkImageCount, checkImageSize, withDefaults } from "./options";
import { IMAGES_IN_FLIGHT } from "./resize";

/** The eight styles, each a class: all of them CC0 1.0 designs (data/README.md names their authors). */
export const AVATAR_STYLES = ["pixelArt", "lorelei", "notionists", "openPeeps", "thumbs", "shapes", "rings", "identicon"] as const;

/** Class names, in the order of {@link AVATAR_STYLES}. */
export const AVATAR_CLASSES: readonly string[] = ["pixel-art", "lorelei", "notionists", "open-peeps", "thumbs", "shapes", "rings", "identicon"];

export interface AvatarOptions {
  /** Height and width in pixels; 32 by default, 64 and 128 are usual too. */
  imageSize?: number;
  /** Training images; 24,000 by default. */
  trainCount?: number;
  /** Held-out images; 4,000 by default. */
  testCount?: number;
  /** Another seed gives other avatars; 0 by default. */
  seed?: number;
  /** Folder of the caches; `data` in the project's folder by default. */
  dataFolder?: string;
}

const DEFAULTS = { imageSize: 32, trainCount: 24_000, testCount: 4_000, seed: 0 };

/** What each avatar stands on: a plain colour or a gradient of two, chosen by its seed. */
const BACKGROUND = {
  backgroundColor: ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf"],
  backgroundType: ["solid" as const, "gradientLinear" as const],
};

/** Drawn at this multiple of the size and scaled down, which renders thin lines more evenly than the renderer alone. */
const SUPERSAMPLING = 2;

/** Images in a file of the cache: about 3 s of rendering at 32 x 32. */
const SHARD_SIZE = 1000;

/** The cache files' format; a change of it makes older caches unread. */
const CACHE_FORMAT = "crossflow-avatars-1";

/**
 * Renders the avatars data set, or reads what was rendered before: pictures in eight styles of DiceBear, the class is the
 * style. Image i has class i mod 8 and a seed of its own, made of `seed`, the split's name and i: it is the same for every
 * `trainCount` and `testCount`, and no avatar of one split has a seed of the other.
 *
 * Rendering takes some 3 ms an image. It is kept in `<dataFolder>/avatars-<imageSize>-<recipe>` in files of 1,000 images;
 * the recipe is a hash of the seed, the styles and the versions of the drawing libraries. Stopped by `signal`, it keeps
 * what it has, and the next call goes on from there.
 *
 * @throws RangeError for a size or count out of range; the signal's reason when stopped
 */
export async function loadAvatars(options: AvatarOptions = {}, run: LongRunOptions = {}): Promise<DatasetSplits> {
  const { imageSize, trainCount, testCount, seed, dataFolder = join(projectRoot(), "data") } = withDefaults(DEFAULTS, options);
  checkImageSize(imageSize);
  checkImageCount("trainCount", trainCount);
  checkImageCount("testCount", testCount);
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be a whole number, got ${seed}.`);

  const recipe = await describeRecipe(imageSize, seed);
  const cache = join(dataFolder, `avatars-${imageSize}-${recipe.fingerprint}`);
  const shards = [...planShards(cache, "train", trainCount), ...planShards(cache, "test", testCount)];
  const pixels = { train: allocatePixels(trainCount, imageSize), test: allocatePixels(testCount, imageSize) };
  const unfinished = await readShards(recipe, shards, pixels, run.signal);
  await renderShards(recipe, unfinished, pixels, trainCount + testCount, run);
  return { train: createAvatarDataset("train", imageSize, pixels.train), test: createAvatarDataset("test", imageSize, pixels.test) };
}

/** Everything that decides what the images look like. */
interface Recipe {
  imageSize: number;
  seed: number;
  /** Name and version of each library that takes part. */
  versions: Record<string, string>;
  fingerprint: string;
}

/** The pixels of each split, [N, S, S, 3]; filled from the cache and by rendering. */
type SplitPixels = Record<Split, Uint8Array>;

/** A part of a split: images `first` to `first + count - 1`, in one file. */
interface Shard {
  path: string;
  split: Split;
  first: number;
  count: number;
}

async function describeRecipe(imageSize: number, seed: number): Promise<Recipe> {
  const versions = {
    "@dicebear/core": await packageVersion("@dicebear/core"),
    "@dicebear/collection": await packageVersion("@dicebear/collection"),
    librsvg: sharp.versions.rsvg ?? "unknown",
    libvips: sharp.versions.vips,
  };
  const content = { format: CACHE_FORMAT, imageSize, seed, styles: AVATAR_STYLES, background: BACKGROUND, supersampling: SUPERSAMPLING, versions };
  const fingerprint = createHash("sha256").update(JSON.stringify(content)).digest("hex").slice(0, 12);
  return { imageSize, seed, versions, fingerprint };
}

/** The version in an installed package's package.json, which not every package exports. */
async function packageVersion(name: string): Promise<string> {
  for (let folder = dirname(require.resolve(name)); ; folder = dirname(folder)) {
    const manifest = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}");
    const { name: found, version } = JSON.parse(manifest);
    if (found === name) return version;
    if (folder === dirname(folder)) throw new Error(`The package ${name} is installed without its package.json. Run npm install again.`);
  }
}

function planShards(folder: string, split: Split, count: number): Shard[] {
  return Array.from({ length: Math.ceil(count / SHARD_SIZE) }, (_, number) => {
    const first = number * SHARD_SIZE;
    const path = join(folder, `${split}-${String(number).padStart(5, "0")}.safetensors`);
    return { path, split, first, count: Math.min(SHARD_SIZE, count - first) };
  });
}

/** The part of a split's pixels that holds a shard's images `from` to `to - 1`, counted within the shard; a view. */
function shardPixels(pixels: SplitPixels, { split, first }: Shard, imageSize: number, from: number, to: number): Uint8Array {
  const bytes = imageBytes(imageSize);
  return pixels[split].subarray((first + from) * bytes, (first + to) * bytes);
}

/** Fills `pixels` with what earlier calls rendered. Returns the shards of which some images are missing, and how many are there. */
async function readShards(
  recipe: Recipe,
  shards: readonly Shard[],
  pixels: SplitPixels,
  signal: AbortSignal | undefined,
): Promise<{ shard: Shard; rendered: number }[]> {
  const unfinished: { shard: Shard; rendered: number }[] = [];
  for (const shard of shards) {
    signal?.throwIfAborted();
    const found = await readShard(shard.path);
    const rendered = Math.min(shard.count, found.length / imageBytes(recipe.imageSize));
    shardPixels(pixels, shard, recipe.imageSize, 0, rendered).set(found.subarray(0, rendered * imageBytes(recipe.imageSize)));
    if (rendered < shard.count) unfinished.push({ shard, rendered });
  }
  return unfinished;
}

async function renderShards(
  recipe: Recipe,
  unfinished: readonly { shard: Shard; rendered: number }[],
  pixels: SplitPixels,
  total: number,
  { onProgress, signal }: LongRunOptions,
): Promise<void> {
  if (unfinished.length === 0) return;
  const missing = unfinished.reduce((sum, { shard, rendered }) => sum + shard.count - rendered, 0);
  const progress = createProgress({ label: "rendering avatars", total, done: total - missing, onUpdate: onProgress });
  const draw = await avatarRenderer(recipe);
  for (const { shard, rendered } of unfinished) {
    const positions = Array.from({ length: shard.count - rendered }, (_, offset) => rendered + offset);
    const drawn = await mapConcurrently(
      positions,
      async (position) => {
        const image = await draw(shard.split, shard.first + position);
        shardPixels(pixels, shard, recipe.imageSize, position, position + 1).set(image);
        progress.advance();
      },
      { concurrency: IMAGES_IN_FLIGHT, signal },
    );
    // Stopped or not, what is drawn is saved: the next call goes on after it.
    if (drawn.length > 0) await writeShard(recipe, shard, shardPixels(pixels, shard, recipe.imageSize, 0, rendered + drawn.length));
    signal?.throwIfAborted();
  }
}

/** A function that draws image `index` of a split: [S, S, 3]. */
async function avatarRenderer({ imageSize, seed }: Recipe): Promise<(split: Split, index: number) => Promise<Uint8Array>> {
  const [{ createAvatar }, styles] = await Promise.all([import("@dicebear/core"), loadStyles()]);
  return async (split, index) => {
    const avatar = createAvatar(styles[index % styles.length], {
      ...BACKGROUND,
      seed: avatarSeed(seed, split, index),
      size: SUPERSAMPLING * imageSize,
    });
    // The background covers the whole picture: its alpha is 1 everywhere and can be dropped.
    return sharp(Buffer.from(avatar.toString())).resize(imageSize, imageSize).removeAlpha().raw().toBuffer();
  };
}

/** The seed of one avatar. It names the split, so that training and held-out seeds can't meet. */
export function avatarSeed(seed: number, split: Split, index: number): string {
  return `${seed}/${split}/${index}`;
}

/** Title, author, licence and source of each style, as its package states them, in the order of the classes. */
export async function avatarStyleCredits(): Promise<{ className: string; title: string; author: string; licence: string; source: string }[]> {
  const styles = await loadStyles();
  return styles.map(({ meta }, index) => ({
    className: AVATAR_CLASSES[index],
    title: meta?.title ?? "unknown",
    author: meta?.creator ?? "unknown",
    licence: meta?.license?.name ?? "unknown",
    source: meta?.source ?? "unknown",
  }));
}

/** The styles' options differ, but the ones used here are common to all of them. */
async function loadStyles(): Promise<Style<object>[]> {
  const collection = await import("@dicebear/collection");
  return AVATAR_STYLES.map((name): Style<object> => collection[name]);
}

function createAvatarDataset(split: Split, imageSize: number, pixels: Uint8Array): Dataset {
  const labels = Int32Array.from({ length: pixels.length / imageBytes(imageSize) }, (_, index) => index % AVATAR_CLASSES.length);
  return createDataset({ name: "avatars", split, classes: AVATAR_CLASSES, imageSize, pixels, labels });
}

/**
 * The images in a shard's file, [n, S, S, 3]: fewer than the shard's if its rendering was stopped, more if an earlier call
 * asked for more. None if there is no such file or it isn't what was written: it is then rendered again.
 */
async function readShard(path: string): Promise<Uint8Array> {
  const nothing = new Uint8Array(0);
  try {
    const { tensors, metadata } = await readSafetensors(path, { names: ["pixels"] });
    const { dtype, data } = tensors.pixels;
    return dtype === "U8" && metadata.pixels_sha256 === sha256(data) ? data : nothing;
  } catch {
    return nothing;
  }
}

async function writeShard(recipe: Recipe, shard: Shard, pixels: Uint8Array): Promise<void> {
  const { imageSize, seed, versions } = recipe;
  const count = pixels.length / imageBytes(imageSize);
  const labels = Uint8Array.from({ length: count }, (_, offset) => (shard.first + offset) % AVATAR_CLASSES.length);
  await writeSafetensors(
    shard.path,
    {
      pixels: { dtype: "U8", shape: [count, imageSize, imageSize, 3], data: pixels },
      labels: { dtype: "U8", shape: [count], data: labels },
    },
    {
      format: CACHE_FORMAT,
      split: shard.split,
      first: String(shard.first),
      count: String(count),
      seed: String(seed),
      classes: AVATAR_CLASSES.join(","),
      versions: JSON.stringify(versions),
      pixels_sha256: sha256(pixels),
    },
  );
}

function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
