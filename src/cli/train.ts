import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { independenceNote } from "../model/metrics/independence";
import { formatProgress } from "../model/progress";
import { createReporter } from "../setup/report";
import type { TrainConfig } from "../model/config";
import type { StepEvent } from "../model/trainer";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable, interruptSignal } from "./output";

interface TrainFlags {
  config?: string;
  set?: Partial<TrainConfig>;
  loss?: Record<string, number>;
  paper?: boolean;
  resume?: boolean;
  replace?: boolean;
  from?: string;
  teacher?: string;
  guide?: string;
  decoder?: string;
  pairs?: string;
  json?: boolean;
  steps?: number;
  preset?: string;
  seed?: number;
}

/** Steps between the lines that stay on the terminal, as a share of the training. */
const LINES = 20;

export function trainCommand(): Command {
  const command = new Command("train")
    .description("train a network; a run of that name can be gone on with")
    .argument("[name]", "name of the run, whose files lie in runs/<name>")
    .option("--preset <name>", "size of the network: tiny, small, crisp, fine, dense, B, L or XL")
    .option("--steps <count>", "optimiser steps", Number)
    .option("--seed <number>", "seed of every random stream", Number)
    .option("--loss <name=weight>", "weight of a loss, may be given several times; without any, the configuration's", addLoss)
    .option("--set <key=value>", "any other option of the configuration, may be given several times", addSetting)
    .option("--config <file>", "JSON file with options of the configuration")
    .option("--paper", "the paper's settings where small trainings differ")
    .option("--from <file>", "start from the weights of a trained model, a run's model.safetensors; a network of the preset small may become one of crisp, fine or dense, one of crisp one of dense")
    .option("--teacher <file>", "one step learns what many steps of this trained model's flow arrive at: of the method crossflow or latent-flow; with --set endTarget=distribution its samples become like that flow's, with endTarget=refinement that flow ends the images of --from")
    .option("--guide <file>", "a worse model of the teacher's flow, say of fewer steps, from which the teacher is led away by guidance (2 unless set)")
    .option("--decoder <file>", "what makes images of a latent flow's latents: a CrossFlow network or a model of the method decoder; without it the autoencoder's decoder")
    .option("--pairs <file>", "one step learns images that a teacher made of noise before: what crossflow pairs wrote")
    .option("--resume", "go on from the run's last checkpoint")
    .option("--replace", "move a run of that name aside");
  addJsonOption(command).action(trainRun);
  return addExamples(command, [
    "train first --steps 1200",
    "train losses --loss pixel=1 --loss perceptual=0.5 --loss adversarial=0.5 --set batchSize=48",
    "train first --steps 1200 --resume",
    "train second --from runs/first/model.safetensors",
    "train flow --steps 3000 --set method=latent-flow",
    "train balanced --set 'classRepeats={\"thumbs\":2,\"shapes\":3}'",
    "train distilled --from runs/first/model.safetensors --teacher runs/flow/model.safetensors",
    "train guided --from runs/first/model.safetensors --teacher runs/flow/model.safetensors --guide runs/early/model.safetensors --set guidance=2",
    "train matched --from runs/distilled/model.safetensors --teacher runs/flow/model.safetensors --set endTarget=distribution",
    "train whole --from runs/matched/model.safetensors --teacher runs/flow/model.safetensors --set endTarget=refinement --loss pixel-absolute=1",
    "train whole --from runs/matched/model.safetensors --teacher runs/flow/model.safetensors --decoder runs/matched/model.safetensors --set endTarget=refinement --loss pixel-absolute=1",
    "train refined --from runs/matched/model.safetensors --pairs runs/pairs.safetensors --loss pixel-absolute=1",
    "train clean --from runs/matched/model.safetensors --set endTarget=reconstruction --loss pixel-absolute=1 --steps 300",
    "train mine --config mine.json --json",
  ]);
}

async function trainRun(name: string | undefined, flags: TrainFlags): Promise<void> {
  const { train } = await import("../model/trainer.js");
  const { PAPER_SETTINGS, resolveConfig } = await import("../model/config.js");
  const { runPaths } = await import("../model/run.js");
  const { describeAlarm } = await import("../model/diagnostics/alarms.js");
  const config = resolveConfig({
    ...(flags.teacher === undefined ? {} : { endTarget: "distillation" }),
    ...(flags.pairs === undefined ? {} : { endTarget: "pairs" }),
    ...(flags.paper ? PAPER_SETTINGS : {}),
    ...(flags.config === undefined ? {} : readConfig(flags.config)),
    ...flags.set,
    ...defined({ name, preset: flags.preset, steps: flags.steps, seed: flags.seed, losses: flags.loss, initialModel: flags.from === undefined ? undefined : resolve(flags.from) }),
    ...(flags.pairs === undefined ? {} : { pairsFile: resolve(flags.pairs) }),
    ...(flags.guide === undefined ? {} : { guideModel: resolve(flags.guide) }),
    ...(flags.decoder === undefined ? {} : { decoderModel: resolve(flags.decoder) }),
    ...(flags.teacher === undefined ? {} : { teacherModel: resolve(flags.teacher) }),
  });
  const reporter = createReporter(process.stderr);
  const signal = interruptSignal();
  const run = runPaths(config.name);
  const every = Math.max(1, Math.round(config.steps / LINES));
  const alarmed = new Set<string>();
  let last: StepEvent | undefined;
  const spent = { seconds: 0, dataSeconds: 0 };
  try {
    const existing = flags.resume ? "resume" : flags.replace ? "replace" : "fail";
    for await (const event of train(config, { signal, existing, onProgress: (progress) => reporter.update(formatProgress(progress)) })) {
      last = event;
      spent.seconds += event.seconds;
      spent.dataSeconds += event.dataSeconds;
      const progress = formatProgress({ label: "training", done: event.step, total: event.steps, elapsedSeconds: event.elapsedSeconds, secondsLeft: event.secondsLeft });
      for (const alarm of event.diagnostics?.alarms ?? []) {
        if (alarmed.has(alarm.name)) continue;
        alarmed.add(alarm.name);
        reporter.line(`Sign of a collapse in step ${event.step}: ${describeAlarm(alarm)}`);
      }
      if (event.step % every === 0 || event.step === event.steps) reporter.line(`${progress}  ${describeLosses(event)}`);
      else reporter.update(progress);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    const kept = last ? `Interrupted after step ${last.step}. The checkpoint is kept: the same command with --resume goes on from there.` : "Interrupted before a step was done; nothing has changed.";
    throw new CommandError(kept, EXIT.interrupted, { cause: error });
  }
  const dataShare = spent.seconds > 0 ? spent.dataSeconds / spent.seconds : 0;
  const result = { run: run.folder, model: run.modelFile, steps: last?.step ?? config.steps, seconds: last?.elapsedSeconds, dataShare, losses: last?.losses, lossNetworks: last?.lossNetworks };
  const note = independenceNote(last?.lossNetworks ?? []);
  if (flags.json) console.log(JSON.stringify({ ok: true, ...result }, null, 2));
  else console.log(formatTable([["run", run.folder], ["model", run.modelFile], ["metrics", run.metricsFile], ["diagnostics", run.diagnosticsFile], ["samples", run.samples], ["data", `${(100 * dataShare).toFixed(1)} % of the steps' time`], ...(note === undefined ? [] : [["measures", note]])]));
}

function describeLosses({ losses }: StepEvent): string {
  return Object.entries(losses)
    .map(([name, value]) => `${name} ${value.toPrecision(3)}`)
    .join("  ");
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function addLoss(text: string, before: Record<string, number> = {}): Record<string, number> {
  const [, name, weight] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || !Number.isFinite(Number(weight))) throw new InvalidArgumentError("Expected a name and a weight, such as pixel=1.");
  return { ...before, [name]: Number(weight) };
}

/** A value that reads as JSON is taken as such; all else is a text. */
function addSetting(text: string, before: Record<string, unknown> = {}): Record<string, unknown> {
  const [, key, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (key === undefined) throw new InvalidArgumentError("Expected a key and a value, such as batchSize=48.");
  try {
    return { ...before, [key]: JSON.parse(value) };
  } catch {
    return { ...before, [key]: value };
  }
}

function readConfig(file: string): Partial<TrainConfig> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Partial<TrainConfig>;
  } catch (error) {
    throw new CommandError(`The configuration ${file} can not be read: ${(error as Error).message}`, EXIT.usage, { cause: error });
  }
}
