import fs from "node:fs";
import path from "node:path";
import { cacheDirectory } from "../files";

/** Published weights that the set-up puts into the cache folder. */
export interface PublishedWeights {
  /** Folder inside the cache folder. */
  folder: string;
  /** Name of the file as published. */
  file: string;
  /** What it is, for error messages. */
  description: string;
  /** Where it is published. */
  publishedAs: string;
  license: string;
}

/**
 * Where a file of published weights lies on this machine.
 * @param override a path to use in place of the cache folder's
 * @throws one error saying which file is wanted, where it is published, under which licence, and how to get it
 */
export function findWeights(weights: PublishedWeights, override?: string): string {
  const wanted = override ?? path.join(cacheDirectory(), weights.folder, weights.file);
  if (fs.existsSync(wanted)) return wanted;
  throw new Error(
    `${weights.description} not found: ${wanted}. It is the file ${weights.file} of ${weights.publishedAs} (${weights.license}). ` +
      `Get it with: npx crossflow setup`,
  );
}
