import fs from "node:fs";
import { shownPath } from "../files";
import { unknownNameMessage } from "../nearest-name";
import { parameterBytes, PRETRAINED_NETWORKS, wantedFiles, type PretrainedNetwork } from "./networks";
import { shownMegabytes, weightsPath, type PublishedWeights } from "./published";

/** A published file of a pretrained network, and whether it is on this machine: a row of a table. */
export interface WeightsFileRow extends Record<string, string> {
  network: string;
  "used for": string;
  /** Its name; "or" before one that serves in place of the one before, "and" before one that is wanted besides. */
  file: string;
  "published at": string;
  licence: string;
  /** Of the file, or where that is not known, of the parameters as float32. */
  size: string;
  "put it at": string;
  here: string;
}

const MEGABYTE = 1e6;

const isHere = (file: PublishedWeights): boolean => fs.existsSync(weightsPath(file));

/** Whether all that the network's weights take is on this machine. @throws RangeError for an unknown name */
export function hasWeights(name: string): boolean {
  const { published, alongside = [] } = networkNamed(name);
  return published.some(isHere) && alongside.every(isHere);
}

/**
 * Which files pretrained networks want, where they are published and where they belong, as rows of a table.
 * @param names of networks; all by default
 * @throws RangeError for an unknown name, with the near ones
 */
export function weightsFiles(...names: string[]): WeightsFileRow[] {
  const networks = names.length === 0 ? PRETRAINED_NETWORKS : names.map(networkNamed);
  return networks.flatMap((network) =>
    wantedFiles(network).map(({ file, role }) => ({
      network: network.name,
      "used for": network.use,
      file: role === "wanted" ? file.file : `${role} ${file.file}`,
      "published at": file.publishedAs,
      licence: file.license,
      size: file.megabytes !== undefined ? shownMegabytes(file.megabytes) : role === "and" ? "small" : `${shownMegabytes(parameterBytes(network.wanted()) / MEGABYTE)} of parameters`,
      "put it at": file.obtainedBy === "setup" ? "fetched by set-up" : shownPath(weightsPath(file)),
      here: isHere(file) ? "yes" : "no",
    })),
  );
}

function networkNamed(name: string): PretrainedNetwork {
  const found = PRETRAINED_NETWORKS.find((network) => network.name === name);
  if (!found) throw new RangeError(unknownNameMessage("network", name, PRETRAINED_NETWORKS.map((network) => network.name)));
  return found;
}
