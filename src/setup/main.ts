// The second half of a set-up, started by scripts/setup.mjs once the npm packages and the build are there.
import { cacheDirectory, projectRoot } from "../model/files";
import { setUp, setupParts, testParts } from ".";
import { INTERRUPTED_MESSAGE, SetupError } from "./errors";
import { createReporter, formatSeconds, partLine } from "./report";

const EXIT_INTERRUPTED = 130;

async function main(options: { json: boolean; withBrowser: boolean }): Promise<number> {
  const interruption = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interruption.abort());

  const reporter = createReporter(options.json ? process.stderr : process.stdout);
  const context = { project: projectRoot(), cache: cacheDirectory(), signal: interruption.signal, environment: process.env };
  const start = performance.now();
  try {
    const parts = await setUp(options.withBrowser ? [...setupParts, ...testParts] : setupParts, context, reporter);
    const seconds = (performance.now() - start) / 1000;
    if (options.json) console.log(JSON.stringify({ ok: true, seconds, parts }, null, 2));
    else reporter.line(partLine("set-up", `complete (${formatSeconds(seconds)})`));
    return 0;
  } catch (error) {
    const isInterrupted = interruption.signal.aborted;
    const message = isInterrupted ? INTERRUPTED_MESSAGE : error instanceof SetupError ? error.message : String((error as Error).stack ?? error);
    if (options.json) console.log(JSON.stringify({ ok: false, seconds: (performance.now() - start) / 1000, error: message }, null, 2));
    reporter.line("");
    console.error(message);
    return isInterrupted ? EXIT_INTERRUPTED : 1;
  }
}

const flags = process.argv.slice(2);
main({ json: flags.includes("--json"), withBrowser: flags.includes("--with-browser") }).then((code) => process.exit(code));
