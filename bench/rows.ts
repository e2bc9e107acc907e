import type { Precision } from "../src/model/engine/precision";
import type { WorkSpec } from "./workload";

/** Two ways in which a peer may do a training step; the faster one on the machine is what the engine is compared with. */
export const STEP_FORMS = [
  { variant: "", form: "one evaluation of F for value and derivative" },
  { variant: "two evaluations", form: "one evaluation of F for the value, another for value and derivative" },
] as const;

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
  /** Measured in this order: the first comparisons, the scalings, the rest. */
  first: Comparison[];
  scalings: Scaling[];
  rest: Comparison[];
}

/**
 * What is measured, what says most first, so that a benchmark that runs out of time has it.
 * @param quick leaves out what takes longest: compiling with torch.compile, all but one peer of the larger sizes
 */
export function planOf(quick: boolean, precision: Precision): Plan {
  const step = (size: WorkSpec["size"], losses: WorkSpec["losses"], more: Partial<WorkSpec> = {}): WorkSpec => ({ work: "step", size, losses, precision, ...more });
  const forward = (work: "sample" | "encode", size: WorkSpec["size"]): WorkSpec => ({ work, size, losses: "pixel", precision });
  const [pixel, all, sampler] = ["training step, pixel loss", "training step, all losses", "sampler, compiled"];
  // The autoencoder's encoder has one size and stays in float32.
  const encoder: Pick<Comparison, "title" | "spec"> = { title: "encoder, compiled", spec: { ...forward("encode", "tiny"), precision: "float32" } };
  const first: Comparison[] = [
    { title: pixel, spec: step("tiny", "pixel"), peers: ["PyTorch eager", "JAX jit", "PyTorch, jvp of the whole batch", "tfjs op by op", "tfjs on WebAssembly", ...(quick ? [] : (["torch.compile"] as const))] },
    { title: sampler, spec: forward("sample", "tiny"), peers: ["PyTorch eager", "JAX jit", "tfjs op by op", "tfjs on WebAssembly"] },
    { ...encoder, peers: ["PyTorch eager", "tfjs op by op"] },
    { title: all, spec: step("tiny", "all"), peers: ["PyTorch eager", "PyTorch, jvp of the whole batch", "tfjs op by op"] },
    { title: pixel, spec: step("small", "pixel"), peers: ["PyTorch eager"] },
    { title: sampler, spec: forward("sample", "B"), peers: ["PyTorch eager"] },
  ];
  const rest: Comparison[] = [
    { title: pixel, spec: step("B", "pixel"), peers: ["PyTorch eager"] },
    { title: all, spec: step("tiny", "all"), peers: ["JAX jit", "torch.compile"] },
    { title: sampler, spec: forward("sample", "small"), peers: ["PyTorch eager"] },
    { title: pixel, spec: step("small", "pixel"), peers: ["JAX jit", "torch.compile"] },
    { title: sampler, spec: forward("sample", "tiny"), peers: ["torch.compile"] },
    { ...encoder, peers: ["JAX jit", "torch.compile"] },
    { title: all, spec: step("small", "all"), peers: ["PyTorch eager", "JAX jit"] },
    { title: sampler, spec: forward("sample", "B"), peers: ["JAX jit"] },
    { title: pixel, spec: step("B", "pixel"), peers: ["JAX jit"] },
  ];
  const over = <Value>(values: readonly Value[], point: (value: Value) => { x: number; spec: WorkSpec }): Scaling["points"] => values.map(point);
  const compared: PeerName[] = quick ? [] : ["PyTorch eager"];
  const scalings: Scaling[] = [
    { over: "batch size", peers: compared, points: over([16, 32, 64, 128], (batchSize) => ({ x: batchSize, spec: step("tiny", "pixel", { batchSize }) })) },
    { over: "tokens", peers: compared, points: over([8, 16, 32], (latentSize) => ({ x: (latentSize / 2) ** 2 + 6, spec: step("tiny", "pixel", { batchSize: 8, latentSize, imageSize: 4 * latentSize }) })) },
    { over: "depth", peers: compared, points: over([2, 4, 8], (depth) => ({ x: depth, spec: step("tiny", "pixel", { depth }) })) },
  ];
  return { first, scalings, rest: quick ? [] : rest };
}

/** Images of one run. */
export const isForward = ({ work }: WorkSpec): boolean => work !== "step";
