import { judge, type Scores } from "./critic";
import { tf } from "./engine/tf";
import type { FeatureNetwork } from "./features/feature-network";
import { convolution, type Parameters } from "./layers";
import type { ParameterShape } from "./network";

/** The heads of a critic on frozen features, and the features that they take. */
export interface FeatureCriticConfig {
  /** [h, w, C] of each level, shallow to deep. */
  levels: [height: number, width: number, channels: number][];
  classes: number;
  /** Channels of every head. */
  channels: number;
}

const LEAK = 0.2;
/** A level is halved until its grid is at most so much finer than the deepest one's; grids that are no multiples of each other end up alike. */
const FINER = 1.5;
/** Keeps the features of an image that has none finite. */
const EPSILON = 1e-6;

/**
 * The levels that a network gives for images of a size, found by looking at the features of one black image.
 * @param imageSize height and width of the images, pixels
 * @returns [h, w, C] of each level, shallow to deep
 */
export function featureLevels(network: Pick<FeatureNetwork, "features">, imageSize: number): FeatureCriticConfig["levels"] {
  return tf.tidy(() => network.features(tf.zeros([1, imageSize, imageSize, 3])).map(({ shape }) => shape.slice(1) as [number, number, number]));
}

/** How often each level is halved so that its grid comes near the deepest one's. */
function halvingsOf({ levels }: FeatureCriticConfig): number[] {
  const coarsest = levels[levels.length - 1][0];
  return levels.map(([height]) => {
    let count = 0;
    for (let side = height; side > FINER * coarsest; side = Math.ceil(side / 2)) count++;
    return count;
  });
}

/** Names, shapes and starting values of the heads' parameters. */
export function featureCriticShapes(config: FeatureCriticConfig): Record<string, ParameterShape> {
  const { levels, classes, channels } = config;
  const shapes: Record<string, ParameterShape> = {};
  const filters = (name: string, size: number, from: number): void => {
    shapes[`${name}.weight`] = { shape: [size, size, from, channels], start: (2 / (size * size * from)) ** 0.5 };
    shapes[`${name}.bias`] = { shape: [channels], start: "zeros" };
  };
  const score = (name: string): void => {
    shapes[`${name}.weight`] = { shape: [channels, 1], start: channels ** -0.5 };
    shapes[`${name}.bias`] = { shape: [1], start: "zeros" };
    shapes[`${name}.classEmbedding`] = { shape: [classes + 1, channels], start: 0.1 };
  };
  halvingsOf(config).forEach((halvings, level) => {
    filters(`levels.${level}.mix`, 1, levels[level][2]);
    for (let halving = 0; halving < halvings; halving++) filters(`levels.${level}.halvings.${halving}`, 4, channels);
    filters(`levels.${level}.context`, 3, channels);
    score(`levels.${level}.score`);
  });
  score("whole");
  return shapes;
}

/**
 * A critic whose eyes are a frozen pretrained network (Projected GAN, Sauer et al., 2021): a small head of convolutions on each of several levels, halved to about
 * the deepest level's grid, so that all levels weigh alike; then a score of each position and of the deepest level as a whole, each with the inner product of
 * head and class (Miyato and Koyama, 2018). Levels come at very different scales: each is divided by its own root mean square in each image.
 * @param levels frozen features of the images, [B, h, w, C] each, as `config.levels` says
 * @param y class labels, int32 [B]
 * @returns `patches` are the positions of all levels, [B, n]
 */
export function featureCritic(config: FeatureCriticConfig, parameters: Parameters, levels: tf.Tensor4D[], y: tf.Tensor1D): Scores {
  const layer = (name: string, x: tf.Tensor4D, stride = 1): tf.Tensor4D => tf.leakyRelu(convolution(parameters, name, x, stride), LEAK);
  const heads = halvingsOf(config).map((halvings, level): tf.Tensor4D => {
    const features = levels[level];
    const size = tf.sqrt(tf.add(tf.mean(tf.square(features), [1, 2, 3], true), EPSILON)); // [B, 1, 1, 1]
    let x = layer(`levels.${level}.mix`, tf.div(features, size)); // [B, h, w, channels]
    for (let halving = 0; halving < halvings; halving++) x = layer(`levels.${level}.halvings.${halving}`, x, 2);
    return layer(`levels.${level}.context`, x);
  });
  const patches = heads.map((head, level) => {
    const [batch, height, width, channels] = head.shape;
    return judge(parameters, `levels.${level}.score`, head.reshape([batch, height * width, channels]), y); // [B, h w]
  });
  const deepest = heads[heads.length - 1];
  const pooled = tf.mean(deepest, [1, 2]).reshape([-1, 1, config.channels]); // [B, h, w, channels] -> [B, 1, channels]
  return { whole: judge(parameters, "whole", pooled, y), patches: tf.concat(patches, 1) };
}
