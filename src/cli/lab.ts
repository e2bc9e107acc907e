import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Command } from "commander";
import { kernelName } from "../kernel-helpers/kernelspec";
import { projectRoot } from "../model/files";
import { environmentPython, pythonVariables } from "../setup/python";
import { labProblems, missingBrowserHint } from "./lab-check";
import { CommandError, addExamples } from "./output";

/** Settings of the JupyterLab that this project opens: no news, no questions, nothing that needs a network. */
export function jupyterArguments(folder: string, userId: number | undefined): string[] {
  return [
    `--ServerApp.root_dir=${folder}`,
    `--MultiKernelManager.default_kernel_name=${kernelName}`,
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    // Jupyter asks for this word of those who work as root, as in containers.
    ...(userId === 0 ? ["--allow-root"] : []),
  ];
}

export function labCommand(): Command {
  const command = new Command("lab")
    .description("open JupyterLab on the notebooks; further arguments go to Jupyter")
    .argument("[arguments...]", "e.g. --no-browser --port=8889")
    .allowUnknownOption()
    .option("--full", "long trainings in all notebooks, in place of short ones")
    .action((further: string[], { full = false }: { full?: boolean }) => openLab(join(projectRoot(), "notebooks"), further, full ? { CROSSFLOW_SETTING: "FULL" } : {}));
  return addExamples(command, ["lab", "lab --full", "lab --no-browser --port=8889"]);
}

/**
 * Opens JupyterLab on a folder and waits for its end.
 * @param further arguments for Jupyter
 * @param variables for the kernels
 */
export async function openLab(folder: string, further: readonly string[], variables: NodeJS.ProcessEnv = {}): Promise<void> {
  const project = projectRoot();
  const python = environmentPython(project);
  const problems = await labProblems(project, further);
  if (problems.length > 0) throw new CommandError(problems.join("\n"));
  const hint = missingBrowserHint(further, process.env);
  if (hint) process.stderr.write(`${hint}\n`);
  // Jupyter asks at the first Ctrl-C and ends at the second; this process waits for it.
  process.on("SIGINT", () => undefined);
  const child = spawn(python, ["-m", "jupyter", "lab", ...jupyterArguments(folder, process.getuid?.()), ...further], {
    cwd: project,
    stdio: "inherit",
    env: { ...pythonVariables(process.env), ...variables },
  });
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  const [code] = await once(child, "exit");
  process.exitCode = code ?? 1;
}
