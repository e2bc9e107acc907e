import { resolveConfig, TRAIN_OPTIONS, type TrainConfig } from "../config";
import { nearestNames } from "../nearest-name";
import { codeVersion, hashOf, lossFingerprints, modelFingerprints } from "./fingerprint";

/** Options of the configuration by which one variant differs from the others. */
export type Variant = Partial<TrainConfig>;

/** What every variant may spend, equally. */
export interface Budget {
  /** Optimiser steps. */
  steps: number;
  /** Images a step. */
  batchSize: number;
  /** What a step of a variant costs beside one of the others, above 0; a variant of cost 2 takes half of the steps, so that all cost the same. 1 where none is given. */
  stepCosts?: Readonly<Record<string, number>>;
}

export interface PlanOptions {
  /** Seeds, or how many: 3 means 0, 1, 2. */
  seeds: number | readonly number[];
  budget: Budget;
  /** Options that all variants share. */
  base?: Variant;
}

/** One training of a comparison. */
export interface Job {
  /** Hash of configuration, losses, models that it starts or learns from, and code: equal keys are equal trainings. */
  key: string;
  variant: string;
  seed: number;
  config: TrainConfig;
}

/** Options that must be equal for runs to be paired, or that change nothing of what is trained. */
const NOT_A_VARIANT = ["name", "seed", "steps", "batchSize"] as const;

/** Changes what a run leaves on the disk, not what it trains. */
const NOT_IN_KEY: (keyof TrainConfig)[] = ["name", "checkpointEvery", "sampleEvery"];

/** How many steps a variant may take: those of the budget, fewer where its steps cost more; at least 1. */
export function stepsOf({ steps, stepCosts = {} }: Budget, variant: string): number {
  return Math.max(1, Math.round(steps / (stepCosts[variant] ?? 1)));
}

/** A budget in words. */
export function budgetText({ steps, batchSize, stepCosts = {} }: Budget): string {
  const fewer = Object.keys(stepCosts).map((variant) => `${variant}: ${stepsOf({ steps, batchSize, stepCosts }, variant)}`);
  return `${steps} steps of ${batchSize} images${fewer.length > 0 ? ` (at equal cost, ${fewer.join("; ")})` : ""}`;
}

/** The seeds that `seeds` means. @throws RangeError when there is none, or one twice */
export function seedList(seeds: number | readonly number[]): number[] {
  const list = typeof seeds === "number" ? Array.from({ length: seeds }, (_, index) => index) : [...seeds];
  if (list.length === 0 || new Set(list).size !== list.length) throw new RangeError(`seeds must be a count of at least 1 or a list of different seeds, not ${JSON.stringify(seeds)}`);
  return list;
}

/**
 * The trainings of a comparison, in the order in which they run: all variants of the first seed, then of the next, so that what is there after an interruption is paired.
 * @param variants options by name of the variant
 * @throws Error listing, for all variants at once, unknown options (with near names), values out of range, losses that are not defined, and options that would make the comparison unfair
 */
export function planJobs(variants: Readonly<Record<string, Variant>>, { seeds, budget, base = {} }: PlanOptions): Job[] {
  const faults: string[] = [];
  const names = Object.keys(variants);
  if (names.length < 1) faults.push("there is no variant");
  for (const [name, variant] of [["base", base] as const, ...Object.entries(variants)]) {
    for (const key of NOT_A_VARIANT) if (key in variant) faults.push(`${name}: ${key} is the same for all variants; give it as ${key === "seed" || key === "name" ? (key === "seed" ? "seeds" : "the comparison's name") : `budget.${key}`}`);
  }
  for (const [name, cost] of Object.entries(budget.stepCosts ?? {})) {
    if (!names.includes(name)) faults.push(`budget.stepCosts: "${name}" is none of the variants: ${names.join(", ")}`);
    if (!(typeof cost === "number" && Number.isFinite(cost) && cost > 0)) faults.push(`budget.stepCosts.${name} must be a number above 0, not ${JSON.stringify(cost)}`);
  }
  const version = codeVersion();
  const jobs = seedList(seeds).flatMap((seed) =>
    names.flatMap((variant): Job[] => {
      try {
        const config = resolveConfig({ ...base, ...without(variants[variant], NOT_A_VARIANT), steps: stepsOf(budget, variant), batchSize: budget.batchSize, seed });
        const losses = lossFingerprints(config);
        const kept = Object.fromEntries(Object.entries(config).filter(([key]) => !NOT_IN_KEY.includes(key as keyof TrainConfig)));
        const key = hashOf({ config: kept, losses, models: modelFingerprints(config), version });
        return [{ key, variant, seed, config: { ...config, name: key } }];
      } catch (error) {
        faults.push(`${variant}: ${(error as Error).message}`);
        return [];
      }
    }),
  );
  if (faults.length > 0) throw new Error(`the comparison can not begin: ${[...new Set(faults)].join("; ")}`);
  return jobs;
}

/**
 * Checks keys of the configuration.
 * @returns a sentence for each unknown key, with the nearest known ones
 */
export function unknownOptions(keys: readonly string[]): string[] {
  const known = Object.keys(TRAIN_OPTIONS);
  return keys.filter((key) => !known.includes(key)).map((key) => {
    const near = nearestNames(key, known);
    return `there is no option "${key}"${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : ""}`;
  });
}

function without(variant: Variant, keys: readonly (keyof TrainConfig)[]): Variant {
  return Object.fromEntries(Object.entries(variant).filter(([key]) => !keys.includes(key as keyof TrainConfig)));
}
