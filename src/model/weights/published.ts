import fs from "node:fs";
import path from "node:path";
import { cacheDirectory, shownPath } from "../files";

/** A file of weights that others publish. */
export interface PublishedWeights {
  /** Folder inside the cache folder. */
  folder: string;
  /** Name of the file as it is looked for. */
  file: string;
  /** What it is, for error messages. */
  description: string;
  /** Where it is published. */
  publishedAs: string;
  license: string;
  /** Size of the file as it is published, millions of bytes; undefined where that is not known. */
  megabytes?: number;
  /** "setup" fetches it; a person downloads the others, whose licence or host asks for that. */
  obtainedBy: "setup" | "download";
}

/** Where a file of published weights is looked for. */
export function weightsPath({ folder, file }: Pick<PublishedWeights, "folder" | "file">): string {
  return path.join(cacheDirectory(), folder, file);
}

/** One published file, or several of which any serves. */
export type WeightsChoice = PublishedWeights | readonly PublishedWeights[];

/** "553 MB", "0.007 MB": three digits at most. */
export function shownMegabytes(megabytes: number): string {
  return `${Number(megabytes.toPrecision(3))} MB`;
}

/**
 * Where several files that are wanted together lie on this machine.
 * @param wanted each with a path to use in place of the cache folder's, if any
 * @throws one error about all that are absent, see findWeights()
 */
export function findAllWeights(wanted: readonly { wanted: WeightsChoice; override?: string }[]): string[] {
  const faults: string[] = [];
  const found = wanted.map(({ wanted: choice, override }) => {
    try {
      return findWeights(choice, override);
    } catch (error) {
      faults.push((error as Error).message);
      return "";
    }
  });
  if (faults.length > 0) throw new Error(faults.join("; "));
  return found;
}

/**
 * Where a file of published weights lies on this machine.
 * @param wanted the file, or several of which any serves
 * @param override a path to use in place of the cache folder's
 * @throws one error saying which file is wanted, where it is published, under which licence, and how to get it
 */
export function findWeights(wanted: WeightsChoice, override?: string): string {
  const choices = "file" in wanted ? [wanted] : wanted;
  const candidates = override === undefined ? choices.map(weightsPath) : [override];
  const found = candidates.find((candidate) => fs.existsSync(candidate));
  if (found !== undefined) return found;
  const [first] = choices;
  const places = choices.map(({ file, publishedAs, license, megabytes }) => `the file ${file} of ${publishedAs} (${license}${megabytes === undefined ? "" : `; ${shownMegabytes(megabytes)}`})`).join(", or ");
  const remedy = first.obtainedBy === "setup" ? "Get it with: npx crossflow setup" : `Download it and put it there, then check it with: npx crossflow weights check ${shownPath(candidates[0])}`;
  throw new Error(`${first.description} not found: ${candidates.map((candidate) => shownPath(candidate)).join(" or ")}. It is ${places}. ${remedy}`);
}
