import { nearestNames } from "../../model/nearest-name";

/** What an exercise asks for: a number, a list of numbers, a tensor, or a function of numbers (or of lists of numbers) that gives one of these. */
export type Answer = number | readonly number[] | { dataSync(): ArrayLike<number> } | ((...inputs: never[]) => Answer);

/** A function of the answer's kind, as exercises keep them. */
export type AnswerFunction = (...inputs: any[]) => number | readonly number[];

export interface Exercise {
  /** The word that `check` takes. */
  name: string;
  /** What is to be written, in a sentence. */
  task: string;
  /** Arguments at which answers are compared; none where the answer is a value. */
  inputs: readonly (readonly unknown[])[];
  /** The right answer. */
  solution: AnswerFunction;
  /** Wrong answers that are often given, and what to tell whoever gives them. */
  mistakes: readonly { answer: AnswerFunction; advice: string }[];
  /** From a push in the right direction to nearly the answer. */
  hints: readonly string[];
}

export interface Verdict {
  name: string;
  /** "exact": to floating-point accuracy; "close": within 2 percent, so rounded or approximated; "open": not answered yet. */
  result: "exact" | "close" | "wrong" | "open";
  /** In words, with what is typical for the mistake made. */
  message: string;
}

const EXACT = 1e-5;
const CLOSE = 0.02;

const exercises = new Map<string, Exercise>();

/** Adds an exercise, or replaces the one of its name; for notebooks of one's own too. */
export function defineExercise(exercise: Exercise): void {
  exercises.set(exercise.name, exercise);
}

/** All exercises, in the order in which they were defined. */
export function allExercises(): Exercise[] {
  return [...exercises.values()];
}

/**
 * The exercise of a name.
 * @throws Error naming the nearest ones where there is none
 */
export function exerciseNamed(name: string): Exercise {
  const exercise = exercises.get(name);
  if (exercise) return exercise;
  const near = nearestNames(name, [...exercises.keys()]);
  throw new Error(`there is no exercise "${name}"${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : `: choose one of ${[...exercises.keys()].join(", ")}`}`);
}

/** Compares an answer with the solution at the exercise's inputs, and with the mistakes that are typical. */
export function judge(exercise: Exercise, answer: unknown): Verdict {
  const verdict = (result: Verdict["result"], message: string): Verdict => ({ name: exercise.name, result, message });
  if (answer === undefined || answer === null) return verdict("open", `Nothing yet. ${exercise.task}`);
  const cases = exercise.inputs.length > 0 ? exercise.inputs : [[]];
  if (exercise.inputs.length > 0 && typeof answer !== "function") return verdict("wrong", `Expected a function, got ${describeKind(answer)}. ${exercise.task}`);
  let given: number[][];
  try {
    given = cases.map((inputs) => numbersOf(typeof answer === "function" ? (answer as AnswerFunction)(...inputs) : answer));
  } catch (error) {
    return verdict("wrong", `Your answer threw ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`);
  }
  const wanted = cases.map((inputs) => numbersOf(exercise.solution(...inputs)));
  const misshaped = given.findIndex((values, index) => values.length !== wanted[index].length);
  if (misshaped >= 0) return verdict("wrong", `Expected ${count(wanted[misshaped].length)} ${atInputs(cases[misshaped])}, got ${count(given[misshaped].length)}.`);
  if (given.flat().every((value) => Number.isNaN(value))) return verdict("open", `Nothing yet. ${exercise.task}`);
  const distance = largestDistance(given, wanted);
  if (distance <= EXACT) return verdict("exact", "It agrees with the solution.");
  // A typical mistake may lie close to the truth at these inputs; it is still that mistake.
  const mistake = exercise.mistakes.find(({ answer: wrong }) => largestDistance(given, cases.map((inputs) => numbersOf(wrong(...inputs)))) <= EXACT);
  if (mistake) return verdict("wrong", `Not yet: ${mistake.advice}`);
  if (distance <= CLOSE) return verdict("close", `Close: within ${(100 * distance).toPrecision(2)} %. Rounded, or an approximation?`);
  return verdict("wrong", `Not yet: ${firstDifference(cases, given, wanted)}.${factorHint(given.flat(), wanted.flat())} Try hint("${exercise.name}").`);
}

/** Numbers of a value, a list or a tensor. @throws TypeError for anything else */
function numbersOf(value: unknown): number[] {
  if (typeof value === "number") return [value];
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as unknown as ArrayLike<unknown>).flatMap(numbersOf);
  if (typeof value === "object" && value !== null && "dataSync" in value) return Array.from((value as { dataSync(): ArrayLike<number> }).dataSync(), Number);
  throw new TypeError(`expected a number, a list of numbers or a tensor, got ${describeKind(value)}`);
}

function describeKind(value: unknown): string {
  return Array.isArray(value) ? "a list" : value === null ? "null" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** Largest difference between two lists of lists, relative to the wanted values' largest size; infinite where a value isn't finite. */
function largestDistance(given: readonly number[][], wanted: readonly number[][]): number {
  const scale = Math.max(...wanted.flat().map(Math.abs), 1e-6);
  const differences = wanted.flatMap((values, row) => values.map((value, index) => Math.abs(given[row]?.[index] - value) / scale));
  return differences.every(Number.isFinite) ? Math.max(...differences) : Infinity;
}

function firstDifference(cases: readonly (readonly unknown[])[], given: readonly number[][], wanted: readonly number[][]): string {
  const row = wanted.findIndex((values, index) => largestDistance([given[index]], [values]) > EXACT);
  const column = wanted[row].findIndex((value, index) => !(Math.abs(given[row][index] - value) <= EXACT * Math.max(Math.abs(value), 1e-6)));
  const place = wanted[row].length > 1 ? `, number ${column + 1}` : "";
  return `${atInputs(cases[row])}${place} it is ${short(given[row][column])}, expected ${short(wanted[row][column])}`;
}

/** Says so where all values are off by one and the same factor. */
function factorHint(given: readonly number[], wanted: readonly number[]): string {
  const ratios = given.map((value, index) => value / wanted[index]).filter((ratio, index) => Math.abs(wanted[index]) > 1e-6 && Number.isFinite(ratio));
  if (ratios.length < 2 || ratios.some((ratio) => Math.abs(ratio - ratios[0]) > 1e-3 * Math.abs(ratios[0]))) return "";
  return ratios[0] === -1 ? " Everything has the wrong sign." : ` Everything is off by the factor ${short(ratios[0])}.`;
}

function atInputs(inputs: readonly unknown[]): string {
  return inputs.length === 0 ? "as an answer" : `for (${inputs.map((input) => (typeof input === "number" ? short(input) : JSON.stringify(input))).join(", ")})`;
}

const count = (numbers: number): string => (numbers === 1 ? "one number" : `${numbers} numbers`);
const short = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value));
