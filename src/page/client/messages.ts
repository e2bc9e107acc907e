import type { NetworkConfig } from "../../model/network";

/** What the page was made of; stands in it as JSON. */
export interface PageModel {
  title: string;
  network: NetworkConfig;
  classNames: string[];
  /** Number of weights. */
  parameters: number;
  /** Steps of the training, where they are known. */
  steps?: number;
}

/** The first message to the worker: what it computes with. */
export interface WorkerStart {
  network: NetworkConfig;
  /** A safetensors file. */
  weights: ArrayBuffer;
  /** tfjs' WebAssembly program with SIMD. */
  program: ArrayBuffer;
}

/** One image: F(mix of the noises of two seeds, r, label). */
export interface ImageRequest {
  label: number;
  seed: number;
  otherSeed: number;
  /** From the first noise (0) to the other (1). */
  blend: number;
  r: number;
  /** Deviation of the noise; 1 is what the network was trained for. */
  strength: number;
}

export interface WorkerRequest {
  id: number;
  images: ImageRequest[];
}

export type WorkerAnswer =
  | { kind: "ready"; milliseconds: number }
  | { kind: "failed"; message: string }
  /** Pixels [N, S, S, 4], 0 to 255. */
  | { kind: "images"; id: number; pixels: Uint8ClampedArray; milliseconds: number };
