import type { MimeBundle } from "../cell-outputs";
import { display } from "../display";
import { describeFigure } from "./describe";
import type { Figure } from "./figure";
import { figurePng } from "./static-figure";

/**
 * A figure in all forms: interactive where Plotly can draw, else a picture of the same data, else its description. There is
 * no HTML among them: where a notebook isn't trusted, front ends would take that and then show nothing.
 */
export async function figureBundle(figure: Figure): Promise<MimeBundle> {
  return {
    "application/vnd.plotly.v1+json": { data: figure.data, layout: figure.layout, config: { displaylogo: false, responsive: true } },
    // One pixel a pixel of the layout: JupyterLab's renderer of Plotly shows this picture until it is pointed at, in the picture's own size, whatever the metadata say.
    "image/png": await figurePng(figure, 1),
    "text/plain": describeFigure(figure),
  };
}

/** How wide the picture is to be shown. */
export function figureMetadata({ layout }: Figure): Record<string, unknown> {
  return { "image/png": { width: layout.width, height: layout.height } };
}

/** Shows a figure below the cell. */
export async function showFigure(figure: Figure): Promise<void> {
  display(await figureBundle(figure), { metadata: figureMetadata(figure) });
}
