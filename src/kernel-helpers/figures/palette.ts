/**
 * Colours that stay apart under the common kinds of colour blindness and on white and dark grounds: the palette of Okabe and
 * Ito, "Color Universal Design" (2008), without yellow and black, which vanish on one of the grounds.
 */
export const seriesColors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"] as const;

/** Series differ in dash and symbol too, so that none is told by its colour alone. */
export const seriesDashes = ["solid", "dash", "dot", "dashdot"] as const;
export const seriesSymbols = ["circle", "square", "diamond", "triangle-up"] as const;

/**
 * Stops of the "cividis" map, evenly spaced from low to high: of even lightness steps with and without colour vision
 * (Nuñez, Anderton, Renslow, "Optimizing colormaps with consideration for color vision deficiency", PLOS ONE 13, 2018).
 */
export const cividis = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"] as const;

export function cyclic<T>(values: readonly T[], index: number): T {
  return values[index % values.length];
}
