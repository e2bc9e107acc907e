import { unknownNameMessage } from "../nearest-name";
import type { LongRunOptions } from "../progress";
import { loadAvatars, type AvatarOptions } from "./avatars";
import { loadCifar10, type Cifar10Options } from "./cifar10";
import type { DatasetSplits } from "./dataset";
import { loadImageFolder, type ImageFolderOptions } from "./image-folder";
import { loadMnist, type MnistOptions } from "./mnist";

/** A data set by name, with the options of its loader. */
export type DatasetConfig =
  | ({ name: "avatars" } & AvatarOptions)
  | ({ name: "folder" } & ImageFolderOptions)
  | ({ name: "cifar10" } & Cifar10Options)
  | ({ name: "mnist" } & MnistOptions);

/** The names that {@link loadDataset} knows; "mnist" reads Fashion-MNIST and EMNIST too. */
export const DATASET_NAMES = ["avatars", "folder", "cifar10", "mnist"] as const satisfies readonly DatasetConfig["name"][];

/**
 * Loads the data set that `config.name` names.
 *
 * @throws Error for an unknown name, with the nearest known ones, and whatever the loader throws
 */
export async function loadDataset(config: DatasetConfig, run: LongRunOptions = {}): Promise<DatasetSplits> {
  switch (config.name) {
    case "avatars":
      return loadAvatars(config, run);
    case "folder":
      return loadImageFolder(config, run);
    case "cifar10":
      return loadCifar10(config, run);
    case "mnist":
      return loadMnist(config, run);
    default:
      throw new Error(unknownNameMessage("data set", String((config as { name: unknown }).name), DATASET_NAMES));
  }
}
