import { display } from "../display";
import { escapeHtml } from "../html";
import { recordEvent } from "../workshop-times";
import { exerciseNamed, judge, type Verdict } from "./exercise";
import "./walk";

const SIGNS: Readonly<Record<Verdict["result"], { word: string; color: string }>> = {
  // Told apart by word and mark too, not by colour alone.
  exact: { word: "✓ exact", color: "#00664a" },
  close: { word: "≈ close", color: "#005a8c" },
  wrong: { word: "✗ not yet", color: "#a34700" },
  open: { word: "… open", color: "#4a4a4a" },
};

/**
 * Checks the answer to an exercise and says whether it is exact, close, or how far off and what is typical for that mistake.
 *
 * @param answer a number, a list of numbers, a tensor or a function, as the exercise asks
 * @throws Error naming the exercises there are, for an unknown name
 */
export function check(name: string, answer?: unknown): void {
  const verdict = judge(exerciseNamed(name), answer);
  recordEvent({ kind: "exercise", name, result: verdict.result });
  const { word, color } = SIGNS[verdict.result];
  display({
    "text/html": `<div style="border-left: 4px solid ${color}; padding: 2px 10px; margin: 4px 0"><strong>${escapeHtml(name)}: ${word}</strong><br>${escapeHtml(verdict.message)}</div>`,
    "text/plain": `${name}: ${word}. ${verdict.message}`,
  });
}

const hintsGiven = new Map<string, number>();

/** Shows the next hint of an exercise, from a push in the right direction to nearly the answer; after the last it begins anew. */
export function hint(name: string): void {
  const { hints } = exerciseNamed(name);
  const given = hintsGiven.get(name) ?? 0;
  hintsGiven.set(name, (given + 1) % hints.length);
  display({ "text/plain": `Hint ${given + 1} of ${hints.length}: ${hints[given]}` });
}
