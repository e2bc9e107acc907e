import { networkConfig, type TrainConfig } from "../config";
import { disposeResources, loadLossNetworks, loadResources, type ResourceOptions, type Resources } from "../resources";

type LossNetworks = Pick<Resources, "perceptual" | "critic">;

/** Gives each training what it stands on, and loads data, encoder, latents and feature networks once for all that share them. */
export interface ResourcePool {
  /** The resources of a configuration; the pool disposes of them. */
  get(config: TrainConfig): Promise<Resources>;
  dispose(): void;
}

/** @param options of loadResources() */
export function createResourcePool(options: ResourceOptions = {}): ResourcePool {
  const loaded = new Map<string, Resources>();
  const networks = new Map<string, LossNetworks>();
  const networksOf = async (config: TrainConfig): Promise<LossNetworks> => {
    const { losses, perceptualNetwork, perceptualSize, criticNetwork, criticSize } = config;
    const kinds = Object.keys(losses).filter((name) => losses[name] > 0).map((name) => name.split("-")[0]);
    const key = JSON.stringify([kinds.includes("perceptual"), perceptualNetwork, perceptualSize, kinds.includes("adversarial"), criticNetwork, criticSize]);
    if (!networks.has(key)) networks.set(key, await loadLossNetworks(config));
    return networks.get(key)!;
  };
  return {
    async get(config) {
      const { dataset, dataPath, imageSize, trainCount, encoder, encoderSteps, seed } = config;
      // An encoder that is trained here depends on the seed; the shipped one, of the avatars, does not.
      const key = JSON.stringify([dataset, dataPath, imageSize, trainCount, encoder, encoderSteps, dataset === "avatars" ? 0 : seed]);
      if (!loaded.has(key)) loaded.set(key, await loadResources({ ...config, losses: {} }, options));
      const shared = loaded.get(key)!;
      const { latentSize, latentChannels } = shared.encoder;
      const network = networkConfig(config.preset, { imageSize, latentSize, latentChannels, classes: shared.train.classes.length });
      return { ...shared, network, ...(await networksOf(config)) };
    },
    dispose() {
      loaded.forEach(disposeResources);
      networks.forEach(({ perceptual, critic }) => {
        perceptual?.dispose();
        critic?.dispose();
      });
      loaded.clear();
      networks.clear();
    },
  };
}
