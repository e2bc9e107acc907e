import type { Method } from "./method";

/**
 * F trained as a decoder only, F(z, r ~ 0, y), on the clean latents of the data: every pair of times lies at r = t ~ 0. It generates nothing by itself; as the `decoder` of
 * generateImages() it takes the place of the autoencoder's behind a generator of latents.
 */
export const decoder: Method = { space: "latent" };
