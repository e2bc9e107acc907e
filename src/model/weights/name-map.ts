/**
 * How a published tensor becomes a parameter of ours. PyTorch keeps the outputs first; TensorFlow, and so all networks here, keeps them last.
 *
 * - "same": as it is
 * - "convolution": [out, in, kh, kw] -> [kh, kw, in, out]
 * - "linear": [out, in] -> [in, out]
 * - "pointwise": a 1 x 1 convolution that is applied as a linear map, [out, in, 1, 1] -> [in, out]
 * - "row": [1, 1, D] or [1, D] -> [D]
 */
export type Layout = "same" | "convolution" | "linear" | "pointwise" | "row";

/** Where a parameter comes from in a published file. */
export interface PublishedParameter {
  /** The tensor's name; several are joined along the outputs, and undefined among them stands for zeros (a bias that was left out). */
  from: string | readonly (string | undefined)[];
  layout: Layout;
  /** Shape of our parameter. */
  shape: readonly number[];
  /** Published shape where the layout doesn't tell it: "row". */
  publishedShape?: readonly number[];
}

/** Our parameters' names, each with its source. */
export type NameMap = Record<string, PublishedParameter>;

/** One way in which a network's weights are published. */
export interface Dialect {
  /** For messages: "diffusers", "torchvision". */
  name: string;
  parameters: NameMap;
  /** Tensors of the file that this network has no use for, such as a classifier's head or a batch counter. */
  ignored?: RegExp;
}

/** A network's weights as they are wanted: our shapes, and the dialects in which they are published. */
export interface WantedWeights {
  /** Name of the network, as the command line knows it. */
  network: string;
  dialects: readonly Dialect[];
}

/** What keeps a file from being a network's weights; all lists empty if it fits. */
export interface Misfit {
  missing: string[];
  spare: string[];
  /** As text: name, shape there, shape wanted. */
  misshaped: string[];
}

/** Names that checkpoints put before all of a network's own. */
const PREFIXES = ["", "state_dict.", "model.", "module.", "first_stage_model.", "state_dict.first_stage_model.", "dinov2.", "model_ema."];

/** Our own files: our names and shapes, marked in the metadata. */
export function ownDialect(wanted: WantedWeights): Dialect {
  const parameters = Object.entries(wanted.dialects[0].parameters).map(([name, { shape }]): [string, PublishedParameter] => [name, { from: name, layout: "same", shape }]);
  return { name: "crossflow", parameters: Object.fromEntries(parameters) };
}

/** The tensor names of a parameter's source. */
export function sourcesOf({ from }: PublishedParameter): string[] {
  return typeof from === "string" ? [from] : from.filter((name) => name !== undefined);
}

/** The shape that one source tensor of a parameter has in the published file. */
export function publishedShape(parameter: PublishedParameter): readonly number[] {
  const { from, layout, shape } = parameter;
  const parts = typeof from === "string" ? 1 : from.length;
  const outputs = shape[shape.length - 1] / parts;
  switch (layout) {
    case "same":
      return [...shape.slice(0, -1), ...(shape.length > 0 ? [outputs] : [])];
    case "convolution":
      return [outputs, shape[2], shape[0], shape[1]];
    case "linear":
      return [outputs, shape[0]];
    case "pointwise":
      return [outputs, shape[0], 1, 1];
    case "row":
      return parameter.publishedShape ?? [1, 1, ...shape];
  }
}

/**
 * Compares a file's tensors with those that a dialect wants.
 * @param prefix what stands before every name; tensors without it are not this network's and count as spare only for the empty prefix
 */
export function misfitOf(dialect: Dialect, shapes: Readonly<Record<string, readonly number[]>>, prefix = ""): Misfit {
  const wanted = new Map(Object.values(dialect.parameters).flatMap((parameter) => sourcesOf(parameter).map((source): [string, readonly number[]] => [source, publishedShape(parameter)])));
  const found = new Map(Object.entries(shapes).flatMap(([name, shape]): [string, readonly number[]][] => (name.startsWith(prefix) ? [[name.slice(prefix.length), shape]] : [])));
  return {
    missing: [...wanted.keys()].filter((name) => !found.has(name)),
    spare: [...found.keys()].filter((name) => !wanted.has(name) && !dialect.ignored?.test(name)),
    misshaped: [...wanted].flatMap(([name, shape]) => {
      const there = found.get(name);
      return there && String(there) !== String(shape) ? [`${name} [${there}] instead of [${shape}]`] : [];
    }),
  };
}

const faultCount = ({ missing, spare, misshaped }: Misfit): number => missing.length + spare.length + misshaped.length;

/** The dialect and prefix that a file's names and shapes fit best, and what is wrong even so. */
export function bestDialect(wanted: WantedWeights, shapes: Readonly<Record<string, readonly number[]>>): { dialect: Dialect; prefix: string; misfit: Misfit } {
  const prefixes = PREFIXES.filter((prefix) => prefix === "" || Object.keys(shapes).some((name) => name.startsWith(prefix)));
  const candidates = [...wanted.dialects, ownDialect(wanted)].flatMap((dialect) => prefixes.map((prefix) => ({ dialect, prefix, misfit: misfitOf(dialect, shapes, prefix) })));
  return candidates.reduce((best, candidate) => (faultCount(candidate.misfit) < faultCount(best.misfit) ? candidate : best));
}

/** Whether a file fits. */
export function fits(misfit: Misfit): boolean {
  return faultCount(misfit) === 0;
}

/** "3 missing (a, b, c); 1 unknown (d)": at most six names of each kind. */
export function describeMisfit({ missing, spare, misshaped }: Misfit): string {
  const list = (names: readonly string[]): string => `${names.slice(0, 6).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}`;
  return [
    missing.length > 0 ? `${missing.length} missing (${list(missing)})` : "",
    spare.length > 0 ? `${spare.length} unknown (${list(spare)})` : "",
    misshaped.length > 0 ? `${misshaped.length} of another shape (${list(misshaped)})` : "",
  ]
    .filter(Boolean)
    .join("; ");
}
