import { multilinear, linear } from "./combinators";
import type { JvpRules } from "./registry";

/** Rules of the matrix products, and of what arranges matrices. */
export const matrixRules: JvpRules = {
  BatchMatMul: multilinear(["a", "b"]),
  Einsum: multilinear(),
  Diag: linear(["x"]),
};
