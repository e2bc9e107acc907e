import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import protobuf from "protobufjs";
import type { Recording, Source } from "./record";

// The fields of tensorflow/core/framework/{graph,node_def,attr_value,tensor,tensor_shape}.proto and protobuf/{meta_graph,saved_model}.proto that a recorded graph uses.
const SCHEMA = `
syntax = "proto3";
message Dim { int64 size = 1; }
message Shape { repeated Dim dim = 2; }
message TensorValue { int32 dtype = 1; Shape tensor_shape = 2; bytes tensor_content = 4; }
message ListValue { repeated bytes s = 2; repeated int64 i = 3; repeated float f = 4; repeated bool b = 5; repeated int32 type = 6; }
message AttrValue { oneof value { ListValue list = 1; bytes s = 2; int64 i = 3; float f = 4; bool b = 5; int32 type = 6; Shape shape = 7; TensorValue tensor = 8; } }
message NodeDef { string name = 1; string op = 2; repeated string input = 3; map<string, AttrValue> attr = 5; }
message VersionDef { int32 producer = 1; }
message GraphDef { repeated NodeDef node = 1; VersionDef versions = 4; }
message MetaInfo { repeated string tags = 4; string tensorflow_version = 5; }
message MetaGraph { MetaInfo meta_info_def = 1; GraphDef graph_def = 2; }
message SavedModel { int64 saved_model_schema_version = 1; repeated MetaGraph meta_graphs = 2; }
`;
const GRAPH_PRODUCER = 1882; // the GraphDef version of TensorFlow 2.13 and later readers
const ATTRIBUTE_FIELDS = ["s", "i", "f", "b", "type", "shape"] as const; // TF_AttrType, in its order

type Attribute = Record<string, unknown>;
interface Node {
  name: string;
  op: string;
  input: string[];
  attr: Record<string, Attribute>;
}

/** Shape and element type of a value that lives outside the graph's nodes. */
export interface ValueType {
  shape: number[];
  dtype: number;
}

/** The names by which a program feeds, fetches, reads and writes its graph. */
export interface GraphNames {
  inputs: Record<string, string>;
  outputs: Record<string, string>;
  /** Per state slot: where its value is read, and the placeholder from which it is written. */
  states: { read: string; feed: string }[];
  /** Fetching this writes all state slots from their placeholders. */
  write: string;
}

const shapeValue = (shape: number[]): Attribute => ({ dim: shape.map((size) => ({ size })) });

function attributeValue(type: number, value: unknown): Attribute {
  const field = ATTRIBUTE_FIELDS[type];
  if (!field) throw new Error(`attribute type ${type} can not be written to a graph`);
  const encode = (item: unknown): unknown => (field === "s" ? Buffer.from(String(item)) : item);
  if (field === "shape") return { shape: shapeValue(value as number[]) };
  return Array.isArray(value) ? { list: { [field]: value.map(encode) } } : { [field]: encode(value) };
}

const dtypeAttribute = (dtype: number): Record<string, Attribute> => ({ dtype: { type: dtype } });

/**
 * Writes a recording as a TensorFlow SavedModel. Variables and captured tensors become resource variables, so that their values stay in the session.
 * @param recording the operations of one call
 * @param inputs shape and element type of each input, by name
 * @param outputTypes shape and element type of each output, by name
 * @param states shape and element type of each state slot: first the recording's variables, then its captured tensors
 * @returns a new folder in the system's temporary folder (the caller removes it) and the names in the graph
 */
export function writeGraph(
  recording: Recording,
  inputs: Record<string, ValueType>,
  outputTypes: Record<string, ValueType>,
  states: ValueType[],
): { directory: string; names: GraphNames } {
  const nodes: Node[] = [];
  const add = (name: string, op: string, input: string[] = [], attr: Record<string, Attribute> = {}): string => {
    nodes.push({ name, op, input, attr });
    return name;
  };
  const variableCount = recording.variables.length;
  const nameOf = (index: number): string => `n${recording.nodes[index].name ?? index}`;
  const reference = (source: Source): string => {
    if (source.kind === "node") return `${nameOf(source.node)}:${source.output}`;
    if (source.kind === "input") return `input_${source.name}`;
    return `state${source.kind === "variable" ? source.index : variableCount + source.index}/read`;
  };

  for (const [name, { shape, dtype }] of Object.entries(inputs)) add(`input_${name}`, "Placeholder", [], { ...dtypeAttribute(dtype), shape: { shape: shapeValue(shape) } });
  const writes = states.map(({ shape, dtype }, index) => {
    const handle = add(`state${index}`, "VarHandleOp", [], { ...dtypeAttribute(dtype), shape: { shape: shapeValue(shape) }, shared_name: { s: Buffer.from(`state${index}`) } });
    add(`state${index}/read`, "ReadVariableOp", [handle], dtypeAttribute(dtype));
    const feed = add(`state${index}/feed`, "Placeholder", [], { ...dtypeAttribute(dtype), shape: { shape: shapeValue(shape) } });
    return add(`state${index}/write`, "AssignVariableOp", [handle, feed], dtypeAttribute(dtype));
  });
  recording.nodes.forEach((node, index) => {
    if (node.constant) {
      const { dtype, shape, bytes } = node.constant;
      add(nameOf(index), "Const", [], { ...dtypeAttribute(dtype), value: { tensor: { dtype, tensor_shape: shapeValue(shape), tensor_content: bytes } } });
    } else {
      const waits = (node.after ?? []).map((source) => `^${reference(source).replace(/:\d+$/, "")}`);
      add(nameOf(index), node.operation, [...node.inputs.map(reference), ...waits], Object.fromEntries(node.attributes.map(({ name, type, value }) => [name, attributeValue(type, value)])));
    }
  });
  // Each slot is read before it is assigned, whatever order the executor would choose.
  const assigned = [...recording.assignments].map(([index, source]) =>
    add(`state${index}/assign`, "AssignVariableOp", [`state${index}`, reference(source), `^state${index}/read`], dtypeAttribute(states[index].dtype)),
  );
  const one = { ...dtypeAttribute(3), value: { tensor: { dtype: 3, tensor_shape: shapeValue([]), tensor_content: Buffer.from(new Int32Array([1]).buffer) } } };
  add("write", "Const", writes.map((write) => `^${write}`), one);
  add("done", "Const", assigned.map((assign) => `^${assign}`), one);
  const outputs: Record<string, string> = { "": "done:0" };
  Object.entries(recording.outputs).forEach(([name, source], index) => {
    add(`output${index}`, "Identity", [reference(source)], { T: { type: outputTypes[name].dtype } });
    outputs[name] = `output${index}:0`;
  });

  const SavedModel = protobuf.parse(SCHEMA, { keepCase: true }).root.lookupType("SavedModel");
  const bytes = SavedModel.encode(
    SavedModel.fromObject({ saved_model_schema_version: 1, meta_graphs: [{ meta_info_def: { tags: ["serve"], tensorflow_version: "2.21.0" }, graph_def: { node: nodes, versions: { producer: GRAPH_PRODUCER } } }] }),
  ).finish();
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "crossflow-graph-"));
  fs.writeFileSync(path.join(directory, "saved_model.pb"), bytes);
  return {
    directory,
    names: {
      inputs: Object.fromEntries(Object.keys(inputs).map((name) => [name, `input_${name}:0`])),
      outputs,
      states: states.map((_, index) => ({ read: `state${index}/read:0`, feed: `state${index}/feed:0` })),
      write: "write:0",
    },
  };
}
