import { jvpRule } from "./jvp-rules/registry";
import { tf } from "./tf";

/** What a function under forward mode may return: a tensor, a list of tensors, or a record of them. */
export type TensorTree = tf.Tensor | tf.Tensor[] | { [name: string]: tf.Tensor };

/** A tangent a primal; null and undefined stand for zero. */
export type Tangents<Primals extends readonly tf.Tensor[]> = { readonly [Index in keyof Primals]: tf.Tensor | null | undefined };

export interface JvpOptions {
  /**
   * Whether gradients (`tf.grads`, `tf.variableGrads`) flow through the tangent too. Default false: the tangent is a constant for reverse mode (a stop gradient), which
   * spares the tape everything that the rules compute. The value is differentiable either way.
   */
  differentiable?: boolean;
}

/**
 * Forward-mode differentiation: the value of `f` at the primals and its Jacobian-vector product with the tangents, `J_f(primals) . tangents`, in one evaluation of `f`.
 *
 * Every tfjs operation runs as a kernel. During the call each kernel whose inputs carry a tangent is followed by its rule, which computes the output's tangent with ordinary
 * tfjs operations (`defineJvpRule` adds rules). Tensors that `f` takes from outside are constants, the primals themselves included: only `f`'s arguments carry tangents.
 *
 * - An argument without tangent costs nothing; an output that depends on no primal, or holds integers or booleans, has a float32 tangent of zeros.
 * - `tf.customGrad` only replaces reverse mode: the tangent is the derivative of its forward function.
 * - At kinks the rules follow the gradients of tfjs where those are one-sided (`relu` at 0 has derivative 0); `max` over ties takes the mean of the tied tangents.
 * - Calls nest: `jvp` of `jvp` gives second derivatives, `jvp` of `tf.grad` a Hessian-vector product.
 * - Tensors made in `f` are disposed of at the end, all but the results; no enclosing `tf.tidy` is needed.
 *
 * @param f a synchronous function of as many tensors as there are primals
 * @param primals where to differentiate
 * @param tangents one a primal, of its shape and dtype; null or undefined for zero
 * @returns `value` as `f` returns it and `tangent` of the same structure and shapes
 * @throws where a tangent does not fit its primal, a kernel has no rule, or `f` is asynchronous. The engine is left as it was, also where `f` throws.
 */
export function jvp<Primals extends readonly tf.Tensor[], Output extends TensorTree>(
  f: (...primals: Primals) => Output,
  primals: readonly [...Primals],
  tangents: Tangents<Primals>,
  options: JvpOptions = {},
): { value: Output; tangent: Output } {
  checkTangents(primals, tangents);
  return tf.tidy(() => {
    // Fresh tensors, so that the tangents belong to f's arguments alone and one tensor may be passed twice.
    const inputs = primals.map((primal) => tf.clone(primal)) as readonly tf.Tensor[] as Primals;
    const trace = startTrace(options.differentiable ?? false);
    let value: Output;
    try {
      inputs.forEach((input, index) => trace.setTangent(input, tangents[index] ?? undefined));
      value = f(...inputs);
      if (value instanceof Promise) throw new Error("jvp: f returned a promise; it must compute its tensors synchronously.");
    } catch (error) {
      trace.end();
      trace.dispose();
      throw error;
    }
    trace.end();
    const tangent = mapTensors(value, (output) => {
      const carried = trace.tangent(output);
      return carried ? tf.clone(carried) : tf.zeros(output.shape);
    });
    trace.dispose();
    return { value, tangent };
  });
}

/** Applies `map` to each tensor of what f returned and keeps the structure. */
function mapTensors<Tree extends TensorTree>(tree: Tree, map: (tensor: tf.Tensor) => tf.Tensor): Tree {
  if (tree instanceof tf.Tensor) return map(tree) as Tree;
  if (Array.isArray(tree)) return tree.map((tensor, index) => map(requireTensor(tensor, `f's output ${index}`))) as Tree;
  if (typeof tree !== "object" || tree === null) throw new Error(`jvp: f must return a tensor, an array of tensors or a record of tensors; it returned ${String(tree)}.`);
  return Object.fromEntries(Object.entries(tree).map(([name, tensor]) => [name, map(requireTensor(tensor, `f's output "${name}"`))])) as Tree;
}

function requireTensor(value: unknown, name: string): tf.Tensor {
  if (value instanceof tf.Tensor) return value;
  throw new Error(`jvp: ${name} is not a tensor.`);
}

const describe = (tensor: tf.Tensor): string => `${tensor.dtype} [${tensor.shape.join(", ")}]`;

function checkTangents(primals: readonly tf.Tensor[], tangents: readonly (tf.Tensor | null | undefined)[]): void {
  if (tangents.length !== primals.length)
    throw new Error(`jvp: ${primals.length} primals need as many tangents (null for zero); got ${tangents.length}.`);
  primals.forEach((primal, index) => {
    requireTensor(primal, `primals[${index}]`);
    const tangent = tangents[index];
    if (tangent == null) return;
    requireTensor(tangent, `tangents[${index}]`);
    if (!isDifferentiable(primal)) throw new Error(`jvp: primals[${index}] is ${describe(primal)}, which carries no tangent; pass null for tangents[${index}].`);
    if (tangent.dtype !== primal.dtype || !tf.util.arraysEqual(tangent.shape, primal.shape))
      throw new Error(`jvp: tangents[${index}] is ${describe(tangent)}, but primals[${index}] is ${describe(primal)}; a tangent has its primal's shape and dtype.`);
  });
}

const isDifferentiable = (tensor: tf.Tensor): boolean => tensor.dtype === "float32" || tensor.dtype === "complex64";

interface Trace {
  /** Gives a tensor a tangent; undefined leaves it constant. The tangent is copied by reference, and the copy is the trace's own. */
  setTangent(tensor: tf.Tensor, tangent: tf.Tensor | undefined): void;
  tangent(tensor: tf.Tensor): tf.Tensor | undefined;
  /** Gives the engine its own methods back. */
  end(): void;
  /** Disposes of all tangents. */
  dispose(): void;
}

/** Puts a method of ours in the place of an object's own, and returns what puts the old one back. */
function override<Name extends string, Method>(object: { [name in Name]: Method }, name: Name, method: Method): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  object[name] = method;
  return () => {
    if (own) Object.defineProperty(object, name, own);
    else Reflect.deleteProperty(object, name);
  };
}

/** Starts to follow every kernel the engine runs, with the rule for its tangent. Traces nest as calls do: the innermost is ended first. */
function startTrace(differentiable: boolean): Trace {
  const engine = tf.engine();
  const tangents = new Map<number, tf.Tensor>();
  const outerRunKernel = engine.runKernel;
  const outerDisposeTensor = engine.disposeTensor;
  const outerGradientDepth = engine.state.gradientDepth;
  /** What the engine is doing: f's own operations are followed, those inside a kernel or a rule are not. */
  let phase: "function" | "kernel" | "rule" = "function";
  /** Tensors and the copies that reverse mode saves of them while their kernel runs: a gradient taken inside f reads the copies. */
  let savedCopies: { tensor: tf.Tensor; copy: tf.Tensor }[] = [];

  const during = <Result>(newPhase: typeof phase, action: () => Result): Result => {
    const outerPhase = phase;
    phase = newPhase;
    try {
      return action();
    } finally {
      phase = outerPhase;
    }
  };

  /** Runs rules off the tape of reverse mode, unless gradients shall flow through the tangents. */
  const inRule = <Result>(action: () => Result): Result =>
    during("rule", () => {
      const depth = differentiable ? 0 : 1;
      engine.state.kernelDepth += depth;
      try {
        return action();
      } finally {
        engine.state.kernelDepth -= depth;
      }
    });

  const setTangent = (tensor: tf.Tensor, tangent: tf.Tensor | undefined): void => {
    if (tangent) tangents.set(tensor.id, tf.keep(tf.clone(tangent)));
  };

  function runKernel<Result extends tf.Tensor | tf.Tensor[]>(kernelName: string, inputs: tf.NamedTensorMap, attributes?: tf.NamedAttrMap): Result {
    const run = (): Result => outerRunKernel.call(engine, kernelName, inputs, attributes) as Result;
    if (phase !== "function") {
      const result = run();
      const saves = phase === "kernel" && kernelName === tf.Identity && engine.state.gradientDepth > outerGradientDepth;
      if (saves && result instanceof tf.Tensor) savedCopies.push({ tensor: inputs.x, copy: result });
      return result;
    }
    savedCopies = [];
    const result = during("kernel", run);
    inRule(() => {
      tf.tidy(() => applyRule(kernelName, inputs, attributes ?? {}, Array.isArray(result) ? result : [result]));
      for (const { tensor, copy } of savedCopies) setTangent(copy, tangents.get(tensor.id));
    });
    return result;
  }

  function applyRule(kernelName: string, inputs: tf.NamedTensorMap, attributes: tf.NamedAttrMap, outputs: tf.Tensor[]): void {
    if (!outputs.some(isDifferentiable)) return;
    const carried: Record<string, tf.Tensor> = {};
    for (const [name, input] of Object.entries(inputs)) {
      const tangent = input && tangents.get(input.id);
      if (tangent) carried[name] = tangent;
    }
    if (Object.keys(carried).length === 0) return;
    const rule = jvpRule(kernelName);
    if (!rule) throw new Error(missingRule(kernelName, inputs));
    const result = rule({ kernelName, inputs: { ...inputs }, tangents: carried, attributes, outputs });
    outputs.forEach((output, index) => {
      const tangent = Array.isArray(result) ? result[index] : result;
      if (!tangent) return;
      if (tangent.dtype !== output.dtype || !tf.util.arraysEqual(tangent.shape, output.shape))
        throw new Error(`jvp: the rule of kernel "${kernelName}" gave a tangent ${describe(tangent)} for an output ${describe(output)}; they must agree.`);
      setTangent(output, tangent);
    });
  }

  const restore = [
    override(engine, "runKernel", runKernel),
    // A tensor that is gone needs no tangent: a tangent lives no longer than what it belongs to.
    override(engine, "disposeTensor", (tensor: tf.Tensor) => {
      outerDisposeTensor.call(engine, tensor);
      const tangent = tangents.get(tensor.id);
      tangents.delete(tensor.id);
      tangent?.dispose();
    }),
  ];

  return {
    setTangent: (tensor, tangent) => inRule(() => setTangent(tensor, tangent)),
    tangent: (tensor) => tangents.get(tensor.id),
    end: () => restore.forEach((giveBack) => giveBack()),
    dispose: () => tangents.forEach((tangent) => tangent.dispose()),
  };
}

function missingRule(kernelName: string, inputs: tf.NamedTensorMap): string {
  const received = Object.entries(inputs)
    .filter(([, input]) => input instanceof tf.Tensor)
    .map(([name, input]) => `${name}: ${describe(input)}`)
    .join(", ");
  return (
    `jvp: no forward-mode rule for kernel "${kernelName}" (received ${received}). ` +
    `Add one with defineJvpRule("${kernelName}", ({ inputs, tangents, attributes, outputs }) => tangent), or keep its inputs independent of the primals.`
  );
}
