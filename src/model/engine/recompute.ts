import { after } from "./compile";
import { withOwnTape } from "./own-tape";
import { tf } from "./tf";

/**
 * The value of a function of x and weights, which keeps nothing of what it computes for the gradient but x: the backward pass computes the function
 * again (Chen et al., 2016, "Training deep nets with sublinear memory cost"). The gradient is the same; it costs one more evaluation. Gradients do not flow through tangents of forward
 * mode inside it.
 * @param fn a function of x, the weights and the constants alone, without randomness
 * @param weights what receives a gradient besides x, by name
 * @param constants tensors of the forward pass that the function needs besides; they are kept, and receive no gradient
 */
export function recomputed<Constants extends tf.Tensor[]>(
  fn: (x: tf.Tensor, weights: Record<string, tf.Tensor>, constants: Constants) => tf.Tensor,
  x: tf.Tensor,
  weights: Record<string, tf.Tensor>,
  constants: [...Constants],
): tf.Tensor {
  const names = Object.keys(weights);
  const byName = (tensors: readonly tf.Tensor[]): Record<string, tf.Tensor> => Object.fromEntries(names.map((name, index) => [name, tensors[index]]));
  const operation = tf.customGrad((...given) => {
    const [input, ...own] = given.slice(0, -1) as tf.Tensor[];
    const save = given.at(-1) as (tensors: tf.Tensor[]) => void;
    save([input, ...own, ...constants]);
    const gradFunc = (dy: tf.Tensor, [savedInput, ...saved]: tf.Tensor[]): tf.Tensor[] => {
      const [savedWeights, savedConstants] = [saved.slice(0, names.length), saved.slice(names.length) as Constants];
      // Not before the gradient has come this far, or all would be computed again at once and kept.
      const late = after(savedInput, dy);
      return withOwnTape(() => tf.grads((again: tf.Tensor, ...rest: tf.Tensor[]) => fn(again, byName(rest), savedConstants))([late, ...savedWeights], dy));
    };
    return { value: fn(input, byName(own), constants as Constants), gradFunc: gradFunc as unknown as (dy: tf.Tensor, saved: tf.Tensor[]) => tf.Tensor };
  });
  return operation(x, ...names.map((name) => weights[name]));
}
