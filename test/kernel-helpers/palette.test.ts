import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cividis, seriesColors } from "../../src/kernel-helpers/figures/palette";

type Rgb = [number, number, number];

// Machado, Oliveira, Fernandes, "A physiologically-based model for simulation of color vision deficiency", IEEE TVCG 15 (2009), severity 1, for linear RGB.
const simulations: Record<string, [Rgb, Rgb, Rgb]> = {
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  "full colour vision": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
};

const multiply = (matrix: readonly Rgb[], vector: Rgb): Rgb => matrix.map((row) => row.reduce((sum, value, index) => sum + value * vector[index], 0)) as Rgb;

/** Linear RGB of "#rrggbb" (IEC 61966-2-1). */
function linear(color: string): Rgb {
  return [1, 3, 5].map((start) => {
    const value = parseInt(color.slice(start, start + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }) as Rgb;
}

/** CIE L*a*b* under D65. */
function lab(rgb: Rgb): Rgb {
  const xyz = multiply([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], rgb.map((value) => Math.min(1, Math.max(0, value))) as Rgb);
  const [x, y, z] = xyz.map((value, index) => Math.cbrt(Math.max(value / [0.95047, 1, 1.08883][index], 1e-6)));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** The smallest colour difference (CIE 1976) between any two of some colours, as such an eye sees them. */
function smallestDifference(colors: readonly string[], eye: string): number {
  const seen = colors.map((color) => lab(multiply(simulations[eye], linear(color))));
  const differences = seen.flatMap((first, index) => seen.slice(index + 1).map((second) => Math.hypot(...first.map((value, axis) => value - second[axis]))));
  return Math.min(...differences);
}

/** A difference of 2.3 is just noticed on large areas side by side; lines and marks need several times that. */
const enough = 15;

describe("the palette", () => {
  for (const eye of Object.keys(simulations)) {
    test(`keeps all series apart with ${eye}`, () => {
      const difference = smallestDifference(seriesColors, eye);
      assert.ok(difference > enough, `smallest difference ${difference.toFixed(1)}`);
    });

    test(`the colour map's lightness rises from step to step with ${eye}`, () => {
      const lightness = cividis.map((color) => lab(multiply(simulations[eye], linear(color)))[0]);
      assert.ok(lightness.every((value, index) => index === 0 || value > lightness[index - 1] + 3), lightness.map((value) => value.toFixed(0)).join());
    });
  }

  test("the measure finds the pair that the colour-blind confuse", () => {
    const pair = ["#2ca02c", "#d62728"];
    assert.ok(smallestDifference(pair, "full colour vision") > 100);
    assert.ok(smallestDifference(["#9a8a00", "#6fa02c"], "protanopia") < enough);
  });
});
