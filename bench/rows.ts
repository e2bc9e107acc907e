import type { Precision, WorkSpec } from "./workload";

/** A program against which the engine is measured. */
export const PEERS = {
  "PyTorch eager": { program: "pytorch", variant: "" },
  "torch.compile": { program: "pytorch", variant: "compile" },
  "JAX jit": { program: "jax", variant: "" },
  "PyTorch, jvp of the whole batch": { program: "pytorch", variant: "whole batch" },
  "tfjs op by op": { program: "tensorflow", variant: "eager" },
  "tfjs on WebAssembly": { program: "wasm", variant: "eager" },
} as const satisfies Record<string, { program: "pytorch" | "jax" | "tensorflow" | "wasm"; variant: string }>;

export type PeerName = keyof typeof PEERS;

/** One piece of work and the peers that it is measured against. */
export interface Comparison {
  title: string;
  spec: WorkSpec;
  peers: PeerName[];
}

/** Time against one dimension of the work. */
export interface Scaling {
  over: "batch size" | "tokens" | "depth";
  peers: PeerName[];
  /** Values on the axis and the work at each. */
  points: { x: number; spec: WorkSpec }[];
}

export interface Plan {
  comparisons: Comparison[];
  scalings: Scaling[];
}

/** What is measured. @param quick leaves out what takes longest: compiling with torch.compile, all but one peer of the larger sizes */
export function planOf(quick: boolean, precision: Precision): Plan {
  const step = (size: WorkSpec["size"], losses: WorkSpec["losses"], more: Partial<WorkSpec> = {}): WorkSpec => ({ work: "step", size, losses, precision, ...more });
  const forward = (work: "sample" | "encode", size: WorkSpec["size"]): WorkSpec => ({ work, size, losses: "pixel", precision });
  const all: PeerName[] = ["PyTorch eager", "torch.compile", "JAX jit"];
  const some = (...names: PeerName[]): PeerName[] => (quick ? names : all);
  const comparisons: Comparison[] = [
    { title: "training step, pixel loss", spec: step("tiny", "pixel"), peers: [...all, "PyTorch, jvp of the whole batch", "tfjs op by op", "tfjs on WebAssembly"] },
    { title: "training step, all losses", spec: step("tiny", "all"), peers: [...some("PyTorch eager", "JAX jit"), "PyTorch, jvp of the whole batch", "tfjs op by op"] },
    { title: "training step, pixel loss", spec: step("small", "pixel"), peers: some("PyTorch eager", "JAX jit") },
    { title: "training step, all losses", spec: step("small", "all"), peers: some("PyTorch eager") },
    { title: "sampler, compiled", spec: forward("sample", "tiny"), peers: [...some("PyTorch eager", "JAX jit"), "tfjs op by op", ...(quick ? [] : (["tfjs on WebAssembly"] as const))] },
    { title: "sampler, compiled", spec: forward("sample", "small"), peers: some("PyTorch eager") },
    // The autoencoder's encoder has one size and stays in float32.
    { title: "encoder, compiled", spec: { ...forward("encode", "tiny"), precision: "float32" }, peers: [...some("PyTorch eager", "JAX jit"), "tfjs op by op"] },
    { title: "sampler, compiled", spec: forward("sample", "B"), peers: some("PyTorch eager") },
    ...(quick ? [] : [{ title: "training step, pixel loss", spec: step("B", "pixel"), peers: ["PyTorch eager", "JAX jit"] satisfies PeerName[] }]),
  ];
  const over = <Value>(values: readonly Value[], point: (value: Value) => { x: number; spec: WorkSpec }): Scaling["points"] => values.map(point);
  const compared: PeerName[] = quick ? [] : ["PyTorch eager"];
  const scalings: Scaling[] = [
    { over: "batch size", peers: compared, points: over([16, 32, 64, 128], (batchSize) => ({ x: batchSize, spec: step("tiny", "pixel", { batchSize }) })) },
    { over: "tokens", peers: compared, points: over([8, 16, 32], (latentSize) => ({ x: (latentSize / 2) ** 2 + 6, spec: step("tiny", "pixel", { batchSize: 8, latentSize, imageSize: 4 * latentSize }) })) },
    { over: "depth", peers: compared, points: over([2, 4, 8, 16], (depth) => ({ x: depth, spec: step("tiny", "pixel", { depth }) })) },
  ];
  return { comparisons, scalings };
}

/** Images of one run. */
export const isForward = ({ work }: WorkSpec): boolean => work !== "step";
