import { join } from "node:path";
import { runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";
import { run as setUp } from "./setup.mjs";

/** npm start: sets up, then opens JupyterLab, or with --headless executes all notebooks. */
export async function run(startArguments) {
  const code = await setUp([]);
  if (code !== 0) return code;
  const headless = startArguments.includes("--headless");
  const rest = startArguments.filter((argument) => argument !== "--headless");
  const command = join(project, "dist", "src", "cli", "index.js");
  return runOnTerminal(process.execPath, [command, headless ? "notebooks" : "lab", ...rest], { cwd: project });
}
