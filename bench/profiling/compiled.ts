import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protobuf from "protobufjs";
import { operationFlops } from "./operation-flops";
import type { TimedOperation } from "./eager";

// The fields of tensorflow/core/protobuf/config.proto (RunMetadata), framework/step_stats.proto and graph.proto that are read here.
const SCHEMA = `
syntax = "proto3";
message Dim { int64 size = 1; }
message Shape { repeated Dim dim = 2; }
message AttrValue { oneof value { bytes s = 2; int64 i = 3; float f = 4; bool b = 5; int32 type = 6; } ListValue list = 1; }
message ListValue { repeated bytes s = 2; repeated int64 i = 3; }
message NodeDef { string name = 1; string op = 2; repeated string input = 3; string device = 4; map<string, AttrValue> attr = 5; }
message GraphDef { repeated NodeDef node = 1; }
message TensorDescription { int32 dtype = 1; Shape shape = 2; }
message NodeOutput { int32 slot = 1; TensorDescription tensor_description = 3; }
message NodeStats { string node_name = 1; int64 op_end_rel_micros = 4; repeated NodeOutput output = 7; string timeline_label = 8; uint32 thread_id = 10; int64 all_start_nanos = 13; int64 op_start_rel_nanos = 14; int64 op_end_rel_nanos = 15; int64 all_end_rel_nanos = 16; }
message DeviceStats { string device = 1; repeated NodeStats node_stats = 2; map<uint32, string> thread_names = 3; }
message StepStats { repeated DeviceStats dev_stats = 1; }
message RunMetadata { StepStats step_stats = 1; repeated GraphDef partition_graphs = 3; }
`;

interface NodeStats {
  node_name: string;
  output?: { slot?: number; tensor_description?: { shape?: { dim?: { size: number }[] } } }[];
  timeline_label?: string;
  thread_id?: number;
  all_start_nanos: number;
  op_start_rel_nanos?: number;
  op_end_rel_nanos?: number;
}

interface GraphNode {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, { s?: string; i?: number; b?: boolean; type?: number; list?: { s?: string[] } }>;
}

/** An operation in a run of a compiled graph, as TensorFlow's optimiser left it. */
export interface GraphOperation extends TimedOperation {
  /** The node's name in the graph. */
  node: string;
  thread: number;
  /** Milliseconds since the first operation's start. */
  start: number;
}

/** What TensorFlow tells of one run of a session. */
export interface GraphTrace {
  operations: GraphOperation[];
  /** From the first operation's start to the last one's end. */
  milliseconds: number;
  /** Of these, how long how many operations ran at once: [none, one, two, ...]. */
  concurrency: number[];
}

/**
 * Runs a call, in which one compiled program runs, with TensorFlow's own trace.
 * @param partOf names a node's part of the step
 * @returns one trace a session's run, in practice the last
 * @throws Error when the binding writes no trace (one that was compiled before the project could trace)
 */
export function traceRun(call: () => void, partOf: (node: string) => string = () => ""): GraphTrace {
  const folder = mkdtempSync(join(tmpdir(), "crossflow-trace-"));
  const file = join(folder, "run-metadata.pb");
  try {
    process.env.CROSSFLOW_RUN_METADATA = file;
    call();
    delete process.env.CROSSFLOW_RUN_METADATA;
    if (!existsSync(file)) throw new Error('TensorFlow wrote no trace: the binding is of an older set-up; "npx crossflow setup" compiles it anew.');
    return parseTrace(readFileSync(file), partOf);
  } finally {
    delete process.env.CROSSFLOW_RUN_METADATA;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Reads a RunMetadata message. */
export function parseTrace(bytes: Uint8Array, partOf: (node: string) => string): GraphTrace {
  const type = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType("RunMetadata");
  const { step_stats, partition_graphs = [] } = type.toObject(type.decode(bytes), { longs: Number, bytes: String }) as { step_stats?: { dev_stats?: { node_stats?: NodeStats[] }[] }; partition_graphs?: { node?: GraphNode[] }[] };
  const nodes = new Map(partition_graphs.flatMap(({ node = [] }) => node.map((each) => [each.name, each] as const)));
  const stats = (step_stats?.dev_stats ?? []).flatMap(({ node_stats = [] }) => node_stats);
  const shapes = new Map<string, number[]>();
  for (const { node_name, output = [] } of stats) {
    for (const { slot = 0, tensor_description } of output) shapes.set(`${node_name}:${slot}`, (tensor_description?.shape?.dim ?? []).map(({ size }) => size));
  }
  const first = Math.min(...stats.map(({ all_start_nanos, op_start_rel_nanos = 0 }) => all_start_nanos + op_start_rel_nanos));
  const operations = stats.map((each): GraphOperation => {
    const node = nodes.get(each.node_name);
    const operation = node?.op ?? /= ?(\w+)\(/.exec(each.timeline_label ?? "")?.[1] ?? "unknown";
    const inputs = (node?.input ?? []).filter((name) => !name.startsWith("^")).map((name) => shapes.get(name.includes(":") ? name : `${name}:0`) ?? []);
    const outputs = (each.output ?? []).map(({ slot = 0 }) => shapes.get(`${each.node_name}:${slot}`) ?? []);
    const attributes = Object.fromEntries(Object.entries(node?.attr ?? {}).map(([name, value]) => [name, value.b ?? value.i ?? value.s ?? value.list?.s]));
    const fused = attributes.fused_ops as string[] | undefined;
    const begin = each.all_start_nanos + (each.op_start_rel_nanos ?? 0);
    const end = each.all_start_nanos + (each.op_end_rel_nanos ?? 0);
    return {
      node: each.node_name,
      operation: fused ? `${operation} (${fused.map((name) => Buffer.from(name, "base64").toString()).join(" + ")})` : operation,
      part: partOf(each.node_name),
      inputs,
      outputs,
      thread: each.thread_id ?? 0,
      start: (begin - first) / 1e6,
      milliseconds: (end - begin) / 1e6,
      flops: operationFlops(operation, inputs, outputs, attributes),
    };
  });
  const last = Math.max(...operations.map(({ start, milliseconds }) => start + milliseconds));
  return { operations, milliseconds: last, concurrency: concurrencyOf(operations, last) };
}

/** How long how many operations ran at once, in milliseconds. */
function concurrencyOf(operations: readonly GraphOperation[], end: number): number[] {
  const changes = operations.flatMap(({ start, milliseconds }) => [
    { time: start, by: 1 },
    { time: start + milliseconds, by: -1 },
  ]);
  changes.sort((a, b) => a.time - b.time || a.by - b.by);
  const levels: number[] = [];
  let running = 0;
  let since = 0;
  for (const { time, by } of changes) {
    levels[running] = (levels[running] ?? 0) + time - since;
    [running, since] = [running + by, time];
  }
  levels[running] = (levels[running] ?? 0) + Math.max(end - since, 0);
  return Array.from(levels, (time) => time ?? 0);
}
