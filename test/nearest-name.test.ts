import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { editDistance, nearestNames, unknownNameMessage } from "../src/model/nearest-name";

describe("edit distance", () => {
  it("has the values of the textbooks", () => {
    for (const [a, b, distance] of [["kitten", "sitting", 3], ["saturday", "sunday", 3], ["", "abc", 3], ["abc", "", 3], ["flaw", "lawn", 2], ["same", "same", 0]] as const) {
      assert.equal(editDistance(a, b), distance, `${a}, ${b}`);
      assert.equal(editDistance(b, a), distance);
    }
  });
});

describe("nearest names", () => {
  const options = ["batchSize", "learningRate", "imageSize", "steps", "seed"];

  it("come nearest first and at most three", () => {
    assert.deepEqual(nearestNames("batchsize", options), ["batchSize"]);
    assert.deepEqual(nearestNames("step", options), ["steps"]);
    assert.deepEqual(nearestNames("aaab", ["aaaa", "aaac", "aaad", "aaab2", "aaab"]), ["aaab", "aaaa", "aaab2"]);
  });

  it("count a part of a name as near", () => {
    assert.deepEqual(nearestNames("rate", options), ["learningRate"]);
  });

  it("are none where nothing is near", () => {
    assert.deepEqual(nearestNames("perplexity", options), []);
    assert.deepEqual(nearestNames("x", options), []);
    assert.deepEqual(nearestNames("anything", []), []);
  });

  it("make a message that helps either way", () => {
    assert.equal(unknownNameMessage("option", "imagSize", options), 'Unknown option "imagSize". Did you mean imageSize?');
    assert.equal(unknownNameMessage("loss", "zzz", ["l1", "l2"]), 'Unknown loss "zzz". Known: l1, l2.');
  });
});
