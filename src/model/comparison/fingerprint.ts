import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import type { TrainConfig } from "../config";
import { tf } from "../engine/tf";
import { lossNamed, type Terms } from "../losses";
import { reconstructionPrediction, residualOf } from "../objective";
import { randomStream } from "../random";

/** The first 16 hexadecimal digits of a SHA-256 over values, as JSON with sorted keys. */
export function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value, sortedKeys)).digest("hex").slice(0, 16);
}

function sortedKeys(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

// What plans, caches and tells of comparisons does not change what a training computes.
const NOT_TRAINING = ["comparison", "oracle", "index.js"];

/**
 * A hash of the compiled sources below a folder: changes with any line of code that a training or a measure could depend on.
 * @param folder the compiled model sources by default
 */
export function codeVersion(folder: string = join(__dirname, "..")): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".js"))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((file) => !NOT_TRAINING.includes(file.split(/[\\/]/)[0]))
    .sort();
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(folder, file))).update("\0");
  return hash.digest("hex").slice(0, 16);
}

/**
 * What a loss does, as far as it can be told without training: the text of its function, and its value and gradient on made-up terms, which see
 * what the function closes over (a constant of an earlier cell). A loss that needs a feature network or a critic is told by its text alone.
 */
export function lossFingerprint(name: string): string {
  const loss = lossNamed(name);
  let behaviour: string[] = [];
  try {
    behaviour = tf.tidy(() => {
      // A loss that throws shall do so here: an exception while gradients are recorded would leave the recorded tensors behind.
      loss(madeUpTerms(made("F")));
      const { value, grad } = tf.valueAndGrad((F) => loss(madeUpTerms(F as tf.Tensor4D)))(made("F"));
      return [value, grad].flatMap((tensor) => Array.from(tensor.dataSync(), (number) => number.toPrecision(4)));
    });
  } catch {
    behaviour = [];
  }
  return hashOf([String(loss), behaviour]);
}

/** Fingerprints of all losses that a configuration weighs. */
export function lossFingerprints(config: TrainConfig): Record<string, string> {
  return Object.fromEntries(Object.keys(config.losses).filter((name) => config.losses[name] > 0).map((name) => [name, lossFingerprint(name)]));
}

/** Hashes of the trained models that a configuration starts from or learns from: a file of the same name may hold another one by now. A missing file has none; the training says so. */
export function modelFingerprints({ initialModel, teacherModel, guideModel, decoderModel }: Pick<TrainConfig, "initialModel" | "teacherModel" | "guideModel" | "decoderModel">): Record<string, string> {
  const files = [...new Set([initialModel, teacherModel, guideModel, decoderModel])].filter((file) => file !== "" && existsSync(file));
  return Object.fromEntries(files.map((file) => [file, createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 16)]));
}

const made = (name: string): tf.Tensor4D => tf.tensor4d(randomStream(0, `made-up ${name}`).normal(4 * 16 * 3), [4, 4, 4, 3]);

function madeUpTerms(F: tf.Tensor4D): Terms {
  const [x0, dFdt, z, eps] = ["x0", "dFdt", "z", "eps"].map(made);
  const r = tf.tensor1d([0, 0.2, 0.5, 0.7]);
  const t = tf.tensor1d([1, 0.6, 0.5, 0.7]);
  const y = tf.tensor1d([0, 1, 0, 1], "int32");
  const missing = (): never => {
    throw new Error("made-up terms have no feature network and no critic");
  };
  const first = <T extends tf.Tensor>(tensor: T): T => tf.slice(tensor, 0, 1);
  return {
    x0, z, eps, r, t, y, F, dFdt,
    zT: tf.add(z, eps),
    v: tf.sub(eps, z),
    residual: residualOf(F, x0, dFdt, r, t),
    xHat: reconstructionPrediction(F, dFdt, r, t, 1),
    samples: { images: first(F), real: first(x0), y: first(y) },
    features: missing,
    critic: missing,
    correctionLimit: 1,
  };
}
