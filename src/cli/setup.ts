import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Command } from "commander";
import { projectRoot } from "../model/files";
import { addExamples, addJsonOption } from "./output";

export function setupCommand(): Command {
  const command = new Command("setup").description("install what is missing: npm packages, build, JupyterLab, TensorFlow, kernel, weights, data");
  addJsonOption(command).action(async ({ json }: { json?: boolean }) => {
    // The same script as npm start and npm test run: it may have to replace the very packages that this program uses.
    const script = join(projectRoot(), "scripts", "run.mjs");
    // Ctrl-C is the script's to handle; this process waits for it.
    process.on("SIGINT", () => undefined);
    const child = spawn(process.execPath, [script, "setup", ...(json ? ["--json"] : [])], { stdio: "inherit" });
    const [code] = await once(child, "exit");
    process.exitCode = code ?? 1;
  });
  return addExamples(command, ["setup", "setup --json"]);
}
