import type { TrainConfig } from "../config";

/** The methods that can be trained, CrossFlow first; the others are its baselines. */
export const METHOD_NAMES = ["crossflow", "latent-flow", "latent-meanflow", "pixel-meanflow", "gan", "decoder"] as const;
export type MethodName = (typeof METHOD_NAMES)[number];

// Their trajectories know no one-step samples at r = 0 and no boundary: two plain times, as published. Diagnostics look at F's image, which they do not have.
const FLOW: Partial<TrainConfig> = { velocity: "conditional", endShare: 0, boundaryShare: 0, diagnosticsEvery: 0 };

/** Options in which each method differs from CrossFlow's defaults; what is given to a training goes before them. Size, batch, optimiser and schedule are the same for all. */
export const METHOD_SETTINGS: Record<MethodName, Partial<TrainConfig>> = {
  crossflow: {},
  "latent-flow": { ...FLOW, losses: { "pixel-paper-l2": 1 }, diagonalShare: 1 },
  "latent-meanflow": { ...FLOW, losses: { "pixel-paper-adaptive": 1 }, diagonalShare: 0.5 },
  "pixel-meanflow": { ...FLOW, losses: { "pixel-paper-adaptive": 1 }, diagonalShare: 0.5, minimumTime: 0.05 },
  gan: { losses: { adversarial: 1 }, velocity: "conditional", diagonalShare: 0, endShare: 1, noiseShare: 1, boundaryShare: 0, criticLead: 10, adversarialRamp: 0, diagnosticsEvery: 0 },
  decoder: { losses: { pixel: 1 }, velocity: "conditional", diagonalShare: 1, endShare: 0, boundaryShare: 1, diagnosticsEvery: 0 },
};
