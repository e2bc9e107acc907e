import { tf } from "./engine/tf";
import type { NetworkConfig } from "./network";

/** How many tokens of the second network lie along one side of one of the first's; undefined where they do not fit into it whole. */
export function tokensPerSide(coarse: Pick<NetworkConfig, "patchSize">, fine: Pick<NetworkConfig, "patchSize">): number | undefined {
  const ratio = coarse.patchSize / fine.patchSize;
  return Number.isInteger(ratio) ? ratio : undefined;
}

/**
 * Starting weights of a network with smaller patches, from a trained one with larger (ours; that a transformer of images takes other patch sizes when its embeddings are
 * resized is Beyer et al.'s, 2023, "FlexiViT"). The blocks know nothing of patches and stay; each token becomes k x k. A patch that is the same all over enters as
 * it did, since the weights of its parts are added up; each new token starts at the place of the old one; and it makes the mean of what the old one made of its parts. So it
 * is blurred to squares at first, and has to be trained further.
 * @param parameters weights of the network with larger patches, by name
 * @param coarse its configuration
 * @param fine the other's: the same but for patchSize, of which the first's is a multiple
 * @returns weights of all names of the other; the caller disposes of them
 */
export function finerTokens(parameters: Readonly<Record<string, tf.Tensor>>, coarse: NetworkConfig, fine: NetworkConfig): Record<string, tf.Tensor> {
  const k = tokensPerSide(coarse, fine);
  if (k === undefined) throw new Error(`a network of patchSize ${coarse.patchSize} gives no weights to one of ${fine.patchSize}: expected a multiple`);
  const coarseSide = coarse.latentSize / coarse.patchSize;
  return tf.tidy(() => Object.fromEntries(Object.entries(parameters).map(([name, weights]) => [name, k === 1 ? tf.clone(weights) : finer(name, weights, k, coarseSide, coarse)])));
}

function finer(name: string, weights: tf.Tensor, k: number, side: number, { bottleneck, head, imageSize, patchSize, latentChannels }: NetworkConfig): tf.Tensor {
  if (name === (bottleneck > 0 ? "patchEmbedding.bottleneck.weight" : "patchEmbedding.weight")) {
    const columns = weights.shape[1]!;
    const part = patchSize / k;
    const parts = weights.reshape([k, part, k, part * latentChannels * columns]); // [p p c, D] -> [k, p/k, k, (p/k) c D]
    return tf.sum(parts, [0, 2]).reshape([part * part * latentChannels, columns]);
  }
  if (name === "positionEmbedding") {
    const [rows, width] = weights.shape as [number, number];
    const prefix = rows - side * side;
    const places = tf.slice(weights, [prefix, 0], [side * side, width]).reshape([side, 1, side, 1, width]);
    return tf.concat([tf.slice(weights, [0, 0], [prefix, width]), tf.tile(places, [1, k, 1, k, 1]).reshape([side * k * side * k, width])], 0);
  }
  if (["head", "head.tokens"].some((layer) => name === `${layer}.weight` || name === `${layer}.bias`)) {
    const part = (head === "linear" ? imageSize / side : 2 * patchSize) / k; // what a new token makes along one side
    const [outputs, ...before] = [...weights.shape].reverse();
    const channels = outputs / (k * part) ** 2;
    return tf.mean(weights.reshape([...before, k, part, k, part * channels]), [before.length, before.length + 2]).reshape([...before, part * part * channels]); // [D, (k q)^2 C] -> [D, q q C]
  }
  return tf.clone(weights);
}
