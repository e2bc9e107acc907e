import { existsSync } from "node:fs";
import { join } from "node:path";
import { build, buildIsCurrent } from "./build.mjs";
import { expectedError, runOnTerminal } from "./child.mjs";
import { withLock } from "./lock.mjs";
import { installPackages, packagesAreInstalled } from "./packages.mjs";
import { cacheDirectory, project } from "./paths.mjs";

/** npm run setup, crossflow setup: installs what is missing and gives an exit code. */
export async function run(setupArguments) {
  // Progress goes to the error output when the standard output is for a program to read.
  const say = setupArguments.includes("--json") ? console.error : console.log;
  const tellWaiting = ({ pid }) => say(`Another set-up is running (process ${pid}); waiting for it to end ...`);

  return withLock(
    join(project, ".crossflow"),
    async () => {
      await prepareProject(say);
      // The cache folder is shared by all checkouts: a slow npm ci of one must not hold up the others.
      return withLock(cacheDirectory(), () => runOnTerminal(process.execPath, [join(project, "dist", "src", "setup", "main.js"), ...setupArguments], { cwd: project }), tellWaiting);
    },
    tellWaiting,
  );
}

/** Everything that compiled code needs before it can take over: npm packages and the build. */
async function prepareProject(say) {
  await timed(say, "npm packages", "installing with npm ci (10 to 60 s)", packagesAreInstalled(), installPackages);
  await timed(say, "build", "compiling TypeScript (about 15 s)", buildIsCurrent(), async () => {
    if ((await build()) !== 0 || !existsSync(join(project, "dist", "src", "setup", "main.js"))) {
      throw expectedError("The TypeScript sources don't compile; the compiler says where above.");
    }
  });
}

async function timed(say, title, plan, isCurrent, install) {
  if (isCurrent) return;
  say(`  ${title.padEnd(16)} ${plan} ...`);
  const start = performance.now();
  await install();
  say(`  ${title.padEnd(16)} done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}
