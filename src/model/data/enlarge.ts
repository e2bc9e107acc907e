import { CHANNELS, imageBytes } from "./dataset";

/** Source pixels that make one pixel of the result, in one direction. */
interface Taps {
  /** The first of the source pixels. */
  first: number;
  /** One weight a source pixel, of sum 1. */
  weights: Float64Array;
}

/** The parameter a of Keys' kernel for which it reproduces polynomials of degree 2. */
const KEYS_PARAMETER = -0.5;

/** Keys' cubic convolution kernel ("Cubic convolution interpolation for digital image processing", 1981, eq. 15). */
function cubicKernel(distance: number): number {
  const s = Math.abs(distance);
  const a = KEYS_PARAMETER;
  if (s < 1) return (a + 2) * s ** 3 - (a + 3) * s ** 2 + 1;
  if (s < 2) return a * s ** 3 - 5 * a * s ** 2 + 8 * a * s - 4 * a;
  return 0;
}

/** For each of `to` pixels, what it takes of `from` pixels over the same length. Beyond the edge there is nothing to take. */
function cubicTaps(from: number, to: number): Taps[] {
  return Array.from({ length: to }, (_, position) => {
    // Pixel centres lie at k + 1/2 in both grids.
    const centre = ((position + 0.5) * from) / to - 0.5;
    const first = Math.max(0, Math.floor(centre) - 1);
    const last = Math.min(from - 1, Math.floor(centre) + 2);
    const weights = Float64Array.from({ length: last - first + 1 }, (_, offset) => cubicKernel(centre - first - offset));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * Makes a function that enlarges square images by bicubic interpolation. (sharp would shift them by half a pixel of the
 * result: libvips doesn't centre an enlargement.)
 *
 * @param fromSize S
 * @param toSize T, at least S
 * @returns a function of [S, S, 3] to [T, T, 3], 0 to 255
 */
export function squareEnlarger(fromSize: number, toSize: number): (pixels: Uint8Array) => Uint8Array {
  const taps = cubicTaps(fromSize, toSize);
  return (pixels) => {
    // Rows first: [S, S, 3] to [S, T, 3].
    const widened = new Float64Array(fromSize * toSize * CHANNELS);
    for (let row = 0; row < fromSize; row++) {
      for (let column = 0; column < toSize; column++) {
        const { first, weights } = taps[column];
        for (let channel = 0; channel < CHANNELS; channel++) {
          let sum = 0;
          for (let tap = 0; tap < weights.length; tap++) sum += weights[tap] * pixels[(row * fromSize + first + tap) * CHANNELS + channel];
          widened[(row * toSize + column) * CHANNELS + channel] = sum;
        }
      }
    }
    // Then columns: [S, T, 3] to [T, T, 3]. The clamped array rounds, and clips where the kernel overshoots.
    const enlarged = new Uint8ClampedArray(imageBytes(toSize));
    const rowLength = toSize * CHANNELS;
    for (let row = 0; row < toSize; row++) {
      const { first, weights } = taps[row];
      for (let offset = 0; offset < rowLength; offset++) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap++) sum += weights[tap] * widened[(first + tap) * rowLength + offset];
        enlarged[row * rowLength + offset] = sum;
      }
    }
    return new Uint8Array(enlarged.buffer);
  };
}
