import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { holm, pairedTTest, signFlipTest, studentInterval } from "../../src/model/comparison";
import { projectRoot } from "../../src/model/files";

interface Golden {
  cases: { differences: number[]; statistic: number; pValue: number; interval90: [number, number]; signFlip?: number }[];
  holm: { pValues: number[]; adjusted: number[] }[];
}
// Made by SciPy and statsmodels: test/golden/paired_tests.py.
const golden = JSON.parse(readFileSync(join(projectRoot(), "test", "golden", "paired_tests.json"), "utf8")) as Golden;
const near = (actual: number, expected: number, what: string): void => assert.ok(Math.abs(actual - expected) <= 1e-9 * (1 + Math.abs(expected)), `${what}: ${actual} is not ${expected}`);

describe("paired tests", () => {
  for (const { differences, statistic, pValue, interval90, signFlip } of golden.cases)
    it(`agree with SciPy on ${differences.length} differences`, () => {
      const test = pairedTTest(differences);
      near(test.statistic, statistic, "t");
      near(test.pValue, pValue, "p");
      studentInterval(differences, 0.9).forEach((end, index) => near(end, interval90[index], "interval"));
      if (signFlip !== undefined) near(signFlipTest(differences), signFlip, "sign flips");
    });

  it("sample the sign patterns where there are too many, near the exact share", () => {
    const { differences, signFlip } = golden.cases.find((one) => one.differences.length === 12)!;
    const sampled = signFlipTest(differences, { exactUpTo: 5, draws: 20_000, seed: 3 });
    assert.ok(Math.abs(sampled - signFlip!) < 4 * Math.sqrt(signFlip! / 20_000) + 1e-3, `${sampled} and ${signFlip}`);
  });

  it("answer for no spread and for too few differences", () => {
    assert.equal(pairedTTest([0, 0, 0]).pValue, 1);
    assert.equal(pairedTTest([2, 2, 2]).pValue, 0);
    assert.ok(Number.isNaN(pairedTTest([1]).pValue));
    assert.deepEqual(studentInterval([1]), [-Infinity, Infinity]);
    assert.equal(signFlipTest([1, 2, 3, 4, 5]), 2 / 32, "all of one sign: the smallest that five seeds allow");
    assert.ok(Number.isNaN(signFlipTest([])));
  });
});

describe("Holm's correction", () => {
  it("agrees with statsmodels", () => {
    for (const { pValues, adjusted } of golden.holm) holm(pValues).forEach((p, index) => near(p, adjusted[index], `p ${pValues[index]}`));
  });

  it("leaves out what was not tested", () => {
    assert.deepEqual(holm([0.01, NaN, 0.2]).map((p) => (Number.isNaN(p) ? "none" : p)), [0.02, "none", 0.2]);
  });
});
