import { Command } from "commander";
import { installKernel, listKernels, uninstallKernel } from "../kernel-helpers/kernelspec";
import { addExamples, addJsonOption, formatTable } from "./output";

interface PlaceOptions {
  user?: boolean;
  prefix?: string;
  json?: boolean;
}

export function kernelCommand(): Command {
  const command = new Command("kernel").description("install, remove or list the notebook kernel");
  command.addCommand(installCommand());
  command.addCommand(uninstallCommand());
  command.addCommand(listCommand());
  return addExamples(command, ["kernel install", "kernel install --user", "kernel list --json"]);
}

function addPlaceOptions(command: Command): Command {
  return addJsonOption(
    command
      .option("--user", "in your own Jupyter folder, for any JupyterLab of yours")
      .option("--prefix <folder>", "in folder/share/jupyter, as for a virtual environment"),
  );
}

function installCommand(): Command {
  const command = new Command("install").description("make the kernel known to Jupyter; by default to the project's own JupyterLab");
  addPlaceOptions(command).action(async ({ json, ...place }: PlaceOptions) => {
    const folder = await installKernel(place);
    console.log(json ? JSON.stringify({ ok: true, folder }, null, 2) : `Installed the kernel in ${folder}`);
  });
  return addExamples(command, ["kernel install", "kernel install --user", "kernel install --prefix ~/venvs/work"]);
}

function uninstallCommand(): Command {
  const command = new Command("uninstall").description("remove the kernel from where install put it");
  addPlaceOptions(command).action(async ({ json, ...place }: PlaceOptions) => {
    const folder = await uninstallKernel(place);
    if (json) console.log(JSON.stringify({ ok: true, folder: folder ?? null }, null, 2));
    else console.log(folder ? `Removed ${folder}` : "The kernel is not installed there: nothing to remove.");
  });
  return addExamples(command, ["kernel uninstall", "kernel uninstall --user"]);
}

function listCommand(): Command {
  const command = new Command("list").description("the kernels in the project's and in your own Jupyter folder");
  addJsonOption(command).action(async ({ json }: { json?: boolean }) => {
    const kernels = await listKernels();
    if (json) console.log(JSON.stringify(kernels, null, 2));
    else if (kernels.length === 0) console.log("No kernels. Install CrossFlow's with: npx crossflow kernel install");
    else console.log(formatTable(kernels.map(({ name, displayName, folder }) => [name, displayName, folder])));
  });
  return addExamples(command, ["kernel list", "kernel list --json"]);
}
