/** Parts of a training step by the functions that run in them; the first that is found on the stack counts. */
const PARTS: readonly (readonly [part: string, functions: RegExp])[] = [
  ["dF/dt (forward mode)", /\bapplyRule\b/],
  ["Muon", /\bmuon\b/],
  ["AdamW", /\badamW\b/],
  ["average of the weights", /\bupdateEma\b/],
  ["clipping", /\bclipByGlobalNorm\b/],
  ["critic's step", /\bgradientPenalty\b|\bcriticLoss\b|\bupdate\b/],
  ["losses, backward", /\bgradientDuringBackward\b/],
  ["network, backward", /\bbackpropagateGradients\b/],
  ["network, forward", /\bnetwork\b/],
  ["losses, forward", /\bnamedLoss\b/],
];

/** The part of the training step that runs now, told from the names on the stack. */
export function stepPart(): string {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 80;
  const stack = new Error().stack ?? "";
  Error.stackTraceLimit = limit;
  const names = stack.split("\n").map((line) => /at (?:async )?(?:new )?(\S+)/.exec(line)?.[1] ?? "").join(" ");
  return PARTS.find(([, functions]) => functions.test(names))?.[0] ?? "other";
}
