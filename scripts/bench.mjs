import { join } from "node:path";
import { runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";
import { run as setUp } from "./setup.mjs";

/** npm run bench: sets up, then measures against peers. */
export async function run(benchArguments) {
  const code = await setUp([]);
  return code !== 0 ? code : runOnTerminal(process.execPath, [join(project, "dist", "bench", "main.js"), ...benchArguments], { cwd: project });
}
