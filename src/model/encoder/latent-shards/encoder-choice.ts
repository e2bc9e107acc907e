import { createAutoencoder, loadAutoencoder, type Autoencoder, type AutoencoderName } from "../autoencoder";
import { autoencoderWeights, type AutoencoderConfig } from "../autoencoder-plan";
import { loadWeights } from "../../weights/load";
import { loadEncoder } from "../vae";
import type { Encoder } from "../index";

/** Which encoder to load, as plain data, so that each worker process loads it by itself. */
export type EncoderChoice =
  | { kind: "pretrained"; name: AutoencoderName; imageSize: number; path?: string; latent?: "mean" | "sample"; seed?: number }
  | { kind: "autoencoder"; config: AutoencoderConfig; path: string; imageSize: number; mean: number[]; standardDeviation: number[] }
  | { kind: "small"; path: string };

/** Loads the encoder of a choice. @throws as the loaders do */
export async function loadEncoderChoice(choice: EncoderChoice): Promise<Encoder | Autoencoder> {
  if (choice.kind === "small") return loadEncoder(choice.path);
  if (choice.kind === "pretrained") {
    const { name, imageSize, path, latent, seed } = choice;
    return loadAutoencoder(name, { imageSize, path, ...(latent ? { latent } : {}), ...(seed === undefined ? {} : { seed }) });
  }
  const { config, path, imageSize, mean, standardDeviation } = choice;
  const { parameters, digest } = await loadWeights(autoencoderWeights(config), path);
  return createAutoencoder("autoencoder", config, parameters, digest, { imageSize, mean, standardDeviation });
}
