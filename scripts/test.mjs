import { join, relative } from "node:path";
import { listFiles } from "./build.mjs";
import { expectedError, runOnTerminal } from "./child.mjs";
import { project } from "./paths.mjs";
import { run as setUp } from "./setup.mjs";

/** npm test: sets up, builds and runs the tests; arguments pick the files whose path contains one of them. */
export async function run(patterns) {
  const code = await setUp(["--with-browser"]);
  if (code !== 0) return code;
  const tests = listFiles(join(project, "dist", "test"))
    .map((file) => relative(project, file))
    .filter((file) => file.endsWith(".test.js"))
    .filter((file) => patterns.length === 0 || patterns.some((pattern) => file.includes(pattern)));
  if (tests.length === 0) throw expectedError(`No test file's path contains ${patterns.map((pattern) => `"${pattern}"`).join(" or ")}.`, 2);
  return runOnTerminal(process.execPath, ["--test", "--test-reporter=spec", ...tests], { cwd: project });
}
