/** The value below which a share of the numbers lies, interpolated linearly between the two nearest. @throws RangeError for no numbers */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError("quantile: expected at least one number.");
  const sorted = [...values].sort((a, b) => a - b);
  const position = share * (sorted.length - 1);
  const below = Math.floor(position);
  return sorted[below] + (position - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** First and third quartile. */
export const quartiles = (values: readonly number[]): [number, number] => [quantile(values, 0.25), quantile(values, 0.75)];

/**
 * The exponent e of y = a x^e that fits best: the slope of a straight line through the logarithms, by least squares.
 * @throws RangeError for fewer than two points
 */
export function fittedExponent(points: readonly { x: number; y: number }[]): number {
  if (points.length < 2) throw new RangeError("fittedExponent: expected at least two points.");
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }));
  const mean = (key: "x" | "y"): number => logs.reduce((sum, point) => sum + point[key], 0) / logs.length;
  const [meanX, meanY] = [mean("x"), mean("y")];
  const covariance = logs.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0);
  return covariance / logs.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
}
