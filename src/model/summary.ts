import { headBlockNames, headChannels, hiddenWidth, parameterShapes, patchesPerSide, prefixTokens, type NetworkConfig } from "./network";
import { takesMuon } from "./training-state";

/** One row of a network's summary: a layer, or a group of equal ones. */
export interface LayerSummary {
  layer: string;
  /** Shape of what the layer gives for one image. */
  output: number[];
  parameters: number;
  /** Floating-point operations of one evaluation for one image (a multiplication and an addition count two). */
  flops: number;
  /** Numbers that the layer keeps for the backward pass, for one image. */
  activations: number;
}

export interface NetworkSummary {
  layers: LayerSummary[];
  parameters: number;
  /** Of one evaluation F(z_t, r, y) for one image. */
  flops: number;
  /** Of one training step for one image: forward, backward (twice the forward), and the tangent (once the forward) of the off-diagonal share. */
  trainingFlops: number;
  /** Weights alone, at 4 bytes a number. */
  weightBytes: number;
  /** What a training holds of the network from step to step, by the groups of its state; Muon has no second moments. The gradients of a step add weightBytes. */
  stateBytes: { parameters: number; average: number; first: number; second: number };
  /** Activations that the backward pass needs, for one image: the least that a step holds. Run operation by operation it holds every intermediate result, about five times as much. */
  activationBytesPerImage: number;
}

export interface SummaryOptions {
  /** Share of the batch with r < t. */
  offDiagonalShare: number;
  /** The training's optimiser: "muon" or "adamw". */
  optimizer: string;
}

/** As trainings do by default. */
export const SUMMARY_DEFAULTS: SummaryOptions = { offDiagonalShare: 0.5, optimizer: "muon" };

const BYTES = 4;

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/**
 * What a network consists of and costs, computed from its shapes alone: nothing is allocated, so that XL can be looked at on a laptop.
 */
export function summarize(config: NetworkConfig, options: Partial<SummaryOptions> = {}): NetworkSummary {
  const { offDiagonalShare, optimizer } = { ...SUMMARY_DEFAULTS, ...options };
  const shapes = parameterShapes(config);
  const { width, depth, heads, imageSize, tokensPerPatch = 1 } = config;
  const side = patchesPerSide(config);
  const ofPatches = side * side * tokensPerPatch;
  const tokens = prefixTokens(config) + ofPatches;
  const hidden = hiddenWidth(width);
  const parametersOf = (prefix: string): number =>
    Object.entries(shapes)
      .filter(([name]) => name === prefix || name.startsWith(`${prefix}.`))
      .reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
  const matrixFlops = (prefix: string, rows: number): number =>
    Object.entries(shapes)
      .filter(([name, { shape }]) => name.startsWith(`${prefix}.`) && shape.length === 2)
      .reduce((sum, [, { shape }]) => sum + 2 * rows * shape[0] * shape[1], 0);
  const layers: LayerSummary[] = [
    { layer: "patchEmbedding", output: [ofPatches, width], parameters: parametersOf("patchEmbedding"), flops: matrixFlops("patchEmbedding", side * side), activations: ofPatches * width },
    { layer: "positionEmbedding", output: [tokens, width], parameters: parametersOf("positionEmbedding"), flops: tokens * width, activations: 0 },
    { layer: "classEmbedding", output: [width], parameters: parametersOf("classEmbedding"), flops: 0, activations: width },
    { layer: "timeEmbedding", output: [width], parameters: parametersOf("timeEmbedding"), flops: matrixFlops("timeEmbedding", 1), activations: 3 * width },
  ];
  const attentionFlops = 2 * 2 * tokens * tokens * width;
  for (let block = 0; block < depth; block++) {
    layers.push({ layer: `blocks.${block}.attention`, output: [tokens, width], parameters: parametersOf(`blocks.${block}.attention`), flops: matrixFlops(`blocks.${block}.attention`, tokens) + attentionFlops, activations: tokens * width * 11 + 2 * heads * tokens * tokens });
    layers.push({ layer: `blocks.${block}.mlp`, output: [tokens, width], parameters: parametersOf(`blocks.${block}.mlp`), flops: matrixFlops(`blocks.${block}.mlp`, tokens), activations: tokens * (4 * width + 5 * hidden) });
  }
  layers.push({ layer: "finalNorm", output: [ofPatches, width], parameters: parametersOf("finalNorm"), flops: 4 * ofPatches * width, activations: 2 * ofPatches * width });
  if (config.head === "linear") layers.push({ layer: "head", output: [imageSize, imageSize, 3], parameters: parametersOf("head"), flops: matrixFlops("head", side * side), activations: imageSize * imageSize * 3 });
  else layers.push(...convolutionHeadLayers(config, shapes, side, parametersOf));
  const sum = (key: "parameters" | "flops" | "activations"): number => layers.reduce((total, layer) => total + layer[key], 0);
  const parameters = sum("parameters");
  const flops = sum("flops");
  const withSecondMoment = Object.entries(shapes).filter(([name, { shape }]) => optimizer === "adamw" || !takesMuon(name, shape));
  const second = BYTES * withSecondMoment.reduce((total, [, { shape }]) => total + sizeOf(shape), 0);
  const weightBytes = BYTES * parameters;
  return {
    layers,
    parameters,
    flops,
    trainingFlops: Math.round(flops * (3 + offDiagonalShare)),
    weightBytes,
    stateBytes: { parameters: weightBytes, average: weightBytes, first: weightBytes, second },
    activationBytesPerImage: BYTES * sum("activations"),
  };
}

function convolutionHeadLayers(config: NetworkConfig, shapes: ReturnType<typeof parameterShapes>, side: number, parametersOf: (prefix: string) => number): LayerSummary[] {
  const channels = headChannels(config);
  const convolutionFlops = (name: string, resolution: number): number => 2 * resolution * resolution * sizeOf(shapes[`${name}.weight`]?.shape ?? [0]);
  const first = 2 * config.latentSize;
  const layers: LayerSummary[] = [{ layer: "head.tokens", output: [first, first, channels[0]], parameters: parametersOf("head.tokens"), flops: 2 * side * side * sizeOf(shapes["head.tokens.weight"].shape), activations: first * first * channels[0] }];
  channels.forEach((count, stage) => {
    const resolution = first * 2 ** stage;
    const name = `head.stages.${stage}`;
    const blocks = headBlockNames(stage, config);
    const flops = blocks.reduce((sum, block) => sum + convolutionFlops(`${block}.first`, resolution) + convolutionFlops(`${block}.second`, resolution), convolutionFlops(`${name}.enter`, resolution / 2));
    layers.push({ layer: name, output: [resolution, resolution, count], parameters: parametersOf(name), flops, activations: resolution * resolution * count * 7 * blocks.length });
  });
  const last = config.imageSize;
  layers.push({ layer: "head.image", output: [last, last, 3], parameters: parametersOf("head.image"), flops: convolutionFlops("head.image", last), activations: last * last * channels[channels.length - 1] * 2 });
  return layers;
}

export interface MemoryPlanOptions {
  /** Images a step. */
  batchSize: number;
  /** Each block, and each stage of a convolutional head, keeps its input alone and is computed again in the backward pass, one at a time: the training's option `recompute`. */
  recompute: boolean;
  /** The training's optimiser: "muon" or "adamw". */
  optimizer: string;
}

export const MEMORY_PLAN_DEFAULTS: MemoryPlanOptions = { batchSize: 64, recompute: false, optimizer: SUMMARY_DEFAULTS.optimizer };

/** What a training step with the pixel loss needs in memory, bytes. */
export interface MemoryPlan {
  parameters: number;
  gradients: number;
  /** Moments. */
  optimizer: number;
  average: number;
  /** What the backward pass needs of the forward pass. The Jacobian-vector product comes before, holds the values and tangents of one layer at a time, and needs less. */
  activations: number;
  total: number;
}

/**
 * What a training step needs in memory, computed from shapes alone: a lower bound, to which come the engine's own memory, the intermediate results
 * that it has not freed yet, and with those losses the perceptual network and the critic.
 */
export function memoryPlan(config: NetworkConfig, options: Partial<MemoryPlanOptions> = {}): MemoryPlan {
  const { batchSize, recompute, optimizer } = { ...MEMORY_PLAN_DEFAULTS, ...options };
  const { layers, weightBytes, stateBytes, activationBytesPerImage } = summarize(config, { optimizer });
  const parts = recomputedParts(layers);
  const saved = BYTES * parts.reduce((sum, { activations, input }) => sum + activations - input, 0);
  const largest = BYTES * Math.max(...parts.map(({ activations }) => activations));
  const perImage = recompute ? activationBytesPerImage - saved + largest : activationBytesPerImage;
  const plan = { parameters: weightBytes, gradients: weightBytes, optimizer: stateBytes.first + stateBytes.second, average: stateBytes.average, activations: batchSize * perImage };
  return { ...plan, total: Object.values(plan).reduce((sum, bytes) => sum + bytes, 0) };
}

/** What is computed again as one, and the numbers of its input: a block's attention and SwiGLU together, a stage of a convolutional head. */
function recomputedParts(layers: readonly LayerSummary[]): { activations: number; input: number }[] {
  const parts = new Map<string, { activations: number; input: number }>();
  layers.forEach(({ layer, activations }, index) => {
    const name = /^(blocks\.\d+|head\.stages\.\d+)/.exec(layer)?.[0];
    if (name === undefined) return;
    const known = parts.get(name);
    // A block's layers give what they are given, tokens; a stage takes what the layer before it gives.
    parts.set(name, { activations: activations + (known?.activations ?? 0), input: known?.input ?? sizeOf(name.startsWith("blocks") ? layers[index].output : layers[index - 1].output) });
  });
  return [...parts.values()];
}
