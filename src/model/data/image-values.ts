import { CHANNELS } from "./dataset";

/** The value in [-1, 1] of each byte: 0 is -1, 255 is 1. */
const UNIT_VALUES = Float32Array.from({ length: 256 }, (_, byte) => byte / 127.5 - 1);

/**
 * Writes one image's values in [-1, 1].
 * @param source bytes [S, S, 3]
 * @param target S S 3 numbers
 * @param flipped mirror left to right
 */
export function writeImageValues(source: Uint8Array, target: Float32Array, imageSize: number, flipped: boolean): void {
  if (flipped) writeFlipped(source, target, imageSize);
  else for (let offset = 0; offset < source.length; offset++) target[offset] = UNIT_VALUES[source[offset]];
}

/** Writes one image's values mirrored left to right. */
function writeFlipped(source: Uint8Array, target: Float32Array, imageSize: number): void {
  for (let row = 0; row < imageSize; row++) {
    for (let column = 0; column < imageSize; column++) {
      const from = (row * imageSize + column) * CHANNELS;
      const to = (row * imageSize + imageSize - 1 - column) * CHANNELS;
      for (let channel = 0; channel < CHANNELS; channel++) target[to + channel] = UNIT_VALUES[source[from + channel]];
    }
  }
}
