import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { lossCatalogue, lossNames } from "../../src/model/losses";
import { DISTANCES } from "../../src/model/losses/distances";
import { GATES } from "../../src/model/losses/gates";
import { REGION_WEIGHTS } from "../../src/model/losses/region-weights";
import { rampNames, timeSamplerNames } from "../../src/model/schedules";

const catalogue = readFileSync(join(projectRoot(), "docs", "variants.md"), "utf8").split(/^## /m).find((section) => section.startsWith("Catalogue"))!;

test("the catalogue in docs/variants.md names every loss, part and schedule, and files that exist", () => {
  for (const name of [...lossNames(), ...Object.keys(DISTANCES), ...Object.keys(REGION_WEIGHTS), ...Object.keys(GATES), ...rampNames(), ...timeSamplerNames()]) assert.ok(catalogue.includes(`\`${name}\``), name);
  const files = [...catalogue.matchAll(/src\/model\/[\w/-]+\.ts/g)].map(([file]) => file);
  assert.ok(files.length > 20);
  for (const file of files) assert.ok(existsSync(join(projectRoot(), file)), file);
});

test("every loss that is shipped has a formula and a source", () => {
  for (const { name, formula, source } of lossCatalogue()) assert.ok(formula !== "" && source !== "" && !source.includes("defined by you"), name);
});
