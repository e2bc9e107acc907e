// Entry of every npm script: node scripts/run.mjs start|test|setup|build|bench|profile [arguments]. Plain JavaScript that old versions
// of Node can read too, so that they are told what to install instead of failing on a word they don't know.
import { readFileSync } from "fs";
import { dirname, join } from "path";
import { fileURLToPath } from "url";

const project = join(dirname(fileURLToPath(import.meta.url)), "..");
const minimum = JSON.parse(readFileSync(join(project, "package.json"), "utf8")).engines.node.replace(/[^\d.]/g, "");
const [major, minor] = process.versions.node.split(".").map(Number);
const [minimumMajor, minimumMinor] = minimum.split(".").map(Number);

if (major < minimumMajor || (major === minimumMajor && minor < minimumMinor)) {
  console.error(`CrossFlow needs Node ${minimum} or later, but this is Node ${process.versions.node}. Install a current Node (22 or 24) and run it again.`);
  process.exit(1);
}

const [command, ...commandArguments] = process.argv.slice(2);
if (!["start", "test", "setup", "build", "bench", "profile"].includes(command)) {
  console.error("Usage: node scripts/run.mjs start|test|setup|build|bench|profile [arguments]");
  process.exit(2);
}

import(`./${command}.mjs`)
  .then((module) => module.run(commandArguments))
  .then(
    (code) => process.exit(code),
    (error) => {
      console.error(error.expected ? `\n${error.message}` : error);
      process.exit(error.exitCode ?? 1);
    },
  );
