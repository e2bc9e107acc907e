/**
 * A reader for the subset of Python's pickle format (protocol 2) that tensor files are made of.
 *
 * A full unpickler calls whatever function the file names, so a file can run any program. This one
 * knows data (numbers, strings, lists, tuples, dictionaries) and otherwise only the callables that
 * the caller hands in; a file that asks for anything else is refused, naming what it asked for.
 */

/** A Python dictionary; OrderedDict and dict are not told apart. */
export class PickleDictionary {
  readonly entries = new Map<PickleValue, PickleValue>();
}

/** A Python tuple: kept apart from a list so that a caller can insist on one. */
export class PickleTuple {
  constructor(readonly items: PickleValue[]) {}
}

/** A reference to a Python name, such as `torch FloatStorage`: never resolved to code. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/** An opaque value made by a caller's `callables` or `persistentLoad`. */
export abstract class PickleObject {}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleValue[]
  | PickleTuple
  | PickleDictionary
  | PickleGlobal
  | PickleObject;

export interface PickleOptions {
  /** Names the file in errors. */
  source: string;
  /** "module name" -> what a call of it gives; a global outside this table and `symbols` is an error. */
  callables: Record<string, (args: PickleValue[]) => PickleValue>;
  /** "module name" of globals that may be mentioned as arguments but not called. */
  symbols: readonly string[];
  /** What stands for a persistent id (how PyTorch refers to storages). */
  persistentLoad: (id: PickleValue) => PickleValue;
}

const MARK = Symbol("mark");

/**
 * Read one pickle from `bytes`, starting at byte `offset`.
 * @returns the value and the offset of the byte after it
 * @throws on a truncated or malformed pickle, an opcode outside the subset, and any global that `options` does not allow
 */
export function readPickle(bytes: Buffer, offset: number, options: PickleOptions): { value: PickleValue; end: number } {
  const stack: (PickleValue | typeof MARK)[] = [];
  const memo = new Map<number, PickleValue>();
  let position = offset;

  const fail = (message: string): never => {
    throw new Error(`${options.source}: ${message} (pickle byte ${position}).`);
  };
  const take = (count: number): Buffer => {
    if (count < 0 || position + count > bytes.length) fail("the file ends in the middle of a value; fetch it again");
    position += count;
    return bytes.subarray(position - count, position);
  };
  const pop = (): PickleValue => {
    const value = stack.pop();
    if (value === undefined || value === MARK) return fail("the pickle's stack is empty where a value is needed");
    return value;
  };
  const top = (): PickleValue => {
    const value = pop();
    stack.push(value);
    return value;
  };
  const popToMark = (): PickleValue[] => {
    const start = stack.lastIndexOf(MARK);
    if (start < 0) return fail("a mark is missing on the pickle's stack");
    const items = stack.splice(start).slice(1);
    return items as PickleValue[]; // lastIndexOf found the last mark, so none is among them
  };
  const line = (): string => {
    const end = bytes.indexOf(0x0a, position);
    if (end < 0) fail("the file ends in the middle of a name; fetch it again");
    const text = bytes.toString("utf8", position, end);
    position = end + 1;
    return text;
  };
  const remembered = (key: number): PickleValue => {
    const value = memo.get(key);
    return value === undefined ? fail(`memo entry ${key} is used before it is set`) : value;
  };
  const setItems = (items: PickleValue[]): void => {
    const target = top();
    if (!(target instanceof PickleDictionary) || items.length % 2 !== 0) return fail("keys and values are set on what is not a dictionary");
    for (let i = 0; i < items.length; i += 2) target.entries.set(items[i] ?? null, items[i + 1] ?? null);
  };
  const append = (items: PickleValue[]): void => {
    const target = top();
    if (!Array.isArray(target)) return fail("values are appended to what is not a list");
    for (const item of items) target.push(item);
  };
  const global = (name: string): PickleGlobal => {
    if (!(Object.hasOwn(options.callables, name)) && !options.symbols.includes(name)) {
      fail(`the file asks for the Python name "${name.replace(" ", ".")}", which is not part of a plain tensor file; only tensors are read and nothing is executed`);
    }
    return new PickleGlobal(name);
  };
  const reduce = (): PickleValue => {
    const args = pop();
    const callable = pop();
    if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) return fail("a call of what is not a function");
    if (!Object.hasOwn(options.callables, callable.name)) return fail(`a call of "${callable.name.replace(" ", ".")}", which is not allowed`);
    return options.callables[callable.name](args.items);
  };

  for (;;) {
    const opcode = take(1)[0];
    switch (opcode) {
      case 0x80: { // PROTO
        const protocol = take(1)[0];
        if (protocol > 2) fail(`pickle protocol ${protocol}; tensor files use protocol 2`);
        break;
      }
      case 0x2e: { // STOP
        const value = pop();
        if (stack.length > 0) fail("values are left on the pickle's stack at its end");
        return { value, end: position };
      }
      case 0x28: stack.push(MARK); break; // MARK
      case 0x4e: stack.push(null); break; // NONE
      case 0x88: stack.push(true); break; // NEWTRUE
      case 0x89: stack.push(false); break; // NEWFALSE
      case 0x4a: stack.push(take(4).readInt32LE()); break; // BININT
      case 0x4b: stack.push(take(1)[0]); break; // BININT1
      case 0x4d: stack.push(take(2).readUInt16LE()); break; // BININT2
      case 0x8a: stack.push(signedInteger(take(take(1)[0]))); break; // LONG1
      case 0x47: stack.push(take(8).readDoubleBE()); break; // BINFLOAT
      case 0x58: stack.push(take(take(4).readUInt32LE()).toString("utf8")); break; // BINUNICODE
      case 0x55: stack.push(take(take(1)[0]).toString("latin1")); break; // SHORT_BINSTRING: Python 2's strings, in files of 2017 and 2018
      case 0x54: stack.push(take(take(4).readUInt32LE()).toString("latin1")); break; // BINSTRING
      case 0x5d: stack.push([]); break; // EMPTY_LIST
      case 0x7d: stack.push(new PickleDictionary()); break; // EMPTY_DICT
      case 0x29: stack.push(new PickleTuple([])); break; // EMPTY_TUPLE
      case 0x74: stack.push(new PickleTuple(popToMark())); break; // TUPLE
      case 0x85: stack.push(new PickleTuple([pop()])); break; // TUPLE1
      case 0x86: stack.push(new PickleTuple([pop(), pop()].reverse())); break; // TUPLE2
      case 0x87: stack.push(new PickleTuple([pop(), pop(), pop()].reverse())); break; // TUPLE3
      case 0x61: append([pop()]); break; // APPEND
      case 0x65: append(popToMark()); break; // APPENDS
      case 0x73: setItems([pop(), pop()].reverse()); break; // SETITEM
      case 0x75: setItems(popToMark()); break; // SETITEMS
      case 0x71: memo.set(take(1)[0], top()); break; // BINPUT
      case 0x72: memo.set(take(4).readUInt32LE(), top()); break; // LONG_BINPUT
      case 0x68: stack.push(remembered(take(1)[0])); break; // BINGET
      case 0x6a: stack.push(remembered(take(4).readUInt32LE())); break; // LONG_BINGET
      case 0x63: stack.push(global(`${line()} ${line()}`)); break; // GLOBAL
      case 0x51: stack.push(options.persistentLoad(pop())); break; // BINPERSID
      case 0x52: stack.push(reduce()); break; // REDUCE
      case 0x62: // BUILD: PyTorch hangs version notes on a state dictionary; they carry no tensors
        pop();
        if (!(top() instanceof PickleDictionary)) fail("state is set on an object that is not a dictionary, which is not part of a plain tensor file");
        break;
      default:
        fail(`pickle opcode 0x${opcode.toString(16).padStart(2, "0")} is not used by plain tensor files; only tensors are read and nothing is executed`);
    }
  }
}

/** Little-endian two's complement of any length; a bigint only where a number would round. */
function signedInteger(bytes: Buffer): number | bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  value = BigInt.asIntN(8 * bytes.length, value);
  const rounded = Number(value);
  return Number.isSafeInteger(rounded) ? rounded : value;
}
