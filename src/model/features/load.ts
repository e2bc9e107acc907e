import { unknownNameMessage } from "../nearest-name";
import { DINO_VARIANTS, loadDino, type DinoVariant } from "./dino";
import { loadEfficientNetLite } from "./efficientnet-lite";
import type { FeatureNetwork } from "./feature-network";
import { loadInception } from "./inception";
import { loadLpips } from "./lpips";

export interface FeatureNetworkOptions {
  /** Side of the images that the network sees, pixels, for those that take several sizes; each has its own default. */
  inputSize?: number;
  /** A weights file in place of the cache folder's. */
  path?: string;
}

/** The pretrained feature networks by name. */
export const FEATURE_NETWORKS = ["efficientnet-lite0", "efficientnet-lite2", "inception-fid", "lpips-vgg16", ...(Object.keys(DINO_VARIANTS) as DinoVariant[])] as const;

export type FeatureNetworkName = (typeof FEATURE_NETWORKS)[number];

/**
 * Load a pretrained feature network by its name. EfficientNet-Lite2 comes as the metrics use it: at 96 pixels, embedding of its last stage (352 numbers).
 * @throws Error for an unknown name, with the near ones; and if the weights file is absent (saying which is wanted and where it is published)
 */
export async function loadFeatureNetwork(name: FeatureNetworkName, options: FeatureNetworkOptions = {}): Promise<FeatureNetwork> {
  switch (name) {
    case "efficientnet-lite0":
      return loadEfficientNetLite("lite0", options);
    case "efficientnet-lite2":
      return loadEfficientNetLite("lite2", { inputSize: 96, resize: "bicubic", embeddingLevel: 7, ...options });
    case "inception-fid":
      return loadInception({ path: options.path });
    case "lpips-vgg16":
      return loadLpips({ path: options.path });
    default:
      if (!Object.hasOwn(DINO_VARIANTS, name)) throw new Error(unknownNameMessage("feature network", String(name), FEATURE_NETWORKS));
      return loadDino(name, options);
  }
}
