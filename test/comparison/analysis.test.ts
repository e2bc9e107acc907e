import assert from "node:assert/strict";
import { test } from "node:test";
import { compareResults, comparisonMarkdown, dependentMetrics, differenceRows, summarizeVariants, summaryRows, type Comparison, type Metric, type RunResult } from "../../src/model/comparison";
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

test("the same difference with each of few seeds, as shares of few samples give it, is no verdict yet", () => {
  const results = [0, 1].flatMap((seed) => [result("a", seed, { accuracy: (200 + 17 * seed) / 500 }), result("b", seed, { accuracy: (199 + 17 * seed) / 500 })]);
  const [b] = compareResults(results, ["a", "b"], metrics.slice(0, 1));
  assert.deepEqual([b.verdict, b.pValue], ["not distinguishable", 0.5]);
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

test("a metric whose network a loss used is shown with its mark, not tested, and takes nothing from the other tests", () => {
  const inFeatures: Metric[] = [{ name: "accuracy", better: "higher", unit: "" }, { name: "distance", better: "lower", unit: "", network: "seen" }];
  const noise = randomStream(2, "noise").normal(10);
  const results = [0, 1, 2, 3].flatMap((seed) => [
    result("plain", seed, { accuracy: noise[seed], distance: 5 + noise[seed] }),
    { ...result("fooled", seed, { accuracy: noise[seed] + 1 + 0.1 * noise[4 + seed], distance: 1 + noise[seed] + 0.1 * noise[4 + seed] }), lossNetworks: ["other", "seen"] },
  ]);
  const notIndependent = dependentMetrics(results, inFeatures);
  assert.deepEqual(notIndependent, [{ variant: "fooled", metric: "distance", network: "seen" }]);
  const differences = compareResults(results, ["plain", "fooled"], inFeatures);
  const [accuracy, distance] = differences;
  assert.equal(accuracy.verdict, "better");
  assert.equal(accuracy.correctedPValue, accuracy.pValue, "one test alone was made");
  assert.deepEqual([distance.verdict, distance.pValue, distance.signFlipPValue], ["not independent", NaN, NaN]);
  assert.ok(distance.mean < -3.5, "the difference itself is still shown");
  const comparison: Comparison = { name: "marked", folder: "", variants: ["plain", "fooled"], seeds: [0, 1, 2, 3], budget: { steps: 1, batchSize: 1 }, samples: 1, metrics: inFeatures, results, summaries: summarizeVariants(results, ["plain", "fooled"], inFeatures), differences, notIndependent };
  const [plain, fooled] = summaryRows(comparison);
  assert.doesNotMatch(String(plain.distance), /not independent/);
  assert.match(String(fooled.distance), /^[\d.-]+ \([\d.-]+ to [\d.-]+\) \(not independent\)$/);
  assert.doesNotMatch(String(fooled.accuracy), /not independent/);
  assert.deepEqual(differenceRows(comparison).map(({ metric, verdict }) => [metric, verdict]), [["accuracy", "better"], ["distance", "not independent"]]);
  assert.match(comparisonMarkdown(comparison), /- fooled: distance is not independent, since a loss used seen/);
});
