import type { Figure } from "../figures/figure";
import type { Renderer } from "./renderers";

/** Figures, drawn. */
export const figureRenderer: Renderer<Figure> = {
  name: "figure",
  matches: (value) => {
    const { data, layout } = value as Partial<Figure>;
    return Array.isArray(data) && typeof layout === "object" && layout !== null && "xaxis" in layout && "yaxis" in layout;
  },
  async render(figure) {
    // Loaded at first use: most cells draw nothing.
    const { figureBundle, figureMetadata } = require("../figures/show-figure") as typeof import("../figures/show-figure");
    return { bundle: await figureBundle(figure), metadata: figureMetadata(figure) };
  },
};
