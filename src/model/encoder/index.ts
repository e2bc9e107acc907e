import type { tf } from "../engine/tf";
import type { WeightPrecision } from "../float16";
import type { ProgressListener } from "../progress";

/** From images to normalised latents and back. Frozen once made; all tensors it returns are the caller's to dispose of. */
export interface Encoder {
  name: string;
  /** Height and width of the images, pixels. */
  imageSize: number;
  /** Height and width of the latents. */
  latentSize: number;
  latentChannels: number;
  /** Mean and standard deviation of each channel over the training data, before normalisation. */
  mean: number[];
  standardDeviation: number[];
  /** Changes when any weight or statistic changes. */
  fingerprint: string;
  /** Pretrained networks that the losses of its own training used; none where it is not given. */
  lossNetworks?: readonly string[];
  /** Images [B, H, W, 3] in [-1, 1] -> latents [B, h, w, c] with mean 0 and deviation 1 per channel. `onProgress` hears of compiling, where it is compiled. */
  encode(images: tf.Tensor4D, onProgress?: ProgressListener): tf.Tensor4D;
  /** The autoencoder's own decoder: latents [B, h, w, c] -> images [B, H, W, 3]. */
  decode(latents: tf.Tensor4D, onProgress?: ProgressListener): tf.Tensor4D;
  /** Writes weights and statistics; loadEncoder() reads them. Rounded to "F16" they are another encoder, with a fingerprint of its own; the default is "F32". */
  save(file: string, options?: { dtype?: WeightPrecision }): Promise<void>;
  dispose(): void;
}

export { loadEncoder, trainEncoder, VAE_DEFAULTS, type EncoderOptions } from "./vae";
export { cachedLatents, encodeDataset } from "./latent-cache";
export { autoencoderFlops, SD_VAE, VA_VAE, type AutoencoderConfig } from "./autoencoder-plan";
export { AUTOENCODER_DEFAULTS, AUTOENCODERS, createAutoencoder, loadAutoencoder, type Autoencoder, type AutoencoderName, type AutoencoderOptions } from "./autoencoder";
export { encodeToShards, openShardRows, readLatentShard, readShardIndex, SHARD_DEFAULTS, skippedImages, type EncodedShards, type EncoderChoice, type EncodeToShardsOptions, type EncodingCost, type LatentShard, type ShardIndex, type ShardOptions, type ShardRows, type ShardRowsOptions } from "./latent-shards";
