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
  /** "setup" fetches it; a person downloads the others, whose licence or host asks for that. */
  obtainedBy: "setup" | "download";
}

/** Where a file of published weights is looked for. */
export function weightsPath({ folder, file }: Pick<PublishedWeights, "folder" | "file">): string {
  return path.join(cacheDirectory(), folder, file);
}

/**
 * Where a file of published weights lies on this machine.
 * @param wanted the file, or several of which any serves
 * @param override a path to use in place of the cache folder's
 * @throws one error saying which file is wanted, where it is published, under which licence, and how to get it
 */
export function findWeights(wanted: PublishedWeights | readonly PublishedWeights[], override?: string): string {
  const choices = Array.isArray(wanted) ? (wanted as readonly PublishedWeights[]) : [wanted as PublishedWeights];
  const candidates = override === undefined ? choices.map(weightsPath) : [override];
  const found = candidates.find((candidate) => fs.existsSync(candidate));
  if (found !== undefined) return found;
  const [first] = choices;
  const places = choices.map(({ file, publishedAs, license }) => `the file ${file} of ${publishedAs} (${license})`).join(", or ");
  const remedy = first.obtainedBy === "setup" ? "Get it with: npx crossflow setup" : `Download it and put it there, then check it with: npx crossflow weights check ${shownPath(candidates[0])}`;
  throw new Error(`${first.description} not found: ${candidates.map((candidate) => shownPath(candidate)).join(" or ")}. It is ${places}. ${remedy}`);
}
