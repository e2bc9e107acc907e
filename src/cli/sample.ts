import { existsSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { projectRoot } from "../model/files";
import { nearestNames } from "../model/nearest-name";
import { CommandError, EXIT, addExamples, addJsonOption } from "./output";

interface SampleFlags {
  class?: string;
  count: number;
  seed: number;
  temperature: number;
  r: number;
  evaluations?: number;
  decoder?: string;
  out?: string;
  scale: number;
  json?: boolean;
}

/** The noise's standard deviation where nothing is said, as sample() has it: the command line loads the engine only when it is needed. */
export const SAMPLE_TEMPERATURE = 1;

/** The model that comes with the project. */
export const SHIPPED_MODEL = join("checkpoints", "avatars.safetensors");

/**
 * The model file that an argument means: a file, or the name of a run.
 * @throws CommandError (wrong usage) when there is neither
 */
export async function findModel(model: string | undefined): Promise<string> {
  const { runPaths } = await import("../model/run.js");
  const candidates = model === undefined ? [join(projectRoot(), SHIPPED_MODEL)] : [model, runPaths(model).modelFile];
  const found = candidates.find((file) => file.endsWith(".safetensors") && existsSync(file));
  if (!found) throw new CommandError(`There is no model ${model ?? SHIPPED_MODEL}: expected a .safetensors file or the name of a finished run (looked for ${candidates.join(" and ")}). Train one: npx crossflow train`, EXIT.usage);
  return found;
}

export function sampleCommand(): Command {
  const command = new Command("sample")
    .description("draw images: of CrossFlow in one step, x = F(eps, 0, y), of a baseline by its own method")
    .argument("[model]", "a model file or the name of a run; the shipped avatars by default")
    .option("--class <name>", "one class only; all by default")
    .option("--count <images>", "images of each class", wholeNumber, 8)
    .option("--seed <number>", "seed of the noise", wholeNumber, 0)
    .option("--temperature <deviation>", "standard deviation of the noise; below 1 images vary less", Number, SAMPLE_TEMPERATURE)
    .option("--evaluations <count>", "evaluations of the network, of a latent flow (default: 32)", wholeNumber)
    .option("--decoder <model>", "what makes images of a latent flow's latents: a CrossFlow network or a model of the method decoder; without it the autoencoder's decoder")
    .option("--r <time>", "the time that the network is asked for, 0 to 1", Number, 0)
    .option("--scale <factor>", "enlarge each pixel so many times", wholeNumber, 4)
    .option("--out <file>", "picture to write (.png, .jpg or .webp)");
  addJsonOption(command).action(sampleImages);
  return addExamples(command, ["sample", "sample --class lorelei --count 16 --out lorelei.png", "sample first --seed 7 --temperature 0.8 --out samples.png"]);
}

async function sampleImages(name: string | undefined, flags: SampleFlags): Promise<void> {
  const { startEngine } = await import("../model/engine/index.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const { generatorOf } = await import("./generator.js");
  const { imagesToPixels } = await import("../model/data/image-batch.js");
  const { imageGrid, writePicture } = await import("../model/image-files.js");
  await startEngine();
  const file = await findModel(name);
  const model = await loadModel(file);
  const classes = flags.class === undefined ? model.classNames.map((_, label) => label) : [model.classNames.indexOf(flags.class)];
  if (classes.includes(-1)) throw new CommandError(`This model has no class "${flags.class}": ${nearestNames(flags.class ?? "", model.classNames).join(", ") || model.classNames.join(", ")}`, EXIT.usage);
  const labels = classes.flatMap((label) => new Array<number>(flags.count).fill(label));
  const generator = await generatorOf(file, model, flags);
  const started = performance.now();
  const images = generator.draw(labels, flags.seed);
  const [pixels, imageSize] = [await imagesToPixels(images), images.shape[1]];
  const milliseconds = (performance.now() - started) / labels.length;
  images.dispose();
  generator.dispose();
  disposeModel(model);
  const out = flags.out ?? "samples.png";
  await writePicture(out, imageGrid(pixels, imageSize, { columns: flags.count, scale: flags.scale }));
  const result = { model: file, sampling: generator.description, picture: out, classes: classes.map((label) => model.classNames[label]), count: flags.count, seed: flags.seed, temperature: flags.temperature, millisecondsPerImage: milliseconds };
  if (flags.json) console.log(JSON.stringify({ ok: true, ...result }, null, 2));
  else console.log(`${out}: one row a class (${result.classes.join(", ")}), ${milliseconds.toFixed(1)} ms an image`);
}

export function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new CommandError(`Expected a whole number, got ${text}.`, EXIT.usage);
  return Number(text);
}
