import { networkConfig, type TrainConfig } from "../config";
import type { FeatureNetwork } from "../features/feature-network";
import { loadFeatureNetwork, type FeatureNetworkName } from "../features/load";
import { disposeResources, loadResources, type ResourceOptions, type Resources } from "../resources";

/** Gives each training what it stands on, and loads data, encoder, latents and feature networks once for all that share them. */
export interface ResourcePool {
  /** The resources of a configuration; the pool disposes of them. */
  get(config: TrainConfig): Promise<Resources>;
  dispose(): void;
}

/** @param options of loadResources() */
export function createResourcePool(options: ResourceOptions = {}): ResourcePool {
  const loaded = new Map<string, Resources>();
  const networks = new Map<string, FeatureNetwork>();
  const perceptualOf = async ({ losses, perceptualNetwork, perceptualSize }: TrainConfig): Promise<FeatureNetwork | undefined> => {
    if (!((losses.perceptual ?? 0) > 0)) return undefined;
    const key = `${perceptualNetwork} ${perceptualSize}`;
    if (!networks.has(key)) networks.set(key, await loadFeatureNetwork(perceptualNetwork as FeatureNetworkName, { inputSize: perceptualSize }));
    return networks.get(key);
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
      return { ...shared, network, perceptual: await perceptualOf(config) };
    },
    dispose() {
      loaded.forEach(disposeResources);
      networks.forEach((network) => network.dispose());
      loaded.clear();
      networks.clear();
    },
  };
}
