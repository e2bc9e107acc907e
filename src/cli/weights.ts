import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import type { Dialect, Misfit } from "../model/weights/name-map";
import type { PretrainedNetwork } from "../model/weights/networks";
import type { WeightsFile } from "../model/weights/weights-file";
import { CommandError, EXIT, addExamples, addJsonOption, formatTable } from "./output";

interface WeightsFlags {
  network?: string;
  out?: string;
  json?: boolean;
}

export function weightsCommand(): Command {
  const command = new Command("weights").description("pretrained weights: which files are wanted, whether a file is one of them, and conversion");
  const list = addJsonOption(new Command("list").description("the networks and the file that each wants: where it is published, its licence and size")).action(listNetworks);
  const check = addJsonOption(new Command("check").description("which network a file belongs to, and whether it is complete").argument("<file>", ".safetensors, .safetensors.index.json, .pth, .pt, .ckpt or .bin").option("--network <name>", "check against this network alone")).action(checkFile);
  const convert = addJsonOption(
    new Command("convert").description("write a published file as one safetensors file in this project's names and layouts").argument("<file>", "the published file").option("--network <name>", "the network, where the file fits several").option("--out <file>", "the file to write; by default beside the published one"),
  ).action(convertFile);
  addExamples(list, ["weights list", "weights list --json"]);
  addExamples(check, ["weights check diffusion_pytorch_model.safetensors", "weights check vgg.pth --network lpips-vgg16-heads"]);
  addExamples(convert, ["weights convert pt_inception-2015-12-05-6726825d.pth", "weights convert model.ckpt --network sd-vae --out sd-vae.safetensors"]);
  command.addCommand(list).addCommand(check).addCommand(convert);
  return command;
}

async function listNetworks(flags: WeightsFlags): Promise<void> {
  const { PRETRAINED_NETWORKS, parameterBytes, wantedFiles } = await import("../model/weights/networks.js");
  const { shownMegabytes, weightsPath } = await import("../model/weights/published.js");
  const networks = PRETRAINED_NETWORKS.map((network) => ({
    name: network.name,
    use: network.use,
    parameterBytes: parameterBytes(network.wanted()),
    files: wantedFiles(network).map(({ file, role }) => {
      const { file: fileName, publishedAs, license, megabytes, obtainedBy } = file;
      return { file: fileName, role, publishedAs, license, megabytes, obtainedBy, path: weightsPath(file), present: existsSync(weightsPath(file)) };
    }),
  }));
  if (flags.json) {
    console.log(JSON.stringify({ ok: true, networks }, null, 2));
    return;
  }
  const rows = networks.flatMap(({ name, use, parameterBytes: bytes, files }) => [
    [`${name}: ${use}; ${formatMegabytes(bytes)} of parameters as float32`],
    ...files.map(({ file, role, publishedAs, license, megabytes, obtainedBy, path, present }) => [
      `  ${role === "wanted" ? "" : `${role} `}${file}${megabytes === undefined ? "" : `, ${shownMegabytes(megabytes)}`}\n    from ${publishedAs}\n    licence: ${license}\n    ${present ? "is at" : obtainedBy === "setup" ? "fetched by: npx crossflow setup; belongs at" : "download it to"} ${path}`,
    ]),
    [""],
  ]);
  console.log(rows.map(([line]) => line).join("\n").trimEnd());
}

async function checkFile(path: string, flags: WeightsFlags): Promise<void> {
  const { openWeights } = await import("../model/weights/weights-file.js");
  const { bestDialect, describeMisfit, fits } = await import("../model/weights/name-map.js");
  const candidates = await networksNamed(flags.network);
  const file = await openWeights(path);
  try {
    const results = candidates.map((network) => ({ network: network.name, ...bestDialect(network.wanted(), file.shapes) }));
    const fitting = results.filter(({ misfit }) => fits(misfit));
    const tensors = Object.keys(file.shapes).length;
    if (fitting.length === 0) {
      const nearest = results.reduce((best, result) => (faults(result.misfit) < faults(best.misfit) ? result : best));
      throw new CommandError(`${path} (${tensors} tensors) holds no network's weights as they are wanted. Nearest is ${nearest.network} (as ${nearest.dialect.name} names it): ${describeMisfit(nearest.misfit)}.`);
    }
    const broken = await notFinite(file, fitting[0]);
    if (broken.length > 0) throw new CommandError(`${path} has the names and shapes of ${fitting[0].network}, but ${broken.length} of its tensors hold values that are not finite (${broken.slice(0, 6).join(", ")}): it is damaged, or its training had failed. Fetch it again.`);
    const digest = await file.digest();
    const found = fitting.map(({ network, dialect }) => ({ network, dialect: dialect.name }));
    if (flags.json) console.log(JSON.stringify({ ok: true, file: path, tensors, digest, fits: found }, null, 2));
    else console.log(formatTable([["file", path], ["tensors", String(tensors)], ["digest", digest], ...found.map(({ network, dialect }) => ["complete for", `${network} (${dialect} names)`])]));
  } finally {
    await file.close();
  }
}

async function convertFile(path: string, flags: WeightsFlags): Promise<void> {
  const { startEngine } = await import("../model/engine/index.js");
  const { openWeights } = await import("../model/weights/weights-file.js");
  const { bestDialect, fits } = await import("../model/weights/name-map.js");
  const { convertWeights } = await import("../model/weights/load.js");
  const candidates = await networksNamed(flags.network);
  const file = await openWeights(path);
  const fitting = candidates.filter((network) => fits(bestDialect(network.wanted(), file.shapes).misfit));
  await file.close();
  // A file that fits none is converted for the network that was named, whose error says what is wrong.
  const chosen = fitting[0] ?? (flags.network === undefined ? undefined : candidates[0]);
  if (!chosen) throw new CommandError(`${path} holds no network's weights as they are wanted. What is wrong says: npx crossflow weights check ${path}`);
  const target = flags.out ?? `${path.replace(/(\.safetensors)?\.[^.]+$/, "")}.crossflow.safetensors`;
  if (resolve(target) === resolve(path)) throw new CommandError(`${target} is the published file itself, which would be lost. Give another name: --out FILE`, EXIT.usage);
  await startEngine();
  const { tensors, bytes, dialect } = await convertWeights(chosen.wanted(), path, target);
  const result = { file: target, network: chosen.name, dialect, tensors, bytes };
  if (flags.json) console.log(JSON.stringify({ ok: true, ...result }, null, 2));
  else console.log(`${target}: ${chosen.name} (from ${dialect} names), ${tensors} tensors, ${formatMegabytes(bytes)}`);
}

/** The networks that a file can be checked against. @throws CommandError (wrong usage) for an unknown name */
async function networksNamed(name: string | undefined): Promise<readonly PretrainedNetwork[]> {
  const { PRETRAINED_NETWORKS } = await import("../model/weights/networks.js");
  const { unknownNameMessage } = await import("../model/nearest-name.js");
  const chosen = name === undefined ? PRETRAINED_NETWORKS : PRETRAINED_NETWORKS.filter((network) => network.name === name);
  if (chosen.length === 0) throw new CommandError(unknownNameMessage("network", name ?? "", PRETRAINED_NETWORKS.map((network) => network.name)), EXIT.usage);
  return chosen;
}

/** Names of the tensors in which a network would find NaN or infinity. */
async function notFinite(file: WeightsFile, { dialect, prefix }: { dialect: Dialect; prefix: string }): Promise<string[]> {
  const { sourcesOf } = await import("../model/weights/name-map.js");
  const names = Object.values(dialect.parameters).flatMap((parameter) => sourcesOf(parameter).map((source) => prefix + source));
  const broken: string[] = [];
  for (const name of names) if (!(await file.read(name)).every(Number.isFinite)) broken.push(name);
  return broken;
}

function faults({ missing, spare, misshaped }: Misfit): number {
  return missing.length + spare.length + misshaped.length;
}

function formatMegabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 0)} MB`;
}
