import { tf } from "./engine/tf";
import type { NetworkConfig } from "./network";
import type { RandomStream } from "./random";

const tokensOf = ({ tokensPerPatch = 1 }: Pick<NetworkConfig, "tokensPerPatch">): number => tokensPerPatch;

/** The configuration in which each token of a network is `count`: those of its patches, of the class and of the time. */
export function splitConfig(config: NetworkConfig, count: number): NetworkConfig {
  return { ...config, classTokens: config.classTokens * count, timeTokens: config.timeTokens * count, tokensPerPatch: tokensOf(config) * count };
}

/** How many tokens of the second network one of the first's becomes; undefined where that is no whole number, or differs between those of patches, class and time. */
export function tokensPerToken(before: NetworkConfig, after: NetworkConfig): number | undefined {
  const count = tokensOf(after) / tokensOf(before);
  const { classTokens, timeTokens } = splitConfig(before, count);
  return Number.isInteger(count) && classTokens === after.classTokens && timeTokens === after.timeTokens ? count : undefined;
}

/** Standard deviation of the noise by which copies of a class or time token start apart; at zero their gradients would stay the same for ever. */
const APART = 0.01;

/**
 * Starting weights of a network with several tokens a patch, from a trained one with one (ours; that a network can grow and stay what it is has been known since
 * Chen et al., 2016, "Net2Net"). Each token is there `count` times: attention over copies in equal number is attention over one of each, so the blocks' weights stay.
 * Of a patch's tokens each makes its own part of the features that go into the pixels, of which the last map's rows know nothing else at first; by this their gradients
 * differ, and they become different tokens. The image is the same, but for the little noise by which the copies of class and time tokens start apart.
 * @param parameters weights of the network with one token a patch, by name
 * @param config its configuration
 * @param count how many tokens each becomes
 * @param stream of the noise
 * @returns weights of all names of the network of splitConfig(config, count); the caller disposes of them
 * @throws Error when the network has several tokens a patch already
 */
export function splitTokens(parameters: Readonly<Record<string, tf.Tensor>>, config: NetworkConfig, count: number, stream: RandomStream): Record<string, tf.Tensor> {
  if (count > 1 && tokensOf(config) > 1) throw new Error(`a network with ${tokensOf(config)} tokens a patch can not be split again: split the one it was made of`);
  return tf.tidy(() => Object.fromEntries(Object.entries(parameters).map(([name, weights]) => [name, count === 1 ? tf.clone(weights) : split(name, weights, config, count, stream)])));
}

function split(name: string, weights: tf.Tensor, { classTokens, timeTokens, width }: NetworkConfig, count: number, stream: RandomStream): tf.Tensor {
  if (name === "patchEmbedding.weight" || name === "patchEmbedding.bias") return tf.tile(weights, [...weights.shape.slice(1).map(() => 1), count]); // [.., D] -> [.., m D]
  if (name === "positionEmbedding") {
    const rows = weights.shape[0];
    const copies = tf.tile(weights.reshape([rows, 1, width]), [1, count, 1]).reshape([rows * count, width]);
    const prefix = (classTokens + timeTokens) * count;
    const noise = tf.tensor2d(stream.normal(prefix * width).map((value) => APART * value), [prefix, width]);
    return tf.add(copies, tf.pad(noise, [[0, rows * count - prefix], [0, 0]]));
  }
  if (name === "head.tokens.weight" || name === "head.weight") {
    const outputs = weights.shape[1]!;
    const makes = tf.tensor3d(Float32Array.from({ length: count * outputs }, (_, index) => (Math.floor(((index % outputs) * count) / outputs) === Math.floor(index / outputs) ? 1 : 0)), [count, 1, outputs]);
    return tf.mul(makes, weights.reshape([1, width, outputs])).reshape([count * width, outputs]); // [D, Q] -> [m D, Q]
  }
  return tf.clone(weights);
}
