import fs from "node:fs";
import { shownPath } from "../files";
import { unknownNameMessage } from "../nearest-name";
import { parameterBytes, PRETRAINED_NETWORKS, type PretrainedNetwork } from "./networks";
import { weightsPath } from "./published";

/** A published file of a pretrained network, and whether it is on this machine: a row of a table. */
export interface WeightsFileRow extends Record<string, string> {
  network: string;
  "used for": string;
  file: string;
  "published at": string;
  licence: string;
  /** Of the parameters as float32. */
  size: string;
  "put it at": string;
  here: string;
}

const MEGABYTE = 1e6;

/** Whether a file of the network's weights is on this machine. @throws RangeError for an unknown name */
export function hasWeights(name: string): boolean {
  return networkNamed(name).published.some((file) => fs.existsSync(weightsPath(file)));
}

/**
 * Which files pretrained networks want, where they are published and where they belong, as rows of a table.
 * @param names of networks; all by default. A network with several files takes any of them
 * @throws RangeError for an unknown name, with the near ones
 */
export function weightsFiles(...names: string[]): WeightsFileRow[] {
  const networks = names.length === 0 ? PRETRAINED_NETWORKS : names.map(networkNamed);
  return networks.flatMap(({ name, use, published, wanted }) =>
    published.map((file) => ({
      network: name,
      "used for": use,
      file: file.file,
      "published at": file.publishedAs,
      licence: file.license,
      size: `${(parameterBytes(wanted()) / MEGABYTE).toPrecision(3)} MB`,
      "put it at": file.obtainedBy === "setup" ? "fetched by set-up" : shownPath(weightsPath(file)),
      here: fs.existsSync(weightsPath(file)) ? "yes" : "no",
    })),
  );
}

function networkNamed(name: string): PretrainedNetwork {
  const found = PRETRAINED_NETWORKS.find((network) => network.name === name);
  if (!found) throw new RangeError(unknownNameMessage("network", name, PRETRAINED_NETWORKS.map((network) => network.name)));
  return found;
}
