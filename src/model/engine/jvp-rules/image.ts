import { linear } from "./combinators";
import type { JvpRules } from "./registry";

/** Rules of the kernels that resample images: linear in the image. Boxes and transforms must be constant. */
export const imageRules: JvpRules = {
  ResizeNearestNeighbor: linear(["images"]),
  ResizeNearestNeighborGrad: linear(["dy"], { ignored: ["images"] }),
  ResizeBilinear: linear(["images"]),
  ResizeBilinearGrad: linear(["dy"], { ignored: ["images"] }),
  FlipLeftRight: linear(["image"]),
  RotateWithOffset: linear(["image"], { attributes: { fillValue: 0 } }),
  Transform: linear(["image"], { attributes: { fillValue: 0 } }),
  CropAndResize: linear(["image"], { attributes: { extrapolationValue: 0 } }),
};
