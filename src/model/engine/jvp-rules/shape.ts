import { linear } from "./combinators";
import type { JvpRules } from "./registry";

/** Rules of the kernels that move, repeat or drop elements: the tangent moves along. */
export const shapeRules: JvpRules = {
  Identity: linear(["x"]),
  Cast: linear(["x"]),
  Reshape: linear(["x"]),
  ExpandDims: linear(["input"]),
  Transpose: linear(["x"]),
  Tile: linear(["x"]),
  Reverse: linear(["x"]),
  Concat: linear(),
  Pack: linear(),
  Unpack: linear(["value"]),
  SplitV: linear(["x"]),
  Slice: linear(["x"]),
  StridedSlice: linear(["x"]),
  // The padding is a constant: its tangent is zero.
  PadV2: linear(["x"], { attributes: { constantValue: 0 } }),
  MirrorPad: linear(["x"]),
  DepthToSpace: linear(["x"]),
  SpaceToBatchND: linear(["x"]),
  BatchToSpaceND: linear(["x"]),
};
