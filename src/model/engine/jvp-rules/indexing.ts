import { linear } from "./combinators";
import type { JvpRules } from "./registry";

/** Rules of the kernels that read or write at integer positions: linear in the values, constant in the positions. */
export const indexingRules: JvpRules = {
  GatherV2: linear(["x"]),
  GatherNd: linear(["params"]),
  ScatterNd: linear(["updates"]),
  TensorScatterUpdate: linear(["tensor", "updates"]),
  SparseToDense: linear(["sparseValues", "defaultValue"]),
  SparseFillEmptyRows: linear(["values", "defaultValue"]),
  SparseSegmentSum: linear(["data"]),
  SparseSegmentMean: linear(["data"]),
  UnsortedSegmentSum: linear(["x"]),
  Bincount: linear(["weights"]),
  DenseBincount: linear(["weights"]),
  RaggedGather: linear(["paramsDenseValues"]),
  RaggedTensorToTensor: linear(["values", "defaultValue"]),
};
