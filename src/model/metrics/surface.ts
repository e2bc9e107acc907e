import { tf } from "../engine/tf";

/** What is seen of images close up, without a network: compare with the same measures of real images. */
export interface SurfaceMeasures {
  /** Mean absolute difference of neighbouring pixels across the borders of patches, over that of all others: above the data's, patches do not meet. Undefined where all others are equal. */
  seams: number | undefined;
  /** Share of windows without an edge or grain, 0 to 1. */
  flat: number;
  /** Share of the edges that are soft: 0 to 1. Undefined where there are none. */
  softEdges: number | undefined;
}

/** Side of the patches whose borders are looked at: those of a token of the presets tiny and small at 32 x 32. */
const PATCH_SIZE = 8; // pixels
/** Side of the windows. */
const WINDOW = 3; // pixels
/** Range of a window, the largest of its channels: below FLAT nothing is seen in it, from EDGE on it holds an edge, which is a sharp one from SHARP on. */
const [FLAT, EDGE, SHARP] = [3, 12, 60]; // of 255

/**
 * Measures images batch by batch.
 * @returns add() takes images [B, H, W, 3] in [-1, 1], of the same size each time, and leaves them; finish() gives the measures of all
 */
export function accumulateSurface(): { add(images: tf.Tensor4D): Promise<void>; finish(): SurfaceMeasures } {
  const sums = { acrossBorders: 0, atBorders: 0, acrossOthers: 0, atOthers: 0, windows: 0, flat: 0, edges: 0, soft: 0 };
  return {
    async add(images) {
      const counted = tf.tidy(() => {
        const [batch, height, width, channels] = images.shape;
        const neighbours = (from: number[], size: number[]): tf.Tensor => tf.abs(tf.sub(tf.slice(images, from, size), tf.slice(images, [0, 0, 0, 0], size)));
        const down = tf.sum(neighbours([0, 1, 0, 0], [batch, height - 1, width, channels]), [0, 2, 3]); // [H - 1]
        const right = tf.sum(neighbours([0, 0, 1, 0], [batch, height, width - 1, channels]), [0, 1, 3]); // [W - 1]
        const levels = tf.mul(images, 127.5) as tf.Tensor4D;
        const range = tf.max(tf.add(tf.maxPool(levels, WINDOW, 1, "valid"), tf.maxPool(tf.neg(levels) as tf.Tensor4D, WINDOW, 1, "valid")), 3); // [B, H - 2, W - 2]
        const below = (limit: number): tf.Tensor => tf.sum(tf.less(range, limit).toFloat());
        return tf.concat([down, right, tf.stack([below(FLAT), below(EDGE), below(SHARP)])]);
      });
      const values = await counted.data();
      counted.dispose();
      const [batch, height, width, channels] = images.shape;
      for (const [first, length, lines] of [[0, height - 1, width], [height - 1, width - 1, height]]) {
        for (let index = 0; index < length; index++) {
          const isBorder = (index + 1) % PATCH_SIZE === 0;
          sums[isBorder ? "acrossBorders" : "acrossOthers"] += values[first + index];
          sums[isBorder ? "atBorders" : "atOthers"] += batch * lines * channels;
        }
      }
      const [flat, belowEdge, belowSharp] = values.slice(-3);
      const windows = batch * (height - WINDOW + 1) * (width - WINDOW + 1);
      sums.windows += windows;
      sums.flat += flat;
      sums.edges += windows - belowEdge;
      sums.soft += belowSharp - belowEdge;
    },
    finish() {
      const { acrossBorders, atBorders, acrossOthers, atOthers, windows, flat, edges, soft } = sums;
      return { seams: acrossOthers > 0 ? acrossBorders / atBorders / (acrossOthers / atOthers) : undefined, flat: flat / windows, softEdges: edges > 0 ? soft / edges : undefined };
    },
  };
}
