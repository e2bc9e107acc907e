import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Command } from "commander";
import { addExamples, addJsonOption } from "./output";
import { findModel } from "./sample";

interface PageFlags {
  out?: string;
  title?: string;
  json?: boolean;
}

export function pageCommand(): Command {
  const command = new Command("page")
    .description("write one HTML page that runs a trained generator in any browser, without a network")
    .argument("[model]", "the name of a run or a model file; the shipped avatars by default")
    .option("--out <file>", "the page to write; page.html beside a run's model, NAME.html here for other files")
    .option("--title <text>", "the page's heading");
  addJsonOption(command).action(writePage);
  return addExamples(command, ["page first", "page first --out my-model.html --title \"My generator\"", "page checkpoints/avatars.safetensors"]);
}

async function writePage(name: string | undefined, flags: PageFlags): Promise<void> {
  const { startEngine } = await import("../model/engine/index.js");
  const { disposeModel, loadModel } = await import("../model/model.js");
  const { writeFileAtomic } = await import("../model/files.js");
  const { modelPage } = await import("../page/index.js");
  const file = await findModel(name);
  await startEngine();
  const model = await loadModel(file);
  const isRun = basename(file) === "model.safetensors";
  const title = flags.title ?? (isRun ? basename(dirname(file)) : basename(file, ".safetensors"));
  const out = flags.out ?? (isRun ? join(dirname(file), "page.html") : `${basename(file, ".safetensors")}.html`);
  try {
    await writeFileAtomic(out, await modelPage(model, { title }));
  } finally {
    disposeModel(model);
  }
  const bytes = statSync(out).size;
  if (flags.json) console.log(JSON.stringify({ ok: true, page: out, model: file, bytes }, null, 2));
  else console.log(`${out}: ${(bytes / 1e6).toFixed(1)} MB, one file that needs no network. Open it: ${pathToFileURL(out)}`);
}
