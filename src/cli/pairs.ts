import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { portablePath } from "../model/files";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import type { TrainConfig } from "../model/config";
import type { LoadedTeacher, RefinementNoise, RefinementOptions, Teacher, TeacherFiles } from "../model/distillation";
import type { tf } from "../model/engine/tf";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";
import { wholeNumber } from "./sample";

interface PairsFlags {
  teacher: string;
  guide?: string;
  guidance: number;
  decoder?: string;
  from?: string;
  start: number;
  noise: RefinementNoise;
  evaluations: number;
  count: number;
  seed: number;
  json?: boolean;
}

/** Options that say how another one's model is used. */
const NEEDED: Partial<Record<keyof PairsFlags, keyof PairsFlags>> = { guidance: "guide", start: "from", noise: "from" };

export function pairsCommand(): Command {
  const command = new Command("pairs")
    .description("make noise and the images that one step has to make of it, by a trained flow, for train --pairs")
    .argument("<file>", "where they are kept, a .safetensors file; one that holds fewer of the same is gone on with")
    .requiredOption("--teacher <file>", "the flow: a trained model of the method latent-flow")
    .option("--guide <file>", "a worse model of the same flow, from which it is led away")
    .option("--guidance <factor>", "with --guide: how far it is led away, 1 and above", Number, 2)
    .option("--decoder <file>", "what makes images of the flow's latents: a CrossFlow network or a model of the method decoder; without it the autoencoder's decoder")
    .option("--from <file>", "a CrossFlow network whose one-step images the flow ends; without it images are the flow's own")
    .option("--start <time>", "with --from: the time from which the flow is followed, above 0 and at most 1", Number, 0.5)
    .addOption(new Option("--noise <kind>", "with --from: the noise with which an image is taken back to there: that it was made of, or that with its channels exchanged").choices(["own", "exchanged"]).default("exchanged"))
    .option("--evaluations <count>", "evaluations of the flow for an image", wholeNumber, 8)
    .option("--count <pairs>", "pairs in all, of each class as many", wholeNumber, 8000)
    .option("--seed <number>", "seed of the noise", wholeNumber, 0);
  addJsonOption(command).action((file: string, flags: PairsFlags) => {
    for (const [option, needed] of Object.entries(NEEDED)) {
      if (flags[needed] === undefined && command.getOptionValueSource(option) === "cli") throw new CommandError(`--${option} means nothing without --${needed}: add --${needed} with a model file, or leave --${option} out.`, EXIT.usage);
    }
    return makePairsFile(file, flags);
  });
  return addExamples(command, [
    "pairs runs/pairs.safetensors --teacher checkpoints/avatars-flow.safetensors --count 2000",
    "pairs runs/pairs.safetensors --teacher checkpoints/avatars-flow.safetensors --guide checkpoints/avatars-flow-guide.safetensors --from checkpoints/avatars.safetensors --start 0.5",
    "train refined --preset crisp --from checkpoints/avatars.safetensors --pairs runs/pairs.safetensors --loss pixel-absolute=1",
  ]);
}

async function makePairsFile(file: string, flags: PairsFlags): Promise<void> {
  if (!file.endsWith(".safetensors")) throw new CommandError(`Pairs are kept in a .safetensors file, not ${file}.`, EXIT.usage);
  if (!(flags.start > 0 && flags.start <= 1)) throw new CommandError(`--start is a time above 0 and at most 1, not ${flags.start}.`, EXIT.usage);
  if (flags.count < 1) throw new CommandError("--count must be at least 1, not 0.", EXIT.usage);
  if (flags.evaluations < 1) throw new CommandError("--evaluations must be at least 1, not 0.", EXIT.usage);
  if (!(flags.guidance >= 1)) throw new CommandError(`--guidance is a factor of at least 1, not ${flags.guidance}.`, EXIT.usage);
  const { startEngine } = await import("../model/engine/index.js");
  const { makePairs } = await import("../model/pairs.js");
  const { resolveConfig } = await import("../model/config.js");
  const { loadDataset } = await import("../model/data/load.js");
  const { datasetConfig, encoderFor } = await import("../model/resources.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const { loadTeacher } = await import("../model/distillation.js");
  await startEngine();
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const options = { signal, onProgress: (event: Parameters<typeof formatProgress>[0]) => reporter.update(formatProgress(event)) };
  const { teacher: teacherModel, guide: guideModel = "", guidance, decoder: decoderModel = "", from, start, noise, evaluations, count, seed } = flags;
  const model = await loadModel(teacherModel);
  disposeModel(model);
  const config = resolveConfig(model.provenance.config as Partial<TrainConfig>);
  const encoder = await encoderFor(config, (await loadDataset(datasetConfig(config), options)).train, options);
  const subject = { network: { ...model.network, imageSize: config.imageSize }, encoderFingerprint: encoder.fingerprint, encoder };
  const loaded: LoadedTeacher[] = [];
  const load = async (file: string, parts: Pick<TeacherFiles, "guideModel" | "decoderModel"> = {}): Promise<LoadedTeacher> => {
    const teacher = await loadTeacher({ teacherModel: file, initialModel: "", guidance, ...parts }, subject);
    loaded.push(teacher);
    return teacher;
  };
  try {
    const flow = await load(teacherModel, { guideModel, decoderModel });
    if (!flow.flow) throw new CommandError(`--teacher must be a model of the method "latent-flow", and ${teacherModel} is another: train one (train --set method=latent-flow).`, EXIT.usage);
    const network = from === undefined ? undefined : await load(from);
    if (network?.flow) throw new CommandError(`--from must be a CrossFlow network, and ${from} is a latent flow: leave it out to make the flow's own images.`, EXIT.usage);
    const recipe = [
      `teacher ${fingerprinted(teacherModel)}`,
      ...(guideModel === "" ? [] : [`guide ${fingerprinted(guideModel)} with guidance ${guidance}`]),
      ...(decoderModel === "" ? [] : [`decoded by ${fingerprinted(decoderModel)}`]),
      ...(from === undefined ? [] : [`images of ${fingerprinted(from)} from time ${start} of ${noise} noise`]),
      `${evaluations} evaluations with spacing ${flow.teacher.spacing}`,
      `seed ${seed}`,
    ].join(", ");
    const made = await makePairs(file, await imagesOf(flow.teacher, network?.teacher.imageOf, (images) => encoder.encode(images), { start, noise, steps: evaluations }), {
      ...options, ...subject.network, classNames: model.classNames, encoderFingerprint: encoder.fingerprint, lossNetworks: [...new Set(loaded.flatMap(({ lossNetworks }) => lossNetworks))], recipe, count, seed,
    });
    if (flags.json) console.log(JSON.stringify({ ok: true, file, pairs: made, recipe }, null, 2));
    else console.log(formatTable([["pairs", `${made} in ${file}`], ["made by", recipe]]));
  } catch (error) {
    if (!signal.aborted) throw error;
    const kept = existsSync(file) ? `The pairs that were made are kept in ${file}: the same command goes on from there.` : "None were made yet.";
    throw new CommandError(`Interrupted. ${kept}`, EXIT.interrupted, { cause: error });
  } finally {
    loaded.forEach(({ dispose }) => dispose());
    encoder.dispose();
  }
}

/** What makes the images: the flow from noise, or the rest of the way from where a network's one step leads. */
async function imagesOf(teacher: Teacher, oneStep: Teacher["imageOf"] | undefined, latentsOf: (images: tf.Tensor4D) => tf.Tensor4D, options: RefinementOptions): Promise<(eps: tf.Tensor4D, y: tf.Tensor1D) => tf.Tensor4D> {
  const { distillationTarget, refinementTarget } = await import("../model/distillation.js");
  const { tf } = await import("../model/engine/tf.js");
  return (eps, y) => tf.tidy(() => {
    const t = tf.ones([eps.shape[0]]) as tf.Tensor1D;
    return oneStep ? refinementTarget(teacher, oneStep, latentsOf, eps, t, y, options) : distillationTarget({ ...teacher, steps: options.steps }, eps, t, y);
  });
}

/** A file's name with the beginning of its digest: another file of the same name is another. */
const fingerprinted = (file: string): string => `${portablePath(file)} (${createHash("sha256").update(readFileSync(file)).digest("hex").slice(0, 12)})`;
