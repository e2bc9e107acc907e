/** A line's points. */
export interface Points {
  x: number[];
  y: number[];
}

/**
 * At most about `most` points of a line, so that a long training's chart stays small: of each stretch its lowest and its
 * highest value, in their order, so that no spike is lost; the first and the last point always.
 */
export function thinned(x: readonly number[], y: readonly number[], most = 600): Points {
  if (x.length <= most) return { x: [...x], y: [...y] };
  const stretches = Math.floor(most / 2);
  const kept = new Set([0, x.length - 1]);
  for (let stretch = 0; stretch < stretches; stretch++) {
    const from = Math.floor((stretch * x.length) / stretches);
    const to = Math.floor(((stretch + 1) * x.length) / stretches);
    let [lowest, highest] = [from, from];
    for (let index = from; index < to; index++) {
      if (y[index] < y[lowest]) lowest = index;
      if (y[index] > y[highest]) highest = index;
    }
    kept.add(lowest).add(highest);
  }
  const order = [...kept].sort((a, b) => a - b);
  return { x: order.map((index) => x[index]), y: order.map((index) => y[index]) };
}
