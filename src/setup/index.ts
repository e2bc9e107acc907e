import { browserPart } from "./browser";
import { dataPart } from "./data";
import { enginePart } from "./engine";
import { SetupError } from "./errors";
import { kernelPart } from "./kernel";
import { linksPart } from "./links";
import type { Part, PartState, SetupContext } from "./part";
import { pythonPart } from "./python";
import { formatSeconds, partLine, type Reporter } from "./report";
import { weightsPart } from "./weights";

/** All parts of a set-up in the order in which they are installed: pip of the Python environment fetches what follows. */
export const setupParts: readonly Part[] = [linksPart, pythonPart, enginePart, kernelPart, weightsPart, dataPart];

/** What only the tests need besides. */
export const testParts: readonly Part[] = [browserPart];

export interface PartOutcome {
  name: string;
  title: string;
  /** "present": nothing to do; "installed": done now; "left out": it failed and there is a way without it. */
  outcome: "present" | "installed" | "left out";
  detail: string;
  seconds: number;
}

/**
 * Installs every part that is missing. Safe to repeat, and to go on with after an interruption at any point.
 *
 * @returns what was done with each part
 * @throws SetupError if an essential part can't be installed; the signal's reason if it was aborted
 */
export async function setUp(parts: readonly Part[], context: SetupContext, reporter: Reporter): Promise<PartOutcome[]> {
  const outcomes: PartOutcome[] = [];
  for (const part of parts) outcomes.push(await provide(part, context, reporter));
  return outcomes;
}

async function provide(part: Part, context: SetupContext, reporter: Reporter): Promise<PartOutcome> {
  const { name, title } = part;
  context.signal.throwIfAborted();
  const before = await part.check(context);
  if (before.ok) return { name, title, outcome: "present", detail: before.detail, seconds: 0 };

  reporter.line(partLine(title, `${part.plan(context)} ...`));
  const start = performance.now();
  const seconds = (): number => (performance.now() - start) / 1000;
  try {
    await part.install(context, (text) => reporter.update(partLine(title, text)));
    const after = await part.check(context);
    if (!after.ok) throw new SetupError(`${title}: ${after.detail} after its installation.`);
    reporter.line(partLine(title, `${after.detail} (${formatSeconds(seconds())})`));
    return { name, title, outcome: "installed", detail: after.detail, seconds: seconds() };
  } catch (error) {
    context.signal.throwIfAborted();
    const { message } = error as Error;
    const isFatal = error instanceof SetupError && error.fatal;
    if (part.without === undefined || isFatal) throw error instanceof SetupError ? error : new SetupError(`${title}: ${message}`, true, { cause: error });
    reporter.line(partLine(title, `left out: ${message} So ${part.without}.`));
    return { name, title, outcome: "left out", detail: message, seconds: seconds() };
  }
}

/** Looks at every part without changing anything. */
export async function inspectParts(parts: readonly Part[], context: SetupContext): Promise<(PartState & { name: string; title: string; essential: boolean })[]> {
  const states = [];
  for (const part of parts) {
    states.push({ name: part.name, title: part.title, essential: part.without === undefined, ...(await part.check(context)) });
  }
  return states;
}
