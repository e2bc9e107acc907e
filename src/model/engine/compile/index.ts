import { tf } from "../tf";
import { nativeBackend, type NativeBackend } from "./backend";
import { canFuse } from "./fuse";
import { loadProgram, type Program } from "./program";
import { assertSameRecording, CompileError, record, type Recording } from "./record";
import { isRecording } from "./recording";
import { TrialError, Trials } from "./trial";

export { CompileError };
export { after } from "./record";

/** Arguments that select another program instead of being fed to one: numbers and words that the function branches on. */
export type StaticArguments = Record<string, string | number | boolean>;

export interface CompileOptions {
  /** Names the function in messages. */
  name?: string;
  /** False runs the function eagerly at every call, as on an engine that can not compile; true by default. */
  enabled?: boolean;
  /** Join neighbouring elementwise operations into one pass over memory, on the CPU; true by default. */
  fuse?: boolean;
  /** How many programs (one for each combination of shapes and static arguments) are kept; the one unused longest goes first. */
  maximumPrograms?: number;
  /** Called before a recorded function is loaded, which takes a second or more for a training step. */
  onCompile?: (event: { name: string; operations: number }) => void;
}

/** What compile() does where an option is not given. */
export const COMPILE_DEFAULTS = { name: "the compiled function", enabled: true, fuse: true, maximumPrograms: 8 };

type Tensors = Record<string, tf.Tensor>;

export interface Compiled<Inputs extends Tensors, Outputs extends Tensors> {
  (inputs: Inputs, staticArguments?: StaticArguments): Outputs;
  /**
   * Compiles for given shapes ahead of time, with two sets of example inputs of different values, and leaves every variable as it was. Nothing is
   * computed but each kind of operation once, and no more memory is taken than the largest of them needs.
   * Does nothing when that program is there already, or on another engine.
   */
  prepare(first: Inputs, second: Inputs, staticArguments?: StaticArguments): void;
  /** The programs in use: operations and bytes of state of each. */
  programs(): { key: string; operations: number; stateBytes: number }[];
  /** Frees all sessions; variables keep their newest values. */
  dispose(): void;
}

/** Whether each operation is followed now, by a recording, by reverse mode, by forward mode or by `tf.profile`: a program would be opaque to them. */
const isFollowed = (backend: NativeBackend): boolean => isRecording(backend) || tf.engine().state.gradientDepth > 0 || tf.engine().state.profiling || Object.hasOwn(tf.engine(), "runKernel");

/**
 * Makes one TensorFlow graph of a function of tensors, so that a call costs one dispatch instead of one an operation.
 *
 * The first two calls with given shapes run eagerly and are recorded; the two recordings must agree, so that nothing that
 * changes from call to call is frozen. Later calls run the graph. Variables that the function reads or assigns live in the
 * session between calls; reading them elsewhere fetches their newest value, and assigning them elsewhere is seen by the next call.
 * On another engine than TensorFlow the function simply runs, with the same results; so it does inside another compiled function, and
 * where reverse mode, forward mode or `tf.profile` follows its operations.
 *
 * @param fn function of named tensors (and static arguments) that returns named tensors; all that varies must come in as an
 *   input or live in a variable made before
 * @returns the compiled function; its outputs are disposed of by the caller
 * @throws CompileError at the second call, naming the operation, when something varies that is no input, when an operation's
 *   shape depends on values, or when values are read inside
 */
export function compile<Inputs extends Tensors, Outputs extends Tensors>(
  fn: (inputs: Inputs, staticArguments: StaticArguments) => Outputs,
  options: CompileOptions = {},
): Compiled<Inputs, Outputs> {
  const { name, enabled, fuse, maximumPrograms } = { ...COMPILE_DEFAULTS, ...options };
  const programs = new Map<string, Program>();
  const recordings = new Map<string, Recording>();

  const call = (inputs: Inputs, staticArguments: StaticArguments = {}): Outputs => {
    const backend = enabled ? nativeBackend() : undefined;
    if (!backend || isFollowed(backend)) return tf.tidy(() => fn(inputs, staticArguments));
    const key = keyOf(inputs, staticArguments);
    const program = programs.get(key);
    if (program) {
      programs.delete(key);
      programs.set(key, program);
      return program.run(inputs) as Outputs;
    }
    const { recording, outputs } = record(backend, inputs, () => fn(inputs, staticArguments));
    const first = recordings.get(key);
    if (!first) {
      recordings.set(key, recording);
      if (recordings.size > maximumPrograms) recordings.delete(recordings.keys().next().value!);
      return outputs;
    }
    recordings.delete(key);
    try {
      load(key, first, recording, inputs, outputs);
    } catch (error) {
      tf.dispose(outputs);
      throw error;
    }
    return outputs;
  };

  /** Compares two recordings and makes a program of them. @param outputs what the second one's call returned */
  const load = (key: string, first: Recording, second: Recording, inputs: Inputs, outputs: Outputs): void => {
    assertSameRecording(first, second, name);
    options.onCompile?.({ name, operations: second.nodes.length });
    programs.set(key, loadProgram(second, inputs, outputs, fuse && canFuse(nativeBackend()!)));
    if (programs.size <= maximumPrograms) return;
    const [oldest] = programs.keys();
    programs.get(oldest)?.dispose();
    programs.delete(oldest);
  };

  const prepare = (first: Inputs, second: Inputs, staticArguments: StaticArguments = {}): void => {
    const backend = enabled ? nativeBackend() : undefined;
    const key = keyOf(first, staticArguments);
    if (!backend || programs.has(key)) return;
    const variables = Object.values(tf.engine().registeredVariables);
    const before = variables.map((variable) => ({ data: variable.dataId, value: tf.clone(variable) }));
    const restore = (): void => variables.forEach((variable, index) => {
      if (variable.dataId !== before[index].data) variable.assign(before[index].value);
    });
    const trials = new Trials(backend.binding);
    try {
      const [one, two] = [first, second].map((inputs) => record(backend, inputs, () => fn(inputs, staticArguments), trials));
      tf.dispose(one.outputs);
      try {
        load(key, one.recording, two.recording, second, two.outputs);
      } finally {
        tf.dispose(two.outputs);
      }
    } catch (error) {
      if (!(error instanceof TrialError)) throw error;
      // An operation that takes no made-up values: the function runs with its own.
      restore();
      for (const inputs of [first, second]) tf.dispose(call(inputs, staticArguments));
    } finally {
      restore();
      for (const { value } of before) value.dispose();
    }
  };

  return Object.assign(call, {
    prepare,
    programs: () => [...programs].map(([key, { operations, stateBytes }]) => ({ key, operations, stateBytes })),
    dispose() {
      for (const program of programs.values()) program.dispose();
      programs.clear();
      recordings.clear();
    },
  });
}

function keyOf(inputs: Tensors, staticArguments: StaticArguments): string {
  const shapes = Object.entries(inputs).map(([name, tensor]) => `${name}:${tensor.dtype}[${tensor.shape}]`);
  const fixed = Object.entries(staticArguments).map(([name, value]) => `${name}=${value}`);
  return [...shapes.sort(), ...fixed.sort()].join(" ");
}
