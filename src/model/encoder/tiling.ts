import { tf } from "../engine/tf";

/** Sides of the square tiles, and how much of a tile the next one covers again. */
export interface Tiling {
  /** Pixels. */
  imageTile: number;
  /** Latent pixels. */
  latentTile: number;
}

/** Share of a tile that the next one covers again. */
const OVERLAP = 0.25;

/** @param imageTile side in pixels @param factor pixels along a side of what one latent pixel covers */
export function tilingFor(imageTile: number, factor: number): Tiling {
  if (!Number.isInteger(imageTile / factor / 4)) throw new Error(`the tiles' side must be a multiple of ${4 * factor} pixels, not ${imageTile}`);
  return { imageTile, latentTile: imageTile / factor };
}

/**
 * Encodes a large image in overlapping tiles, blended where they overlap, so that memory does not grow with the image. As diffusers does; the result
 * differs a little from encoding the whole, since a tile's norms and attention see the tile alone.
 * @param images [B, H, W, 3]
 * @returns [B, h, w, C], with C of what `encode` gives for a tile
 */
export function encodeTiled(images: tf.Tensor4D, { imageTile, latentTile }: Tiling, encode: (tile: tf.Tensor4D) => tf.Tensor4D): tf.Tensor4D {
  return mapTiles(images, imageTile, latentTile, encode);
}

/** Decodes large latents in the same way. @param latents [B, h, w, c] @returns [B, H, W, 3] */
export function decodeTiled(latents: tf.Tensor4D, { imageTile, latentTile }: Tiling, decode: (tile: tf.Tensor4D) => tf.Tensor4D): tf.Tensor4D {
  return mapTiles(latents, latentTile, imageTile, decode);
}

/**
 * @param from side of a tile of the input
 * @param to side of what `map` makes of it
 */
function mapTiles(x: tf.Tensor4D, from: number, to: number, map: (tile: tf.Tensor4D) => tf.Tensor4D): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const step = from * (1 - OVERLAP);
  const blended = to * OVERLAP;
  const kept = to - blended;
  return tf.tidy(() => {
    let above: tf.Tensor4D[] = [];
    const rows: tf.Tensor4D[] = [];
    for (let top = 0; top < height; top += step) {
      const row: tf.Tensor4D[] = [];
      for (let left = 0; left < width; left += step) {
        let tile = map(x.slice([0, top, left, 0], [batch, Math.min(from, height - top), Math.min(from, width - left), channels]));
        if (above.length > 0) tile = blend(above[row.length], tile, blended, 1);
        if (row.length > 0) tile = blend(row[row.length - 1], tile, blended, 2);
        row.push(tile);
      }
      rows.push(tf.concat(row.map((tile) => tile.slice([0, 0, 0, 0], [batch, Math.min(kept, tile.shape[1]), Math.min(kept, tile.shape[2]), tile.shape[3]])), 2));
      above = row;
    }
    return tf.concat(rows, 1);
  });
}

/** The second tile, whose first lines along an axis pass linearly from the last lines of the first tile. @param axis 1 for rows, 2 for columns */
function blend(first: tf.Tensor4D, second: tf.Tensor4D, extent: number, axis: 1 | 2): tf.Tensor4D {
  const length = Math.min(first.shape[axis], second.shape[axis], extent);
  const lines = (tensor: tf.Tensor4D, start: number, count: number): tf.Tensor4D => {
    const [begin, size] = [[0, 0, 0, 0], [...tensor.shape]];
    begin[axis] = start;
    size[axis] = count;
    return tensor.slice(begin as [number, number, number, number], size as [number, number, number, number]);
  };
  const share = tf.range(0, length).div(length).reshape(axis === 1 ? [1, length, 1, 1] : [1, 1, length, 1]);
  const mixed = lines(first, first.shape[axis] - length, length).mul(tf.sub(1, share)).add(lines(second, 0, length).mul(share));
  return tf.concat([mixed as tf.Tensor4D, lines(second, length, second.shape[axis] - length)], axis);
}
