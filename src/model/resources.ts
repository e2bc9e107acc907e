import { existsSync } from "node:fs";
import { join } from "node:path";
import { LATENT_SHARDS, networkConfig, type TrainConfig } from "./config";
import { loadDataset, type Dataset, type DatasetConfig } from "./data";
import { cachedLatents, loadAutoencoder, loadEncoder, openShardRows, trainEncoder, type AutoencoderName, type Encoder } from "./encoder";
import type { FeatureNetwork } from "./features/feature-network";
import { loadFeatureNetwork, type FeatureNetworkName } from "./features/load";
import { projectRoot } from "./files";
import { PIXEL_CRITICS } from "./metrics/independence";
import type { NetworkConfig } from "./network";
import type { LongRunOptions } from "./progress";
import { adversarialName } from "./training-state";
import { rowsInMemory, type TrainingRows } from "./training-rows";

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
  /** The frozen network that the critic stands on, where the configuration has such a critic. */
  critic?: FeatureNetwork;
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
  if (dataset === LATENT_SHARDS) throw new Error(`the data set "${LATENT_SHARDS}" is read batch by batch by a training alone, and has no held-out images: name a folder of images in its place`);
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
    return { train, test, encoder, latents, network, ...(await loadLossNetworks(config)) };
  } catch (error) {
    encoder.dispose();
    throw error;
  }
}

/** What a training reads, wherever its images lie. */
export interface TrainingResources extends Pick<Resources, "network" | "perceptual" | "critic"> {
  rows: TrainingRows;
  encoderFingerprint: string;
  /** Makes images of latents, for grids of the methods that end in latents, and latents of images, for distillation; shards come without it. */
  encoder?: Pick<Encoder, "encode" | "decode">;
}

/** The resources of a data set in memory as a training reads them; they share the tensors. */
export function trainingResources({ train, latents, encoder, network, perceptual, critic }: Resources): TrainingResources {
  return { rows: rowsInMemory(train, latents), encoderFingerprint: encoder.fingerprint, encoder, network, perceptual, critic };
}

/**
 * Loads or makes what a training needs: of shards of latents, headers and labels alone; of any other data set what loadResources() loads.
 * @returns the resources, and what frees them
 * @throws Error for shards that can not be trained on, or options that they, or a data set in memory, do not serve
 */
export async function loadTrainingResources(config: TrainConfig, options: ResourceOptions = {}): Promise<{ resources: TrainingResources; dispose: () => Promise<void> }> {
  if (config.dataset !== LATENT_SHARDS) {
    const resources = await loadResources(config, options);
    return { resources: trainingResources(resources), dispose: async () => disposeResources(resources) };
  }
  if (config.dataPath === "") throw new Error(`the data set "${LATENT_SHARDS}" needs dataPath, the folder that crossflow encode --images wrote`);
  if (config.velocity === "marginal") throw new Error(`velocity "marginal" averages over all latents, which "${LATENT_SHARDS}" does not hold in memory: set velocity to "conditional"`);
  if (config.trainCount > 0) throw new Error(`trainCount serves data sets in memory; of "${LATENT_SHARDS}" all images are used`);
  const rows = await openShardRows(config.dataPath, { ...options, horizontalFlip: config.horizontalFlip });
  try {
    if (rows.imageSize !== config.imageSize) throw new Error(`${config.dataPath} holds images of ${rows.imageSize} pixels, the configuration says ${config.imageSize}: set imageSize to ${rows.imageSize}`);
    const [latentSize, , latentChannels] = rows.latentShape;
    const network = networkConfig(config.preset, { imageSize: config.imageSize, latentSize, latentChannels, classes: rows.classes.length });
    const networks = await loadLossNetworks(config);
    const dispose = async (): Promise<void> => {
      networks.perceptual?.dispose();
      networks.critic?.dispose();
      await rows.close();
    };
    return { resources: { rows, encoderFingerprint: rows.encoder, network, ...networks }, dispose };
  } catch (error) {
    await rows.close();
    throw error;
  }
}

/**
 * The frozen networks that a configuration's losses stand on.
 * @throws Error when a weights file is absent, saying which is wanted and where it is published
 */
export async function loadLossNetworks(config: TrainConfig): Promise<Pick<Resources, "perceptual" | "critic">> {
  const load = (name: string, inputSize: number): Promise<FeatureNetwork> => loadFeatureNetwork(name as FeatureNetworkName, { inputSize });
  const perceptual = usesFeatures(config) ? await load(config.perceptualNetwork, config.perceptualSize) : undefined;
  try {
    const critic = adversarialName(config) && !PIXEL_CRITICS.includes(config.criticNetwork) ? await load(config.criticNetwork, config.criticSize) : undefined;
    return { perceptual, critic };
  } catch (error) {
    perceptual?.dispose();
    throw error;
  }
}

/** Frees the tensors of the resources. */
export function disposeResources(resources: Resources): void {
  resources.encoder.dispose();
  resources.perceptual?.dispose();
  resources.critic?.dispose();
}
