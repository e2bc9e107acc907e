import type { NativeBackend, OperationAttribute } from "./backend";
import { isElementwise, isReduction, takesRows, valueInputs, writeProgram, type Member, type Operand, type Space } from "./elementwise-program";
import { isRowOf, sizeOf, strided, type Layout } from "./layout";
import type { RecordedNode, Recording, Source } from "./record";
import { usedNodes, withoutRepetition } from "./repetition";

/** The operation of native/fused-elementwise.cc. */
export const FUSED_OPERATION = "CrossflowElementwise";

const FLOAT32 = 1;
const [INTEGERS, FLOATS] = [1, 2]; // kinds of attributes, TensorFlow's TF_AttrType
/** Limits of one program: more would need scratch blocks that no cache holds. */
const [MAXIMUM_MEMBERS, MAXIMUM_INPUTS] = [64, 24];
/** The longest row that is summed within a block. */
const MAXIMUM_LENGTH = 4096;

/** Operations that become a program even alone: TensorFlow's own take several times as long. */
const WORTH_ALONE: ReadonlySet<string> = new Set(["Sigmoid"]);

/** Operations joined into one program. */
interface Group {
  size: number;
  /** Values in a row, once a sum over the last axis is part of it. */
  length?: number;
  spaces: Map<number, Space>;
  /** The places of its first and last operations in the recording. */
  first: number;
  last: number;
}

const able = new WeakMap<NativeBackend, boolean>();

/** Whether the engine has the fused operation: where the binding was compiled here, and on the CPU alone, for which it is written. */
export function canFuse(backend: NativeBackend): boolean {
  const known = able.get(backend);
  if (known !== undefined) return known;
  let found = false;
  if (!backend.isUsingGpuDevice) {
    const { words, constants } = writeProgram([{ node: 0, operation: "BroadcastTo", space: "full", operands: [{ kind: "constant", value: 1 }], outputShape: [1] }], 1, 1);
    try {
      for (const { id } of backend.binding.executeOp(FUSED_OPERATION, attributesOf(0, 1, words, constants), [], 1)) backend.binding.deleteTensor(id);
      found = true;
    } catch {
      // A binding that was compiled before the operation came to be: all works without it.
    }
  }
  able.set(backend, found);
  return found;
}

const attributesOf = (inputs: number, outputs: number, words: number[], constants: number[]): OperationAttribute[] => [
  { name: "N", type: INTEGERS, value: inputs },
  { name: "M", type: INTEGERS, value: outputs },
  { name: "program", type: INTEGERS, value: words },
  { name: "constants", type: FLOATS, value: constants },
];

/** What the recording needs: nodes whose results are read, members of each group, and who reads a result (undefined: what is no group). */
interface Demand {
  nodes: Set<number>;
  members: Map<Group, Set<number>>;
  readers: Map<number, Set<Group | undefined>>;
}

// What counts where a result may be computed again in place of being kept, in passes over a tensor that no cache holds: reading is 1.
const COST_OF_WRITING = 2;
const COST_OF_OPERATION = 0.25;
const COST_OF_COSTLY = 1;
const COSTLY: ReadonlySet<string> = new Set(["Sigmoid", "Exp", "RealDiv", "Sqrt", "Rsqrt", "Sum", "Mean"]);

/**
 * Joins neighbouring elementwise operations of a recording, with the sums over the last axis between them (as in norms), into programs that pass over memory
 * once. What nobody reads is left out, and what is computed twice of the same values is computed once.
 * @param recording of which each node tells the shapes of its results
 * @param shapeOf shape of what comes from outside of the recording's nodes
 * @returns a recording with the same inputs, variables, outputs and assignments
 */
export function fuseElementwise(recording: Recording, shapeOf: (source: Source) => readonly number[]): Recording {
  const shared = withoutRepetition(recording);
  const graph = new Graph(shared, shapeOf);
  for (const node of usedNodes(shared)) graph.join(node);
  graph.computeAgain();
  return graph.written();
}

/** A recording whose operations are being grouped. */
class Graph {
  private readonly nodes: RecordedNode[];
  private readonly inputsOf: number[][];
  /** What a program that holds an operation waits for; reshaping takes no part in it. */
  private readonly originsOf: number[][];
  private readonly groups: (Group | undefined)[] = [];
  /** The groups there are. */
  private readonly present = new Set<Group>();
  private readonly visited: Int32Array;
  private readonly inside: Int32Array;
  private readonly waiting: Int32Array;
  private visit = 0;
  private readonly uniformValues: (number | undefined)[];

  constructor(
    private readonly recording: Recording,
    private readonly shapeOutside: (source: Source) => readonly number[],
  ) {
    this.nodes = recording.nodes;
    this.inputsOf = this.nodes.map(({ inputs, after = [] }) => [...inputs, ...after].flatMap((source) => (source.kind === "node" ? [source.node] : [])));
    this.originsOf = this.nodes.map((node, index) =>
      this.canBeGrouped(index)
        ? valueInputs(node).flatMap((source) => {
            const origin = this.unwrapped(source);
            return origin.kind === "node" ? [origin.node] : [];
          })
        : this.inputsOf[index],
    );
    [this.visited, this.inside, this.waiting] = Array.from({ length: 3 }, () => new Int32Array(this.nodes.length));
    this.uniformValues = this.nodes.map(uniformValue);
  }

  /** Puts an operation into a group: that of its inputs where it can, all of theirs if it can, else one of its own. */
  join(node: number): void {
    if (!this.canBeGrouped(node)) return;
    const reduction = isReduction(this.nodes[node]);
    const read = valueInputs(this.nodes[node]).map((source) => this.unwrapped(source));
    const candidates = [...new Set(read.flatMap((source) => (source.kind === "node" && this.groups[source.node] ? [this.groups[source.node]!] : [])))];
    const inputShape = this.shapeOf(valueInputs(this.nodes[node])[0]);
    const own: Group = reduction
      ? { size: sizeOf(inputShape), length: inputShape[inputShape.length - 1], spaces: new Map([[node, "row"]]), first: node, last: node }
      : { size: sizeOf(this.shapeOf({ kind: "node", node, output: 0 })), spaces: new Map([[node, "full"]]), first: node, last: node };
    // The node's own group first, then each group of its inputs that the whole can be merged with.
    let group = own;
    for (const candidate of candidates) {
      const merged = this.merged(group, candidate, group === own ? node : undefined);
      if (merged) group = merged;
    }
    for (const member of group.spaces.keys()) this.groups[member] = group;
    for (const candidate of candidates) if (group.spaces.has(candidate.first)) this.present.delete(candidate);
    this.present.add(group);
  }

  /** The two groups as one, or undefined where that would not be a program. @param rowNode a node that may change from full to row with it */
  private merged(group: Group, other: Group, rowNode?: number): Group | undefined {
    const spaces = new Map(group.spaces);
    let { size, length } = group;
    if (size !== other.size) {
      const asRow = rowNode !== undefined && other.length !== undefined && other.length > 1 && group.length === undefined && size === other.size / other.length;
      if (!asRow) return undefined;
      spaces.set(rowNode, "row");
      size = other.size;
    }
    if (length !== undefined && other.length !== undefined && length !== other.length) return undefined;
    length ??= other.length;
    for (const [member, space] of other.spaces) spaces.set(member, space);
    const merged = { size, length, spaces, first: Math.min(group.first, other.first), last: Math.max(group.last, other.last) };
    if (spaces.size > MAXIMUM_MEMBERS || !this.isProgram(merged) || this.wouldBeCyclic(merged)) return undefined;
    return merged;
  }

  private canBeGrouped(node: number): boolean {
    const { results, after, inputs, constant } = this.nodes[node];
    if (constant || after || results.length !== 1 || results[0].dtype !== FLOAT32 || sizeOf(results[0].shape) === 0) return false;
    if (isElementwise(this.nodes[node])) return true;
    if (!isReduction(this.nodes[node])) return false;
    const shape = this.shapeOf(inputs[0]);
    const axes = inputs[1]?.kind === "node" ? this.nodes[inputs[1].node].constant : undefined;
    if (!axes || axes.bytes.length !== 4 || shape.length === 0) return false;
    const axis = new DataView(axes.bytes.buffer, axes.bytes.byteOffset).getInt32(0, true);
    const length = shape[shape.length - 1];
    return (axis === shape.length - 1 || axis === -1) && length > 1 && length <= MAXIMUM_LENGTH;
  }

  private shapeOf(source: Source): readonly number[] {
    return source.kind === "node" ? this.nodes[source.node].results[source.output].shape : this.shapeOutside(source);
  }

  /** Where a value's numbers come from, in their order: reshaping changes nothing of that, nor does a cast to the type that is there. */
  private unwrapped(source: Source): Source {
    let found = source;
    for (;;) {
      if (found.kind !== "node") return found;
      const { operation, after, inputs, attributes } = this.nodes[found.node];
      const sameType = operation === "Cast" && attributes.every(({ name, value }) => name === "Truncate" || value === FLOAT32);
      if (after || !(operation === "Reshape" || operation === "Identity" || sameType)) return found;
      found = inputs[0];
    }
  }

  /** What each operation of a group reads, or undefined where the group can not be computed in one pass. */
  private membersOf(group: Group): Member[] | undefined {
    const members: Member[] = [];
    for (const node of [...group.spaces.keys()].sort((a, b) => a - b)) {
      const space = group.spaces.get(node)!;
      const operands = valueInputs(this.nodes[node]).map((source) => this.operandOf(node, source, group));
      if (operands.includes(undefined)) return undefined;
      members.push({ node, operation: this.nodes[node].operation, space, operands: operands as Operand[] });
    }
    return members;
  }

  private isProgram(group: Group): boolean {
    const members = this.membersOf(group);
    if (!members) return false;
    const inputs = new Set(members.flatMap(({ operands }) => operands.flatMap((operand) => (operand.kind === "input" ? [JSON.stringify(operand)] : []))));
    return inputs.size <= MAXIMUM_INPUTS;
  }

  private operandOf(node: number, source: Source, group: Group): Operand | undefined {
    const reduces = isReduction(this.nodes[node]);
    const space = reduces ? "full" : group.spaces.get(node)!;
    const shape = this.shapeOf(source);
    const target = reduces ? shape : this.nodes[node].results[0].shape;
    const [count, wanted] = [sizeOf(shape), sizeOf(target)];
    const origin = this.unwrapped(source);
    const inside = origin.kind === "node" ? group.spaces.get(origin.node) : undefined;
    if (inside !== undefined) {
      if (inside === space && count === wanted) return { kind: "member", node: (origin as { node: number }).node, space };
      const repeatsInRow = inside === "row" && space === "full" && takesRows(this.nodes[node]) && target[target.length - 1] === group.length && isRowOf(shape, target);
      return repeatsInRow ? { kind: "member", node: (origin as { node: number }).node, space: "row" } : undefined;
    }
    const value = origin.kind === "node" ? this.uniformValues[origin.node] : undefined;
    if (value !== undefined) return { kind: "constant", value };
    const layout: Layout | undefined = count === 1 ? { kind: "scalar" } : count === wanted ? { kind: space } : space === "full" ? strided(shape, target) : undefined;
    return layout && { kind: "input", source: origin, layout };
  }

  /** Whether a group would wait for itself: whether it is among what its inputs from outside depend on. Asked for thousands of times, each over up to the whole recording. */
  private wouldBeCyclic(group: Group): boolean {
    const { visited, inside, waiting, groups, originsOf } = this;
    const visit = ++this.visit;
    const bound = this.boundBelow(group);
    let count = 0;
    for (const member of group.spaces.keys()) inside[member] = visit;
    /** Notes what a node reads. @returns whether any of it belongs to the group */
    const follow = (node: number): boolean => {
      let found = false;
      for (const origin of originsOf[node]) {
        if (inside[origin] === visit) found = true;
        else if (origin >= bound && visited[origin] !== visit) {
          visited[origin] = visit;
          waiting[count++] = origin;
        }
      }
      return found;
    };
    for (const member of group.spaces.keys()) follow(member);
    while (count > 0) {
      const node = waiting[--count];
      const whole = groups[node];
      if (!whole && follow(node)) return true;
      for (const member of whole?.spaces.keys() ?? []) {
        // A group is computed as one: who waits for one of its members waits for what all of them read.
        visited[member] = visit;
        if (inside[member] === visit || follow(member)) return true;
      }
    }
    return false;
  }

  /** A place in the recording before a group with no group on both of its sides: what lies before it depends on nothing that lies behind it. */
  private boundBelow(group: Group): number {
    let bound = group.first;
    for (let moved = true; moved; ) {
      moved = false;
      for (const { first, last } of this.present) {
        if (first >= bound || last < bound) continue;
        bound = first;
        moved = true;
      }
    }
    return bound;
  }

  /** The group that becomes a fused operation and gives this node's result to others; undefined for what stays an operation of its own. */
  private fused(node: number): Group | undefined {
    const group = this.groups[node];
    return group && (group.spaces.size > 1 || WORTH_ALONE.has(this.nodes[node].operation)) ? group : undefined;
  }

  /** What of each group is needed, by whom, from what the recording returns and assigns backwards. */
  private demand(): Demand {
    const needed: Demand = { nodes: new Set(), members: new Map(), readers: new Map() };
    const waiting: number[] = [];
    const read = (source: Source, reader: Group | undefined): void => {
      if (source.kind !== "node") return;
      const readers = needed.readers.get(source.node) ?? new Set();
      readers.add(reader);
      needed.readers.set(source.node, readers);
      if (needed.nodes.has(source.node)) return;
      needed.nodes.add(source.node);
      waiting.push(source.node);
    };
    for (const source of [...Object.values(this.recording.outputs), ...this.recording.assignments.values()]) read(source, undefined);
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      const group = this.fused(node);
      if (!group) {
        const { inputs, after = [] } = this.nodes[node];
        for (const source of [...inputs, ...after]) read(source, undefined);
        continue;
      }
      const inside = needed.members.get(group) ?? new Set();
      needed.members.set(group, inside);
      const operandsOf = new Map(this.membersOf(group)!.map((member) => [member.node, member.operands]));
      const ahead = [node];
      for (let member = ahead.pop(); member !== undefined; member = ahead.pop()) {
        if (inside.has(member)) continue;
        inside.add(member);
        for (const operand of operandsOf.get(member)!) {
          if (operand.kind === "member") ahead.push(operand.node);
          if (operand.kind === "input") read(operand.source, group);
        }
      }
    }
    return needed;
  }

  /**
   * Lets groups compute again what they would read of another group, where that moves less memory: a result that only groups read need then not be
   * written at all. Sigmoids and products of the forward pass are computed again in the backward pass so, from what must be kept anyway.
   */
  computeAgain(): void {
    const { readers } = this.demand();
    for (const [node, by] of [...readers].sort(([a], [b]) => a - b)) {
      const home = this.fused(node);
      if (!home || by.has(undefined)) continue;
      const groups = [...by] as Group[];
      const { needed, leaves } = this.closure(node, home, (leaf) => readers.get(leaf)?.has(undefined) === true);
      const large = leaves.filter(({ size }) => size === home.size).map(({ key }) => key);
      const changed = groups.map((group) => this.computing(group, needed, home));
      if (changed.includes(undefined)) continue;
      const cost = groups.reduce((sum, group) => sum + this.costOfComputing(group, needed, large), 0);
      if (cost < COST_OF_WRITING + groups.length) groups.forEach((group, index) => Object.assign(group, changed[index]));
    }
  }

  /** A group with members of another one besides its own, or undefined where that would not be a program. */
  private computing(group: Group, members: ReadonlySet<number>, home: Group): Group | undefined {
    const length = group.length ?? home.length;
    if (group.size !== home.size || (home.length !== undefined && length !== home.length)) return undefined;
    const spaces = new Map(group.spaces);
    for (const member of members) spaces.set(member, home.spaces.get(member)!);
    const larger = { ...group, length, spaces };
    return spaces.size <= MAXIMUM_MEMBERS && this.isProgram(larger) ? larger : undefined;
  }

  /** What computing such members costs a group: the operations, and the large tensors that it has to read for them. */
  private costOfComputing(group: Group, members: ReadonlySet<number>, large: readonly string[]): number {
    const read = new Set(this.membersOf(group)!.flatMap(({ operands }) => operands.flatMap((operand) => (operand.kind === "input" ? [JSON.stringify(operand.source)] : []))));
    const operations = [...members].filter((member) => !group.spaces.has(member)).map((member) => (COSTLY.has(this.nodes[member].operation) ? COST_OF_COSTLY : COST_OF_OPERATION));
    return large.filter((key) => !read.has(key)).length + operations.reduce((sum, cost) => sum + cost, 0);
  }

  /** The members of a group that a member's result depends on, and what they read of others; what others read anyway counts as read. */
  private closure(node: number, group: Group, isWritten: (member: number) => boolean): { needed: Set<number>; leaves: { key: string; size: number }[] } {
    const operandsOf = new Map(this.membersOf(group)!.map((member) => [member.node, member.operands]));
    const needed = new Set<number>();
    const leaves = new Map<string, number>();
    const ahead = [node];
    for (let member = ahead.pop(); member !== undefined; member = ahead.pop()) {
      if (needed.has(member)) continue;
      if (member !== node && isWritten(member)) {
        leaves.set(JSON.stringify({ kind: "node", node: member, output: 0 }), sizeOf(this.nodes[member].results[0].shape));
        continue;
      }
      needed.add(member);
      for (const operand of operandsOf.get(member)!) {
        if (operand.kind === "member") ahead.push(operand.node);
        if (operand.kind === "input") leaves.set(JSON.stringify(operand.source), sizeOf(this.shapeOf(operand.source)));
      }
    }
    return { needed, leaves: [...leaves].map(([key, size]) => ({ key, size })) };
  }

  /** The recording with a fused operation for each group. */
  written(): Recording {
    const needed = this.demand();
    const members = new Map([...needed.members].map(([group, inside]) => [group, this.membersOf(group)!.filter(({ node }) => inside.has(node))]));
    const nodes: RecordedNode[] = [];
    const moved = new Map<number, { node: number; output?: number }>();
    const placed = (source: Source): Source => {
      if (source.kind !== "node") return source;
      const { node, output = source.output } = moved.get(source.node)!;
      return { kind: "node", node, output };
    };
    const writeNode = (index: number): void => {
      const node = this.nodes[index];
      moved.set(index, { node: nodes.length });
      nodes.push({ ...node, name: index, inputs: node.inputs.map(placed), ...(node.after && { after: node.after.map(placed) }) });
    };
    const writeGroup = (group: Group): void => {
      const isRead = (node: number): boolean => needed.nodes.has(node) && this.groups[node] === group;
      const list = members.get(group)!.map((member): Member => ({ ...member, ...(isRead(member.node) && { outputShape: this.nodes[member.node].results[0].shape }) }));
      const { inputs, words, constants } = writeProgram(list, group.size, group.length ?? 1);
      const written = list.filter(({ outputShape }) => outputShape);
      written.forEach(({ node }, output) => moved.set(node, { node: nodes.length, output }));
      nodes.push({ operation: FUSED_OPERATION, name: written[0].node, attributes: attributesOf(inputs.length, written.length, words, constants), inputs: inputs.map(placed), results: written.map(({ node }) => this.nodes[node].results[0]) });
    };
    const unitOf = (node: number): Group | number => this.fused(node) ?? node;
    const needs = (unit: Group | number): number[] =>
      typeof unit === "number" ? this.inputsOf[unit] : members.get(unit)!.flatMap(({ operands }) => operands.flatMap((operand) => (operand.kind === "input" && operand.source.kind === "node" ? [operand.source.node] : [])));
    const finished = new Set<Group | number>();
    // Depth first, since a group is as late as the last of its members and as early as what it reads.
    for (const start of [...needed.nodes].sort((a, b) => a - b)) {
      const path = [unitOf(start)];
      for (let unit = path.at(-1); unit !== undefined; unit = path.at(-1)) {
        const missing = finished.has(unit) ? [] : needs(unit).map(unitOf).filter((other) => !finished.has(other));
        if (missing.length > 0) {
          path.push(...missing);
          continue;
        }
        path.pop();
        if (finished.has(unit)) continue;
        finished.add(unit);
        if (typeof unit === "number") writeNode(unit);
        else writeGroup(unit);
      }
    }
    const { outputs, assignments } = this.recording;
    return { ...this.recording, nodes, outputs: Object.fromEntries(Object.entries(outputs).map(([name, source]) => [name, placed(source)])), assignments: new Map([...assignments].map(([index, source]) => [index, placed(source)])) };
  }
}

/** The one value of all elements of a constant, or undefined. */
function uniformValue({ constant }: RecordedNode): number | undefined {
  if (!constant || constant.dtype !== FLOAT32 || constant.bytes.length === 0) return undefined;
  const values = new Float32Array(constant.bytes.slice().buffer);
  const [first] = values;
  for (const value of values) if (!Object.is(value, first)) return undefined;
  return first;
}
