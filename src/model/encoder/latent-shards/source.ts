import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { extract } from "tar-stream";

/** An image as it lies in its file, with its class. */
export interface SourceImage {
  /** Its name within the source, without the ending. */
  key: string;
  label: number;
  /** PNG, JPEG or WebP. */
  file: Buffer;
}

/** A part of a source that one worker encodes into one file; plain data, so that it can be sent to another process. */
export type SourcePart =
  | { kind: "files"; name: string; fingerprint: string; files: readonly { path: string; key: string; label: number }[] }
  | { kind: "tar"; name: string; fingerprint: string; path: string };

export interface ImageSource {
  /** Names of the classes, where folders name them; tar files hold numbers alone. */
  classes: string[];
  parts: SourcePart[];
}

const IMAGE_ENDINGS: readonly string[] = [".png", ".jpg", ".jpeg", ".webp"];

/** The label of an image in a WebDataset shard: a whole number as text. */
const LABEL_ENDING = ".cls";

/** Larger members of a tar file are refused. */
const MAX_MEMBER_BYTES = 2 ** 28;

const digest = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);

/**
 * The parts of a source of images: a folder of tar files in WebDataset's layout (NAME.jpg and NAME.cls side by side), one part each; or a folder with
 * one sub-folder of images a class, cut into parts of equal size. Images are not read yet.
 * @param imagesPerPart of a folder of images
 * @throws Error naming the folder and the layouts that are expected
 */
export async function imageSource(path: string, imagesPerPart = 1000): Promise<ImageSource> {
  const root = resolve(path);
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(error.code === "ENOENT" ? `There is no folder ${root}.` : `Can't read ${root}: ${error.message}`, { cause: error });
  });
  const tars = entries.filter(({ name }) => name.endsWith(".tar")).map(({ name }) => name).sort();
  if (tars.length > 0) {
    const parts = tars.map(async (name): Promise<SourcePart> => {
      const { size } = await stat(join(root, name));
      return { kind: "tar", name: basename(name, ".tar"), fingerprint: digest([name, size]), path: join(root, name) };
    });
    return { classes: [], parts: await Promise.all(parts) };
  }
  const classes = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map(({ name }) => name).sort();
  const files = (await Promise.all(classes.map((name, label) => imagesBelow(root, name, label)))).flat();
  if (files.length === 0) throw new Error(`${root} holds no images: expected tar files in WebDataset's layout (NAME.jpg with NAME.cls), or one sub-folder of PNG, JPEG or WebP images a class.`);
  const parts = Array.from({ length: Math.ceil(files.length / imagesPerPart) }, (_, number): SourcePart => {
    const chosen = files.slice(number * imagesPerPart, (number + 1) * imagesPerPart);
    return { kind: "files", name: String(number).padStart(5, "0"), fingerprint: digest(chosen.map(({ path: file, label, size }) => [relative(root, file), label, size])), files: chosen };
  });
  return { classes, parts };
}

async function imagesBelow(root: string, className: string, label: number): Promise<{ path: string; key: string; label: number; size: number }[]> {
  const names = (await readdir(join(root, className), { recursive: true })).filter((name) => IMAGE_ENDINGS.includes(extname(name).toLowerCase()) && !name.split(sep).some((part) => part.startsWith("."))).sort();
  return Promise.all(names.map(async (name) => ({ path: join(root, className, name), key: `${className}/${name.slice(0, -extname(name).length)}`, label, size: (await stat(join(root, className, name))).size })));
}

/** Reads a part's images one after another. @throws Error naming the tar file and the member that has no label, or is too large */
export async function* readImages(part: SourcePart): AsyncGenerator<SourceImage> {
  if (part.kind === "files") for (const { path, key, label } of part.files) yield { key, label, file: await readFile(path) };
  else yield* readTar(part.path);
}

/** Members that share a name up to the first dot of their base name are one sample, and lie next to each other. */
async function* readTar(path: string): AsyncGenerator<SourceImage> {
  let key: string | undefined;
  let members: { image?: Buffer; label?: number } = {};
  const finished = (): SourceImage | undefined => {
    if (key === undefined || members.image === undefined) return undefined;
    if (members.label === undefined) throw new Error(`${path}: ${key} has no label; expected ${key}${LABEL_ENDING} with a whole number beside the image.`);
    return { key, label: members.label, file: members.image };
  };
  const archive = extract();
  const input = createReadStream(path);
  input.on("error", (error) => archive.destroy(error));
  input.pipe(archive);
  try {
    for await (const entry of archive) {
      const { name, size = 0, type } = entry.header;
      const chunks: Buffer[] = [];
      if (type === "file" && size > MAX_MEMBER_BYTES) throw new Error(`${path}: ${name} has ${size} bytes, the most that is read is ${MAX_MEMBER_BYTES}.`);
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      if (type !== "file") continue;
      const file = basename(name);
      const dot = file.indexOf(".");
      const sample = join(dirname(name), dot < 0 ? file : file.slice(0, dot));
      const ending = dot < 0 ? "" : file.slice(dot).toLowerCase();
      if (sample !== key) {
        const image = finished();
        if (image) yield image;
        [key, members] = [sample, {}];
      }
      if (IMAGE_ENDINGS.includes(ending)) members.image = Buffer.concat(chunks);
      if (ending === LABEL_ENDING) members.label = parseLabel(Buffer.concat(chunks).toString("utf8"), `${path}: ${name}`);
    }
  } catch (error) {
    throw (error as Error).message.startsWith(path) ? error : new Error(`${path} can't be read as a tar file: ${(error as Error).message}`, { cause: error });
  }
  const last = finished();
  if (last) yield last;
}

function parseLabel(text: string, place: string): number {
  if (!/^\s*\d{1,9}\s*$/.test(text)) throw new Error(`${place} holds ${JSON.stringify(text.slice(0, 20))}, expected a whole number.`);
  return Number(text);
}
