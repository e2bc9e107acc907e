import { TRAIN_OPTIONS } from "../config";
import { defineLoss } from "../losses";
import { PIXEL_LOSS_DEFAULTS, pixelLoss, type PixelLossOptions } from "../losses/pixel";
import { nearestNames } from "../nearest-name";
import { randomStream } from "../random";
import type { AnalysisOptions } from "./analysis";
import { COMPARE_DEFAULTS } from "./compare";
import { unknownOptions, type Budget, type Variant } from "./plan";

/** Values of one option in a random search: one of a list, or between two numbers, evenly on a linear or logarithmic scale. */
export type RandomChoice = readonly unknown[] | { low: number; high: number; scale?: "linear" | "log"; whole?: boolean };

/** What a sweep file may hold. */
export interface SweepFile {
  /** Names the folder of results. */
  name: string;
  /** What is asked, for the reader. */
  question?: string;
  /** Options that all variants share. */
  base?: Variant;
  /** Pixel losses to define, by name: options of pixelLoss(). */
  pixelLosses?: Record<string, Partial<PixelLossOptions>>;
  /** Variants by name. */
  variants?: Record<string, Variant>;
  /** Every combination of these values is a variant. */
  grid?: Record<string, readonly unknown[]>;
  /** So many variants with values drawn at random. */
  random?: { count: number; seed?: number; options: Record<string, RandomChoice> };
  seeds: number | readonly number[];
  /** One comparison a budget. */
  budgets: readonly Budget[];
  samples?: number;
  baseline?: string;
  pairs?: AnalysisOptions["pairs"];
}

/** A sweep that has been checked and spelled out. */
export interface Sweep extends Required<Pick<SweepFile, "name" | "base" | "pixelLosses" | "seeds" | "budgets" | "samples" | "pairs">> {
  variants: Record<string, Variant>;
  baseline: string;
}

const KEYS: (keyof SweepFile)[] = ["name", "question", "base", "pixelLosses", "variants", "grid", "random", "seeds", "budgets", "samples", "baseline", "pairs"];

/**
 * Checks a sweep file's content and spells out its variants: those named, each combination of the grid, and the draws of the random search.
 * @throws Error listing every unknown key of the file and of the configuration, with near names, and everything else that is wrong
 */
export function expandSweep(given: unknown): Sweep {
  if (typeof given !== "object" || given === null || Array.isArray(given)) throw new Error("a sweep file holds one JSON object with name, seeds, budgets, and variants, grid or random");
  const file = given as SweepFile;
  const faults = nearFaults("key", Object.keys(file), KEYS);
  const { name, base = {}, pixelLosses = {}, variants: named = {}, grid = {}, random, seeds, budgets = [], samples = COMPARE_DEFAULTS.samples, pairs = "baseline" } = file;
  const under = (place: string, options: object | undefined): void => void faults.push(...unknownOptions(Object.keys(options ?? {})).map((fault) => `${place}: ${fault}`));
  under("base", base);
  Object.entries(named).forEach(([variant, options]) => under(`variants.${variant}`, options));
  under("grid", grid);
  under("random.options", random?.options);
  for (const [loss, options] of Object.entries(pixelLosses)) faults.push(...nearFaults(`option of pixelLosses.${loss}`, Object.keys(options), Object.keys(PIXEL_LOSS_DEFAULTS)));
  if (typeof name !== "string") faults.push("name is missing");
  if (seeds === undefined) faults.push("seeds is missing: how many, or a list");
  if (!Array.isArray(budgets) || budgets.length === 0) faults.push('budgets is missing: a list such as [{ "steps": 200, "batchSize": 32 }]');
  else for (const budget of budgets) {
    faults.push(...nearFaults("key of a budget", Object.keys(budget), ["steps", "batchSize", "stepCosts"]));
    if (!isCount(budget.steps) || !isCount(budget.batchSize)) faults.push(`a budget needs steps and batchSize, whole numbers of at least 1, not ${JSON.stringify(budget)}`);
  }
  if (!isCount(samples) || samples < 2) faults.push(`samples must be a whole number of at least 2, not ${JSON.stringify(samples)}`);
  if (pairs !== "baseline" && pairs !== "all") faults.push(`pairs must be "baseline" or "all", not ${JSON.stringify(pairs)}`);
  for (const [key, values] of Object.entries(grid)) if (!Array.isArray(values) || values.length === 0) faults.push(`grid.${key} must be a list of values`);
  if (random && !isCount(random.count)) faults.push("random.count must be a whole number of at least 1");
  for (const [key, choice] of Object.entries(random?.options ?? {})) if (!isChoice(choice)) faults.push(`random.options.${key} must be a list of values, or { low, high, scale } with low below high (and above 0 on a "log" scale)`);
  if (faults.length > 0) throw new Error(`the sweep can not begin: ${faults.join("; ")}`);

  const variants = { ...named, ...gridVariants(grid), ...(random ? randomVariants(random) : {}) };
  const names = Object.keys(variants);
  if (names.length === 0) throw new Error("the sweep can not begin: it has no variants: give variants, grid or random");
  const baseline = file.baseline ?? names[0];
  if (!names.includes(baseline)) throw new Error(`the sweep can not begin: the baseline "${baseline}" is none of its variants: ${names.join(", ")}`);
  return { name, base, pixelLosses, variants, seeds, budgets, samples, baseline, pairs };
}

/** Makes the pixel losses of a sweep known by their names. */
export function defineSweepLosses({ pixelLosses }: Pick<Sweep, "pixelLosses">): void {
  for (const [name, options] of Object.entries(pixelLosses)) defineLoss(name, pixelLoss(options));
}

/** Name of a budget's comparison. */
export function budgetName(name: string, { steps, batchSize }: Budget): string {
  return `${name}-${steps}x${batchSize}`;
}

function gridVariants(grid: Record<string, readonly unknown[]>): Record<string, Variant> {
  const entries = Object.entries(grid);
  if (entries.length === 0) return {};
  const combinations = entries.reduce<Record<string, unknown>[]>((before, [key, values]) => before.flatMap((options) => values.map((value) => ({ ...options, [key]: value }))), [{}]);
  return Object.fromEntries(combinations.map((options) => [variantName(options), options as Variant]));
}

function randomVariants({ count, seed = 0, options }: NonNullable<SweepFile["random"]>): Record<string, Variant> {
  const stream = randomStream(seed, "random search");
  const draw = (choice: RandomChoice): unknown => {
    const [uniform] = stream.uniform(1);
    if (isList(choice)) return choice[Math.floor(uniform * choice.length)];
    const { low, high, scale = "linear", whole = false } = choice;
    const value = scale === "log" ? low * (high / low) ** uniform : low + (high - low) * uniform;
    return whole ? Math.round(value) : Number(value.toPrecision(4));
  };
  const drawn = Array.from({ length: count }, () => Object.fromEntries(Object.entries(options).map(([key, choice]) => [key, draw(choice)])));
  return Object.fromEntries(drawn.map((values) => [variantName(values), values as Variant]));
}

const isList = (choice: RandomChoice): choice is readonly unknown[] => Array.isArray(choice);

/** "learningRate=0.002 optimizer=muon" */
function variantName(options: Record<string, unknown>): string {
  return Object.entries(options).map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`).join(" ");
}

function nearFaults(what: string, keys: readonly string[], known: readonly string[]): string[] {
  return keys.filter((key) => !known.includes(key)).map((key) => {
    const near = nearestNames(key, known);
    const isOption = what === "key" && key in TRAIN_OPTIONS;
    const cure = near.length > 0 ? `; did you mean ${near.join(" or ")}?` : isOption ? "; options of the configuration stand in base, variants, grid or random" : "";
    return `there is no ${what} "${key}"${cure}`;
  });
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1;
}

function isChoice(choice: RandomChoice): boolean {
  if (isList(choice)) return choice.length > 0;
  const { low, high, scale = "linear" } = choice ?? {};
  return Number.isFinite(low) && Number.isFinite(high) && low < high && (scale === "linear" || (scale === "log" && low > 0));
}
