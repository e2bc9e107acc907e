import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const SCALARS_JOINED = "for the histogram of equal values the package joins scalars into a vector, which a current TensorFlow refuses";

/** Specs of upstream that fail here although upstream runs them, each with its reason. Anything else that fails is an error. */
export const KNOWN_FAILURES = {
  "conv3d dilations CPU should throw error on dilations >1": "oneDNN computes dilated convolutions in three dimensions on the CPU too",
  "tensorboard SummaryFileWriter.histogram Create summaryFileWriter and write tensor": SCALARS_JOINED,
  "tensorBoard callback fit(): histogramFreq 2, with validation": SCALARS_JOINED,
};

/** What needs files that the package does not ship: whole spec files, and suites within a file. */
export const NEED_TEST_OBJECTS = { files: ["saved_model_test.js"], suites: ["decode images"] };

/**
 * The specs that upstream itself leaves out on this engine, read from the list in its own test runner so that the two
 * can't drift apart. An entry excludes every spec whose full name contains it.
 *
 * @param {string} packageFolder the folder of @tensorflow/tfjs-node-gpu
 * @returns {string[]}
 */
export function ignoredUpstream(packageFolder) {
  const path = join(packageFolder, "src", "run_tests.ts");
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest);
  for (const statement of source.statements.filter(ts.isVariableStatement)) {
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (name.getText(source) === "IGNORE_LIST" && initializer && ts.isArrayLiteralExpression(initializer)) {
        return initializer.elements.filter(ts.isStringLiteral).map((element) => element.text);
      }
    }
  }
  throw new Error(`${path} holds no IGNORE_LIST any more; look how upstream excludes specs now.`);
}
