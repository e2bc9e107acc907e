/** A number that moves between two ends in equal steps. */
export interface Slider {
  kind: "slider";
  from: number;
  to: number;
  step: number;
  /** Where it stands at first. */
  value: number;
}

/** A slider, or a list of texts or numbers to pick from, the first of them at first. */
export type Control = Slider | readonly (string | number)[];

/** Controls by the name that is shown beside them. */
export type Controls = Record<string, Control>;

/** What a control gives: a slider its number, a list the element picked. */
export type ControlValue<OneControl> = OneControl extends readonly (infer Value)[] ? Value : number;

/** What all controls give, by their names. */
export type ControlValues<AllControls> = { [Name in keyof AllControls]: ControlValue<AllControls[Name]> };

/**
 * A slider for {@link interactive}.
 *
 * @param value where it stands at first; default `from`
 * @throws RangeError if the ends or the step make no sense
 */
export function slider(from: number, to: number, step: number, value = from): Slider {
  if (!(from < to) || !(step > 0) || ![from, to, step].every(Number.isFinite)) {
    throw new RangeError(`slider: expected from < to and a step above 0, got from ${from} to ${to} in steps of ${step}.`);
  }
  if (!(value >= from && value <= to)) throw new RangeError(`slider: expected a first value from ${from} to ${to}, got ${value}.`);
  return { kind: "slider", from, to, step, value };
}

/** A control as a list of positions, whichever kind it is. */
export interface Positions {
  name: string;
  kind: "slider" | "choice";
  values: readonly (string | number)[];
  /** What is shown for each position. */
  labels: readonly string[];
  /** Index of the position at first. */
  first: number;
}

/** @throws RangeError if there is no control, or a list is empty or holds an element twice */
export function positionsOf(controls: Controls): Positions[] {
  const entries = Object.entries(controls);
  if (entries.length === 0) throw new RangeError("interactive: expected at least one control, such as { r: slider(0, 1, 0.1) }.");
  return entries.map(([name, control]) => {
    if (!("kind" in control)) {
      const labels = control.map(String);
      if (labels.length === 0 || new Set(labels).size < labels.length) {
        throw new RangeError(`interactive: expected "${name}" to be a list of one or more different elements, got [${labels.join(", ")}].`);
      }
      return { name, kind: "choice", values: control, labels, first: 0 };
    }
    const { from, to, step, value } = control;
    const count = Math.floor((to - from) / step + 1e-9) + 1;
    // 12 digits leave out the rounding error of 0.1 + 0.2.
    const values = Array.from({ length: count }, (_, index) => Number((from + index * step).toPrecision(12)));
    return { name, kind: "slider", values, labels: values.map(String), first: Math.min(count - 1, Math.round((value - from) / step)) };
  });
}

/** The positions of all controls that the combination of that number has; the last control's changes fastest. */
export function combination(positions: readonly Positions[], number: number): number[] {
  const indices: number[] = [];
  let rest = number;
  for (const { values } of [...positions].reverse()) {
    indices.unshift(rest % values.length);
    rest = Math.floor(rest / values.length);
  }
  return indices;
}

/** What the controls give at these positions. */
export function valuesAt(positions: readonly Positions[], indices: readonly number[]): Record<string, string | number> {
  return Object.fromEntries(positions.map(({ name, values }, index) => [name, values[indices[index]]]));
}

/** "class: rings, r: 0.5" */
export function describeValues(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values).map(([name, value]) => `${name}: ${value}`).join(", ");
}
