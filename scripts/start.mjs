import { join } from "node:path";
import { runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";
import { run as setUp } from "./setup.mjs";

/** npm start: sets up, then opens JupyterLab, or with --headless executes all notebooks, or with --workshop makes a copy for a participant and opens that. */
export async function run(startArguments) {
  const code = await setUp([]);
  if (code !== 0) return code;
  const [headless, workshop] = ["--headless", "--workshop"].map((word) => startArguments.includes(word));
  const rest = startArguments.filter((argument) => argument !== "--headless" && argument !== "--workshop");
  const command = join(project, "dist", "src", "cli", "index.js");
  return runOnTerminal(process.execPath, [command, headless ? "notebooks" : workshop ? "workshop" : "lab", ...rest], { cwd: project });
}
