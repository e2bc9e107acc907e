import { tf } from "../engine/tf";
import type { Parameters } from "../layers";
import { writeSafetensors, type SafetensorsTensor } from "../safetensors";
import { bestDialect, describeMisfit, fits, publishedShape, type Dialect, type PublishedParameter, type WantedWeights } from "./name-map";
import { openWeights, type WeightsFile } from "./weights-file";

export interface LoadedWeights {
  /** Our parameters; the caller's to dispose of. */
  parameters: Parameters;
  /** Of the file's bytes. */
  digest: string;
  /** In which dialect the file was written. */
  dialect: string;
}

/**
 * Loads a network's weights from any of the files in which they are published, or from one that `convertWeights` wrote.
 * @param source a path, or an open file, which stays open
 * @throws Error listing every missing, spare and misshaped tensor at once, against the dialect that fits best
 */
export async function loadWeights(wanted: WantedWeights, source: string | WeightsFile): Promise<LoadedWeights> {
  const file = typeof source === "string" ? await openWeights(source) : source;
  try {
    const { dialect, prefix } = requireFit(wanted, file);
    const parameters: Parameters = {};
    try {
      for (const [name, parameter] of Object.entries(dialect.parameters)) parameters[name] = await readParameter(file, prefix, parameter);
      return { parameters, digest: await file.digest(), dialect: dialect.name };
    } catch (error) {
      tf.dispose(parameters);
      throw error;
    }
  } finally {
    if (typeof source === "string") await file.close();
  }
}

/** The dialect of a file that fits. @throws Error listing all that doesn't */
export function requireFit(wanted: WantedWeights, file: Pick<WeightsFile, "path" | "shapes">): { dialect: Dialect; prefix: string } {
  const { dialect, prefix, misfit } = bestDialect(wanted, file.shapes);
  if (fits(misfit)) return { dialect, prefix };
  throw new Error(
    `${file.path} does not hold the weights of ${wanted.network} (as ${dialect.name} names them): ${describeMisfit(misfit)}. ` +
      `See which file is wanted with: npx crossflow weights list`,
  );
}

async function readParameter(file: WeightsFile, prefix: string, parameter: PublishedParameter): Promise<tf.Tensor> {
  const { from, layout, shape } = parameter;
  const there = [...publishedShape(parameter)];
  const size = there.reduce((product, side) => product * side, 1);
  const parts = await Promise.all((typeof from === "string" ? [from] : from).map((name) => (name === undefined ? new Float32Array(size) : file.read(prefix + name))));
  return tf.tidy(() => {
    const tensors = parts.map((values) => arranged(tf.tensor(values, there), layout));
    return (tensors.length === 1 ? tensors[0] : tf.concat(tensors, -1)).reshape([...shape]);
  });
}

function arranged(tensor: tf.Tensor, layout: PublishedParameter["layout"]): tf.Tensor {
  switch (layout) {
    case "same":
      return tensor;
    case "convolution":
      return tensor.transpose([2, 3, 1, 0]);
    case "linear":
      return tensor.transpose();
    case "pointwise":
      return tensor.squeeze([2, 3]).transpose();
    case "row":
      return tensor.flatten();
  }
}

/** What a converted file says of itself. */
const CONVERTED_KIND = "crossflow weights";

/**
 * Writes a network's weights as one safetensors file in our names and layouts, which loads without any rearrangement.
 * @param source the published file
 * @throws Error as loadWeights() does, or if the target can't be written
 */
export async function convertWeights(wanted: WantedWeights, source: string, target: string): Promise<{ tensors: number; bytes: number; dialect: string }> {
  const { parameters, digest, dialect } = await loadWeights(wanted, source);
  try {
    const tensors = Object.fromEntries(Object.entries(parameters).map(([name, tensor]): [string, SafetensorsTensor] => [name, { dtype: "F32", shape: tensor.shape, data: tensor.dataSync() as Float32Array }]));
    await writeSafetensors(target, tensors, { kind: CONVERTED_KIND, network: wanted.network, source: digest, dialect });
    return { tensors: Object.keys(tensors).length, bytes: Object.values(tensors).reduce((sum, { data }) => sum + data.byteLength, 0), dialect };
  } finally {
    tf.dispose(parameters);
  }
}
