import { join } from "node:path";
import { runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";
import { run as setUp } from "./setup.mjs";

/** npm run profile: sets up, then shows where a training step's time goes. */
export async function run(profileArguments) {
  const code = await setUp([]);
  return code !== 0 ? code : runOnTerminal(process.execPath, [join(project, "dist", "bench", "profile.js"), ...profileArguments], { cwd: project });
}
