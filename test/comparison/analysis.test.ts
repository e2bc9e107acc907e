import assert from "node:assert/strict";
import { test } from "node:test";
import { compareResults, summarizeVariants, type Metric, type RunResult } from "../../src/model/comparison";
import { randomStream } from "../../src/model/random";

const metrics: Metric[] = [{ name: "accuracy", better: "higher", unit: "" }, { name: "distance", better: "lower", unit: "" }];
const result = (variant: string, seed: number, values: Record<string, number>, status: "done" | "failed" = "done"): RunResult => ({ key: `${variant}${seed}`, variant, seed, status, samples: 1, metrics: values, curve: [], seconds: 1, model: "" });

test("paired differences find what the seeds' own spread hides, in each metric's better direction", () => {
  const noise = randomStream(1, "noise").normal(40);
  const results = Array.from({ length: 5 }, (_, seed) => {
    const common = 10 * noise[seed]; // much larger than the difference
    return [
      result("a", seed, { accuracy: common + 0.02 * noise[10 + seed], distance: common }),
      result("b", seed, { accuracy: common + 1, distance: common + 1 + 0.02 * noise[20 + seed] }),
      result("c", seed, { accuracy: common + noise[30 + seed], distance: common + noise[35 + seed] }),
    ];
  }).flat();
  const differences = compareResults(results, ["a", "b", "c"], metrics);
  const of = (variant: string, metric: string) => differences.find((one) => one.variant === variant && one.metric === metric)!;
  assert.equal(of("b", "accuracy").verdict, "better");
  assert.equal(of("b", "distance").verdict, "worse");
  assert.equal(of("c", "accuracy").verdict, "not distinguishable");
  assert.ok(Math.abs(of("b", "accuracy").mean - 1) < 0.05 && of("b", "accuracy").low > 0.9 && of("b", "accuracy").high < 1.1);
  assert.ok(of("b", "accuracy").studentLow < of("b", "accuracy").low && of("b", "accuracy").studentHigh > of("b", "accuracy").high, "with few seeds Student's interval is the wider one");
  assert.ok(of("b", "accuracy").correctedPValue > of("b", "accuracy").pValue);
  const [summary] = summarizeVariants(results, ["a"], metrics);
  assert.ok(summary.high - summary.low > 3, "a variant's own interval holds the seeds' spread");
});

test("only seeds that both finished count; fewer than two are not tested", () => {
  const results = [result("a", 0, { accuracy: 1 }), result("a", 1, { accuracy: 2 }), result("b", 0, { accuracy: 3 }), result("b", 1, { accuracy: NaN }), result("b", 2, { accuracy: 9 }), result("c", 1, {}, "failed")];
  const [b, c] = compareResults(results, ["a", "b", "c"], metrics.slice(0, 1));
  assert.deepEqual([b.seeds, b.mean, b.verdict], [1, 2, "untested"]);
  assert.deepEqual([c.seeds, c.verdict], [0, "untested"]);
  assert.throws(() => compareResults(results, ["a"], metrics, { baseline: "z" }), /baseline "z" is none of the variants a/);
});

test("the chance of any false verdict among many alike variants stays near the level", () => {
  const stream = randomStream(4, "alike");
  const names = ["a", "b", "c", "d", "e"];
  let comparisons = 0;
  const trials = 200;
  for (let trial = 0; trial < trials; trial++) {
    const results = names.flatMap((variant) => Array.from({ length: 5 }, (_, seed) => result(variant, seed, { accuracy: stream.normal(1)[0] })));
    comparisons += Number(compareResults(results, names, metrics.slice(0, 1), { resamples: 10 }).some(({ verdict }) => verdict !== "not distinguishable"));
  }
  // 5 % of 200 with three standard deviations; uncorrected it would be about 13 to 18 %.
  assert.ok(comparisons <= trials * 0.05 + 3 * Math.sqrt(trials * 0.05 * 0.95), `${comparisons} of ${trials}`);
});
