import { existsSync } from "node:fs";
import { join } from "node:path";
import { networkConfig, type TrainConfig } from "./config";
import { loadDataset, type Dataset, type DatasetConfig } from "./data";
import { cachedLatents, loadAutoencoder, loadEncoder, trainEncoder, type AutoencoderName, type Encoder } from "./encoder";
import type { FeatureNetwork } from "./features/feature-network";
import { loadFeatureNetwork, type FeatureNetworkName } from "./features/load";
import { projectRoot } from "./files";
import type { NetworkConfig } from "./network";
import type { LongRunOptions } from "./progress";

/** What a training stands on and does not change. */
export interface Resources {
  train: Dataset;
  test: Dataset;
  encoder: Encoder;
  /** Latents of the training images [N, h, w, c], in the data set's order. */
  latents: Float32Array;
  network: NetworkConfig;
  /** The perceptual loss's network, where the configuration weighs that loss. */
  perceptual?: FeatureNetwork;
}

export interface ResourceOptions extends LongRunOptions {
  /** Folder of the caches; `data` in the project's folder by default. */
  dataFolder?: string;
  /** Folder of the encoders that are shipped; `checkpoints` in the project's folder by default. */
  checkpointFolder?: string;
}

/**
 * The encoder for a data set: the pretrained one that the configuration names; else the shipped one where it was made for the same data, else one trained before, else a new one, which is then kept.
 */
export async function encoderFor(config: TrainConfig, train: Dataset, options: ResourceOptions = {}): Promise<Encoder> {
  const { dataFolder = join(projectRoot(), "data"), checkpointFolder = join(projectRoot(), "checkpoints") } = options;
  if (config.encoder !== "small") return loadAutoencoder(config.encoder as AutoencoderName, { imageSize: config.imageSize });
  const name = `${config.dataset}-${config.imageSize}-encoder`;
  const shipped = join(checkpointFolder, `${name}.safetensors`);
  if (config.dataset === "avatars" && existsSync(shipped)) return loadEncoder(shipped);
  const file = join(dataFolder, `${name}-${train.fingerprint.slice(0, 12)}-${config.seed}-${config.encoderSteps}.safetensors`);
  if (existsSync(file)) return loadEncoder(file);
  const encoder = await trainEncoder(train, { ...options, seed: config.seed, steps: config.encoderSteps });
  await encoder.save(file);
  return encoder;
}

/** The data set that a training's configuration means. */
export function datasetConfig(config: TrainConfig, dataFolder?: string): DatasetConfig {
  const { dataset, dataPath, imageSize, trainCount } = config;
  const limit = trainCount > 0 ? { trainCount } : {};
  if (dataset === "avatars") return { name: dataset, imageSize, dataFolder, ...limit };
  if (dataPath === "") throw new Error(`the data set "${dataset}" needs dataPath, the folder of its files`);
  return { name: dataset, path: dataPath, imageSize, ...limit };
}

/** Whether a loss that takes frozen features has a weight; a loss of the user's own that does begins with "perceptual". */
const usesFeatures = ({ losses }: TrainConfig): boolean => Object.entries(losses).some(([name, weight]) => name.startsWith("perceptual") && weight > 0);

/**
 * Loads or makes all that a training needs: data, encoder, latents, perceptual network. Everything slow is cached.
 * @returns the resources; disposeResources() frees them
 */
export async function loadResources(config: TrainConfig, options: ResourceOptions = {}): Promise<Resources> {
  const { dataFolder = join(projectRoot(), "data") } = options;
  const { train, test } = await loadDataset(datasetConfig(config, dataFolder), options);
  const encoder = await encoderFor(config, train, options);
  try {
    const latents = await cachedLatents(encoder, train, dataFolder, options);
    const network = networkConfig(config.preset, { imageSize: config.imageSize, latentSize: encoder.latentSize, latentChannels: encoder.latentChannels, classes: train.classes.length });
    const perceptual = usesFeatures(config) ? await loadFeatureNetwork(config.perceptualNetwork as FeatureNetworkName, { inputSize: config.perceptualSize }) : undefined;
    return { train, test, encoder, latents, network, perceptual };
  } catch (error) {
    encoder.dispose();
    throw error;
  }
}

/** Frees the tensors of the resources. */
export function disposeResources(resources: Resources): void {
  resources.encoder.dispose();
  resources.perceptual?.dispose();
}
