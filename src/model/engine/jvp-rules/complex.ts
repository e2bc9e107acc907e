import { tf } from "../tf";
import { linear } from "./combinators";
import type { JvpRules } from "./registry";

/** Rules of the kernels that make, split and transform complex numbers. */
export const complexRules: JvpRules = {
  Complex: linear(["real", "imag"]),
  Real: linear(["input"]),
  Imag: linear(["input"]),
  FFT: linear(["input"]),
  IFFT: linear(["input"]),
  // d|z| = (re d re + im d im) / |z|, and 0 at z = 0 as for the absolute value of a real number
  ComplexAbs: ({ inputs, tangents, outputs: [modulus] }) => {
    if (!tangents.x) return undefined;
    const radial = tf.add(tf.mul(tf.real(inputs.x), tf.real(tangents.x)), tf.mul(tf.imag(inputs.x), tf.imag(tangents.x)));
    return tf.divNoNan(radial, modulus);
  },
};
