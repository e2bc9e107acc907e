import type { Layout } from "./layout";
import type { RecordedNode, Source } from "./record";

/** Operations of a fused program, in the order of the numbers that native/fused-elementwise.cc gives them. */
const OPERATIONS = ["Add", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Neg", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Abs", "Exp", "Sigmoid", "Copy", "RowSum"] as const;
type Operation = (typeof OPERATIONS)[number];

/** TensorFlow's operations that are one operation of a program each. */
const ELEMENTWISE: Record<string, Operation> = {
  Add: "Add", AddV2: "Add", Sub: "Sub", Mul: "Mul", RealDiv: "RealDiv", Maximum: "Maximum", Minimum: "Minimum", Neg: "Neg", Square: "Square", Sqrt: "Sqrt",
  Rsqrt: "Rsqrt", Reciprocal: "Reciprocal", Inv: "Reciprocal", Abs: "Abs", Exp: "Exp", Sigmoid: "Sigmoid", BroadcastTo: "Copy",
};
/** Those that may combine a row's numbers with one number a row. */
const WITH_ROWS: ReadonlySet<Operation> = new Set(["Add", "Sub", "Mul", "RealDiv", "Copy"]);
const UNARY: ReadonlySet<Operation> = new Set(["Neg", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Abs", "Exp", "Sigmoid", "Copy"]);

/** Sums over the last axis, as sums or means. */
const ROW_REDUCTIONS: ReadonlySet<string> = new Set(["Sum", "Mean"]);

/** Whether values count at each position of a program, or once a row. */
export type Space = "full" | "row";

/** The values that an operation of a recording reads: of a sum or a broadcast, not its axes. */
export function valueInputs(node: RecordedNode): Source[] {
  return node.operation === "AddN" ? node.inputs : node.inputs.slice(0, isUnary(node) ? 1 : 2);
}

const isUnary = ({ operation }: RecordedNode): boolean => ROW_REDUCTIONS.has(operation) || UNARY.has(ELEMENTWISE[operation]);

/** Whether an operation is of a kind that gives each position its number; and whether it sums, which a program may do over the last axis. */
export const isElementwise = ({ operation }: RecordedNode): boolean => operation in ELEMENTWISE || operation === "AddN";
export const isReduction = ({ operation }: RecordedNode): boolean => ROW_REDUCTIONS.has(operation);
/** Whether an operation takes values that count once a row beside full ones. */
export const takesRows = ({ operation }: RecordedNode): boolean => WITH_ROWS.has(ELEMENTWISE[operation]);

/** What an operand of a program's operation is. */
export type Operand =
  | { kind: "member"; node: number; space: Space }
  | { kind: "constant"; value: number }
  | { kind: "input"; source: Source; layout: Layout };

/** One operation of a recording as part of a program. */
export interface Member {
  /** Its index in the recording. */
  node: number;
  operation: string;
  space: Space;
  operands: Operand[];
  /** The shape of its result where others read it, undefined where it stays inside. */
  outputShape?: number[];
}

/** What a fused operation is given. */
export interface ElementwiseProgram {
  inputs: Source[];
  words: number[];
  constants: number[];
}

const LAYOUTS: Layout["kind"][] = ["full", "row", "scalar", "strided"];
const SPACES: Space[] = ["full", "row"];

/**
 * Writes a program for the operation CrossflowElementwise (native/fused-elementwise.cc tells its form).
 * @param members in the order in which they run
 * @param size values at full positions
 * @param length values in a row; 1 where nothing counts by row
 */
export function writeProgram(members: readonly Member[], size: number, length: number): ElementwiseProgram {
  const inputs: { source: Source; layout: Layout }[] = [];
  const constants: number[] = [];
  const indexIn = <T>(list: T[], item: T, same: (other: T) => boolean): number => {
    const found = list.findIndex(same);
    return found < 0 ? list.push(item) - 1 : found;
  };
  for (const operand of members.flatMap(({ operands }) => operands)) {
    if (operand.kind === "input") indexIn(inputs, operand, (other) => sameInput(other, operand));
    if (operand.kind === "constant") indexIn(constants, operand.value, (other) => Object.is(other, operand.value));
  }
  const means = members.filter(({ operation }) => operation === "Mean");
  if (means.length > 0) indexIn(constants, 1 / length, (other) => other === 1 / length);

  const outputs = members.filter(({ outputShape }) => outputShape !== undefined);
  const firstOutput = inputs.length + constants.length;
  const firstScratch = firstOutput + outputs.length;
  const places = scratchPlaces(members);
  const placeOf = (node: number): number => {
    const output = outputs.findIndex((member) => member.node === node);
    return output < 0 ? firstScratch + places.byNode.get(node)! : firstOutput + output;
  };
  const numberOf = (operand: Operand): number => {
    if (operand.kind === "member") return placeOf(operand.node);
    if (operand.kind === "constant") return inputs.length + constants.findIndex((other) => Object.is(other, operand.value));
    return inputs.findIndex((other) => sameInput(other, operand));
  };
  // A constant, a single value and a value a row take the space of what they meet.
  const spaceOf = (operand: Operand, space: Space): Space => (operand.kind === "member" ? operand.space : operand.kind === "input" && operand.layout.kind === "row" ? "row" : space);

  const instructions: number[][] = [];
  const emit = (operation: Operation, space: Space, result: number, a: [number, Space], b: [number, Space] = a): void =>
    void instructions.push([OPERATIONS.indexOf(operation), SPACES.indexOf(space), result, a[0], SPACES.indexOf(a[1]), b[0], SPACES.indexOf(b[1])]);
  for (const { node, operation, space, operands } of members) {
    const result = placeOf(node);
    const read = (operand: Operand): [number, Space] => [numberOf(operand), spaceOf(operand, space)];
    if (ROW_REDUCTIONS.has(operation)) {
      emit("RowSum", "row", result, [numberOf(operands[0]), "full"]);
      if (operation === "Mean") emit("Mul", "row", result, [result, "row"], [inputs.length + constants.indexOf(1 / length), "row"]);
    } else if (operation === "AddN") {
      emit(operands.length > 1 ? "Add" : "Copy", space, result, read(operands[0]), read(operands[operands.length > 1 ? 1 : 0]));
      for (const operand of operands.slice(2)) emit("Add", space, result, [result, space], read(operand));
    } else {
      emit(ELEMENTWISE[operation], space, result, read(operands[0]), read(operands[operands.length - 1]));
    }
  }

  return {
    inputs: inputs.map(({ source }) => source),
    constants,
    words: [
      size,
      length,
      places.count,
      inputs.length,
      ...inputs.flatMap(({ layout }) => [LAYOUTS.indexOf(layout.kind), ...(layout.kind === "strided" ? [layout.dimensions.length, ...layout.dimensions, ...layout.strides] : [])]),
      outputs.length,
      ...outputs.flatMap(({ space, outputShape }) => [SPACES.indexOf(space), outputShape!.length, ...outputShape!]),
      instructions.length,
      ...instructions.flat(),
    ],
  };
}

const sameInput = (a: { source: Source; layout: Layout }, b: { source: Source; layout: Layout }): boolean => JSON.stringify([a.source, a.layout]) === JSON.stringify([b.source, b.layout]);

/** A scratch block for each value that stays inside, free for others after the value's last reader. */
function scratchPlaces(members: readonly Member[]): { byNode: Map<number, number>; count: number } {
  const lastReader = new Map<number, number>();
  members.forEach(({ operands }, position) => operands.forEach((operand) => operand.kind === "member" && lastReader.set(operand.node, position)));
  const byNode = new Map<number, number>();
  const free: number[] = [];
  let count = 0;
  members.forEach(({ node, operands, outputShape }, position) => {
    if (!outputShape) byNode.set(node, free.pop() ?? count++);
    // Only now, so that no operation writes over what it reads.
    for (const read of new Set(operands.flatMap((operand) => (operand.kind === "member" ? [operand.node] : [])))) {
      const place = byNode.get(read);
      if (place !== undefined && lastReader.get(read) === position) free.push(place);
    }
  });
  return { byNode, count };
}
