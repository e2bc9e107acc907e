import type { SafetensorsTensor } from "./safetensors-format";

/** How weights are kept in files: "F16" halves the file and rounds each weight by less than 1 in 2,048, "F32" keeps every bit. */
export type WeightPrecision = "F32" | "F16";

/** Weights of a shape as a file's tensor of that precision. */
export function storedWeights(shape: number[], values: Float32Array, dtype: WeightPrecision): SafetensorsTensor {
  return dtype === "F16" ? { dtype, shape, data: float16FromFloat32(values) } : { dtype, shape, data: values };
}

const buffer = new ArrayBuffer(4);
const [asFloat, asBits] = [new Float32Array(buffer), new Uint32Array(buffer)];

/**
 * IEEE 754 binary32 to binary16 (as its bits), rounded to nearest, ties to even; what is too large becomes infinite.
 * Halves the size of weights at a relative error below 2^-11.
 */
export function float16FromFloat32(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, halfOf);
}

function halfOf(value: number): number {
  asFloat[0] = value;
  const bits = asBits[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00); // not a number, infinite or from 2^16
  if (magnitude < 0x38800000) {
    // Below 2^-14: a subnormal, a whole number of 2^-24.
    asBits[0] = magnitude;
    return sign | roundedToEven(asFloat[0] * 2 ** 24);
  }
  const rebased = magnitude - (112 << 23);
  const kept = rebased >>> 13;
  const rest = rebased & 0x1fff;
  // A carry out of the fraction goes to the exponent, as it should.
  return sign | (kept + (rest > 0x1000 || (rest === 0x1000 && (kept & 1) === 1) ? 1 : 0));
}

function roundedToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
}
