import type { Encoder } from "../encoder";
import type { Model } from "../model";
import { decode } from "../sampler";
import type { BenchedDecoder } from "./decoder-bench";
import { lossNetworksOf } from "./independence";

export interface BenchedDecoderOptions extends Pick<BenchedDecoder, "generate"> {
  /** Of its rows. */
  name?: string;
}

/** An autoencoder's own decoder for decoderBench(), with the networks that its training used. */
export function autoencoderDecoder(encoder: Encoder, options: BenchedDecoderOptions = {}): BenchedDecoder {
  const { name = encoder.name, generate } = options;
  return { name, encoder, generate, lossNetworks: encoder.lossNetworks, decode: (latents) => encoder.decode(latents) };
}

/** A CrossFlow model as a decoder, F(z, r ~ 0, y), for decoderBench(), with the networks that its losses used. @param encoder in whose latents it was trained */
export function generatorDecoder(model: Model, encoder: Pick<Encoder, "encode">, options: BenchedDecoderOptions = {}): BenchedDecoder {
  const { name = "F(z, r ~ 0, y)", generate } = options;
  return { name, encoder, generate, lossNetworks: lossNetworksOf(model), decode: (latents, labels) => decode(model, latents, labels) };
}
