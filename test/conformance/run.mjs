// npm run conformance: runs the specs that tfjs-core and tfjs-node ship against the native engine as CrossFlow loads it.
//
//   npm run conformance -- [--grep TEXT] [--with-ignored]
//
// The exit code is 1 if a spec fails that is neither ignored upstream nor a known failure.
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import Module, { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Jasmine from "jasmine";
import { bundleCoreSpecs } from "./bundle.mjs";
import { KNOWN_FAILURES, NEED_TEST_OBJECTS, ignoredUpstream } from "./exceptions.mjs";

const ENVIRONMENT = "test-tensorflow";
const PROGRESS_EVERY = 1000;

const require = createRequire(import.meta.url);
const project = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const packageFolder = dirname(require.resolve("@tensorflow/tfjs-node-gpu/package.json"));

const { values: options } = parseArgs({ options: { grep: { type: "string", default: "" }, "with-ignored": { type: "boolean", default: false } } });
const work = mkdtempSync(join(tmpdir(), "crossflow-conformance-"));
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

const backend = startNativeEngine();
const runner = new Jasmine();
runner.exitOnCompletion = false;
runner.clearReporters();
// Upstream has suites and specs of the same name.
runner.env.configure({ random: false, forbidDuplicateNames: false });

const coreSpecs = join(work, "core-specs.cjs");
await bundleCoreSpecs(coreSpecs, ENVIRONMENT);
serveSpecDependencies();
require(coreSpecs);
const hasTestObjects = existsSync(join(packageFolder, "test_objects"));
loadNodeSpecs();

const ignored = ignoredUpstream(packageFolder);
const isIgnored = (name) => ignored.some((part) => name.includes(part));
const canRun = (name) => hasTestObjects || !NEED_TEST_OBJECTS.suites.some((suite) => name.startsWith(suite));
const isWanted = (name) => name.includes(options.grep) && (options["with-ignored"] || !isIgnored(name));
runner.env.configure({ specFilter: (spec) => canRun(spec.getFullName()) && isWanted(spec.getFullName()) });

const results = [];
const start = performance.now();
const seconds = () => ((performance.now() - start) / 1000).toFixed(0);
runner.addReporter({
  specDone({ fullName, status, failedExpectations }) {
    if (status === "excluded") return;
    results.push({ name: fullName, status, cause: failedExpectations[0]?.message.split("\n")[0] ?? "" });
    if (results.length % PROGRESS_EVERY === 0) console.log(`${results.length} specs in ${seconds()} s`);
  },
});
const outcome = await runner.execute();
process.exitCode = report(outcome);

/** Loads the engine as the product does; without it there is nothing to test. */
function startNativeEngine() {
  const engine = join(project, "dist", "src", "model", "engine");
  if (!existsSync(engine)) throw new Error('Nothing is built yet. Run "npm run build" first.');
  const { nativeEngineError } = require(join(engine, "native.js"));
  if (nativeEngineError) throw new Error(`The native engine does not load: ${nativeEngineError.message}`);
  return require(join(engine, "tf.js")).tf.backend();
}

/**
 * Answers the specs' requests for modules that they would not find: the bundle lies outside the project, tfjs-node's specs
 * ask for an ES module of tfjs-core, and `tmp` is not among the project's packages.
 */
function serveSpecDependencies() {
  const load = Module._load;
  const temporaryFolders = { dirSync: () => ({ name: mkdtempSync(join(work, "tmp-")) }) };
  Module._load = function (request, ...rest) {
    if (request === "@tensorflow/tfjs-core/dist/jasmine_util") return globalThis.tfjsJasmineUtil;
    if (request === "tmp") return temporaryFolders;
    // The file that made Jasmine's namespace before it had an entry of its own; it is running already.
    if (request === "jasmine-core/lib/jasmine-core/jasmine.js") return { core: () => globalThis.jasmine };
    if (request === "node-fetch") return load.call(this, require.resolve(request), ...rest);
    return load.call(this, request, ...rest);
  };
}

/** Loads tfjs-node's own specs. */
function loadNodeSpecs() {
  const folder = join(packageFolder, "dist");
  const files = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith("_test.js"));
  for (const file of files) if (hasTestObjects || !NEED_TEST_OBJECTS.files.includes(file)) require(join(folder, file));
}

/** Prints what failed and why, and gives the exit code. */
function report({ overallStatus, incompleteReason }) {
  const failed = results.filter(({ status }) => status === "failed");
  const known = failed.filter(({ name }) => name in KNOWN_FAILURES);
  const unexpected = failed.filter(({ name }) => !(name in KNOWN_FAILURES) && !isIgnored(name));
  const cured = Object.keys(KNOWN_FAILURES).filter((name) => results.some((result) => result.name === name && result.status === "passed"));
  const passed = results.filter(({ status }) => status === "passed").length;

  for (const { name, cause } of known) console.log(`known failure: ${name}\n  ${cause}\n  reason: ${KNOWN_FAILURES[name]}`);
  for (const { name, cause } of failed.filter((result) => !known.includes(result) && !unexpected.includes(result))) {
    console.log(`ignored upstream: ${name}\n  ${cause}`);
  }
  for (const { name, cause } of unexpected) console.log(`FAILED: ${name}\n  ${cause}`);
  for (const name of cured) console.log(`passes now, take it off the list of known failures: ${name}`);
  if (!hasTestObjects) {
    console.log(`not run, since the package lacks their files: ${[...NEED_TEST_OBJECTS.files, ...NEED_TEST_OBJECTS.suites].join(", ")}`);
  }
  console.log(`TensorFlow ${backend.binding.TF_Version}, Node ${process.version}, ${seconds()} s`);

  const incomplete = overallStatus === "incomplete" && options.grep === "";
  if (incomplete) console.log(`The run is incomplete: ${incompleteReason}`);
  console.log(`${passed} passed, ${failed.length} failed`);
  return unexpected.length > 0 || incomplete || passed === 0 ? 1 : 0;
}
