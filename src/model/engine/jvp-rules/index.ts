import { binaryRules } from "./binary";
import { complexRules } from "./complex";
import { convolutionRules } from "./convolution";
import { elementwiseRules } from "./elementwise";
import { imageRules } from "./image";
import { indexingRules } from "./indexing";
import { matrixRules } from "./matrix";
import { poolingRules } from "./pooling";
import { reductionRules } from "./reduction";
import type { JvpRules } from "./registry";
import { shapeRules } from "./shape";

/** The forward-mode rules of all differentiable kernels of tfjs, by kernel name. */
export const jvpRules: JvpRules = {
  ...elementwiseRules,
  ...binaryRules,
  ...reductionRules,
  ...matrixRules,
  ...shapeRules,
  ...indexingRules,
  ...convolutionRules,
  ...poolingRules,
  ...imageRules,
  ...complexRules,
};
