import { createRequire } from "node:module";
import { dirname } from "node:path";
import { build } from "esbuild";

const require = createRequire(import.meta.url);

/**
 * Bundles the specs that tfjs-core ships (ES modules) into one CommonJS file. The bundle has its own copy of tfjs-core;
 * since tfjs keeps its engine, kernels and gradients on the global object, that copy drives the engine under test.
 *
 * The bundle leaves tfjs-core's jasmine utilities in globalThis.tfjsJasmineUtil, for specs that are loaded beside it.
 *
 * @param {string} file where the bundle goes
 * @param {string} environment the name under which the specs appear, as in upstream's own runs
 */
export async function bundleCoreSpecs(file, environment) {
  const core = dirname(require.resolve("@tensorflow/tfjs-core/package.json"));
  const entry = `
    import "${core}/dist/public/chained_ops/register_all_chained_ops";
    import "${core}/dist/register_all_gradients";
    import "environment";
    import * as jasmineUtil from "${core}/dist/jasmine_util";
    globalThis.tfjsJasmineUtil = jasmineUtil;
    import "${core}/dist/tests";`;
  const testEnvironment = { name: environment, backendName: "tensorflow", flags: {}, isDataSync: true };
  const setEnvironment = `
    import { setTestEnvs } from "${core}/dist/jasmine_util";
    setTestEnvs([${JSON.stringify(testEnvironment)}]);`;

  await build({
    stdin: { contents: entry, resolveDir: core },
    outfile: file,
    bundle: true,
    // The package says that its files have no side effects, but a spec file is nothing else.
    ignoreAnnotations: true,
    platform: "node",
    format: "cjs",
    mainFields: ["module", "main"],
    external: ["jasmine-core/*", "node-fetch"],
    logLevel: "error",
    plugins: [virtualModule("environment", setEnvironment, core)],
  });
}

/** A module that exists only in the bundle, so that it runs between two imports. */
function virtualModule(name, contents, resolveDir) {
  return {
    name,
    setup(pluginBuild) {
      pluginBuild.onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: name, sideEffects: true }));
      pluginBuild.onLoad({ filter: /.*/, namespace: name }, () => ({ contents, resolveDir }));
    },
  };
}

