import { tf } from "./tf";

/**
 * Runs a function that takes gradients (`tf.grad`, `tf.variableGrads`) while another gradient is being taken: within a function under
 * `tf.customGrad`, forward or backward. tfjs has one tape at a time, so the outer one is laid aside.
 * @param fn a synchronous function; nothing that it does is seen by the outer gradient
 */
export function withOwnTape<Result>(fn: () => Result): Result {
  const { state } = tf.engine();
  const { activeTape, gradientDepth, kernelDepth } = state;
  Object.assign(state, { activeTape: null, gradientDepth: 0, kernelDepth: 0 });
  try {
    return fn();
  } finally {
    Object.assign(state, { activeTape, gradientDepth, kernelDepth });
  }
}
