import { autoencoderWeights } from "../encoder/autoencoder-plan";
import { AUTOENCODERS, VA_VAE_STATISTICS, type AutoencoderName } from "../encoder/autoencoder";
import { DINO_PUBLISHED, DINO_VARIANTS, dinoWeights, type DinoVariant } from "../features/dino";
import { EFFICIENTNET_LITE_WEIGHTS, efficientNetLiteWeights } from "../features/efficientnet-lite";
import { INCEPTION_PUBLISHED, inceptionWeights } from "../features/inception";
import { LPIPS_HEADS_PUBLISHED, lpipsHeadWeights, VGG16_PUBLISHED, vgg16Weights } from "../features/lpips";
import type { WantedWeights } from "./name-map";
import type { PublishedWeights } from "./published";

/** A network that stands on published weights. */
export interface PretrainedNetwork {
  name: string;
  /** What it is used for here. */
  use: string;
  /** Any of these files serves. */
  published: readonly PublishedWeights[];
  /** Files that are wanted besides. */
  alongside?: readonly PublishedWeights[];
  /** Its parameters and their published names. */
  wanted: () => WantedWeights;
}

const autoencoder = (name: AutoencoderName, use: string): PretrainedNetwork => ({ name, use, published: AUTOENCODERS[name].published, wanted: () => autoencoderWeights(AUTOENCODERS[name].config, name) });
const dinoNetwork = (name: DinoVariant, use: string): PretrainedNetwork => ({ name, use, published: DINO_PUBLISHED[name], wanted: () => dinoWeights(DINO_VARIANTS[name], name) });

/** All networks that weights are published for, in the order in which they are listed. */
export const PRETRAINED_NETWORKS: readonly PretrainedNetwork[] = [
  autoencoder("sd-vae", "encoder f8, 4 channels; its decoder finetuned for squared error"),
  autoencoder("sd-vae-ema", "the same encoder; the first finetuned decoder"),
  { ...autoencoder("va-vae", "encoder f16, 32 channels"), alongside: [VA_VAE_STATISTICS] },
  { name: "efficientnet-lite0", use: "perceptual loss, critic", published: [EFFICIENTNET_LITE_WEIGHTS.lite0], wanted: () => efficientNetLiteWeights("lite0") },
  { name: "efficientnet-lite2", use: "metrics", published: [EFFICIENTNET_LITE_WEIGHTS.lite2], wanted: () => efficientNetLiteWeights("lite2") },
  { name: "inception-fid", use: "FID, KID, Inception score", published: INCEPTION_PUBLISHED, wanted: inceptionWeights },
  { name: "vgg16", use: "LPIPS (with the heads)", published: VGG16_PUBLISHED, wanted: vgg16Weights },
  { name: "lpips-vgg16-heads", use: "LPIPS (with VGG16)", published: [LPIPS_HEADS_PUBLISHED], wanted: lpipsHeadWeights },
  dinoNetwork("dinov2-s", "perceptual loss, critic, metrics"),
  dinoNetwork("dinov2-b", "perceptual loss, critic, metrics"),
  dinoNetwork("dinov3-s", "perceptual loss, critic, metrics"),
  dinoNetwork("dinov3-b", "perceptual loss (the paper's), critic, metrics"),
];

/** A file that a network wants, in words: alone, the first or another of those of which any serves, or beside them. */
export interface WantedFile {
  file: PublishedWeights;
  role: "wanted" | "or" | "and";
}

/** All files of a network, in the order in which they are listed. */
export function wantedFiles({ published, alongside = [] }: PretrainedNetwork): WantedFile[] {
  return [...published.map((file, index): WantedFile => ({ file, role: index === 0 ? "wanted" : "or" })), ...alongside.map((file): WantedFile => ({ file, role: "and" }))];
}

/** Bytes of a network's parameters as float32; a published file may hold more, or half precision. */
export function parameterBytes(wanted: WantedWeights): number {
  return Object.values(wanted.dialects[0].parameters).reduce((sum, { shape }) => sum + 4 * shape.reduce((product, side) => product * side, 1), 0);
}
