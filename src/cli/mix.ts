import { Command } from "commander";
import { portablePath } from "../model/files";
import type { MixturePart } from "../model/mixture";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable } from "./output";
import { weightPrecision } from "./average";
import { findModel } from "./sample";

interface MixFlags {
  precision: "F32" | "F16";
  json?: boolean;
}

export function mixCommand(): Command {
  const command = new Command("mix")
    .description("make the mean of the weights of several models that went on from the same one")
    .argument("<out>", "model file to write")
    .argument("<model=share...>", "model files or names of runs; their shares add up to 1, and where none is given all count alike")
    .option("--precision <type>", "of the file: F32 or F16", weightPrecision, "F32");
  addJsonOption(command).action(mix);
  return addExamples(command, ["mix runs/both.safetensors first second", "mix both.safetensors runs/first/model.safetensors=0.85 checkpoints/avatars.safetensors=0.15 --precision F16", "evaluate both.safetensors"]);
}

async function mix(out: string, given: string[], flags: MixFlags): Promise<void> {
  if (!out.endsWith(".safetensors")) throw new CommandError(`A model is kept in a .safetensors file, not ${out}.`, EXIT.usage);
  const wanted = sharesOf(given);
  const { startEngine } = await import("../model/engine/index.js");
  const { mixModels } = await import("../model/mixture.js");
  const { disposeModel, loadModel, saveModel } = await import("../model/model.js");
  await startEngine();
  const parts: MixturePart[] = [];
  try {
    for (const { model, share } of wanted) {
      const file = await findModel(model);
      parts.push({ model: await loadModel(file), share, name: portablePath(file) });
    }
    const mixed = mixModels(parts);
    try {
      await saveModel(out, mixed, { dtype: flags.precision });
    } finally {
      disposeModel(mixed);
    }
    if (flags.json) console.log(JSON.stringify({ ok: true, model: out, mixture: mixed.provenance.mixture }, null, 2));
    else console.log(formatTable([["model", out], ...parts.map(({ name, share }) => [`${Number((100 * share).toPrecision(4))} %`, name])]));
  } finally {
    parts.forEach(({ model }) => disposeModel(model));
  }
}

/** @throws CommandError (wrong usage) when some have a share and others none, or one is no number */
function sharesOf(given: readonly string[]): { model: string; share: number }[] {
  const parts = given.map((text) => {
    const at = text.lastIndexOf("=");
    return at < 0 ? { model: text } : { model: text.slice(0, at), share: Number(text.slice(at + 1)) };
  });
  const shared = parts.filter(({ share }) => share !== undefined);
  if (shared.length > 0 && shared.length < parts.length) throw new CommandError(`Either each model has a share or none: ${parts.find(({ share }) => share === undefined)!.model} has none.`, EXIT.usage);
  const wrong = parts.findIndex(({ share }) => Number.isNaN(share));
  if (wrong >= 0) throw new CommandError(`A share is a number, such as ${parts[wrong].model}=0.5, not ${given[wrong]}.`, EXIT.usage);
  return parts.map(({ model, share = 1 / parts.length }) => ({ model, share }));
}
