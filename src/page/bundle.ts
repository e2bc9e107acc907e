import { join } from "node:path";
import type { Plugin } from "esbuild";
import { projectRoot } from "../model/files";

/** The page's program parts, minified: what runs in the window, in its worker, and the style. */
export interface PageBundle {
  main: string;
  worker: string;
  style: string;
}

/**
 * Bundles the page's program with esbuild. The worker holds src/model/network.ts and what it stands on, as they are; only
 * the way to tfjs is another one (client/tf.ts), and nothing is computed again for a gradient (client/recompute.ts).
 */
export async function bundlePage(): Promise<PageBundle> {
  const client = join(projectRoot(), "src", "page", "client");
  const esbuild = await import("esbuild");
  const build = async (entry: string): Promise<string> => {
    const { outputFiles } = await esbuild.build({
      entryPoints: [join(client, entry)],
      bundle: true, minify: true, write: false, format: "iife", platform: "browser", target: "es2022", legalComments: "none", logLevel: "silent",
      define: { "process.env.NODE_ENV": `"production"` },
      plugins: [engineInBrowser(client)],
    });
    return outputFiles[0].text;
  };
  const [main, worker, style] = await Promise.all(["main.ts", "worker.ts", "style.css"].map(build));
  return { main, worker, style };
}

function engineInBrowser(client: string): Plugin {
  return {
    name: "engine in the browser",
    setup(build) {
      build.onResolve({ filter: /[\\/]engine[\\/]tf$/ }, () => ({ path: join(client, "tf.ts") }));
      // It needs the step compiler, which is TensorFlow's; a page draws, and never trains.
      build.onResolve({ filter: /[\\/]engine[\\/]recompute$/ }, () => ({ path: join(client, "recompute.ts") }));
      // The WebAssembly package mentions modules of Node that a browser never asks for.
      build.onResolve({ filter: /^(?:node:.*|fs|path|crypto|os|util|worker_threads|perf_hooks)$/ }, ({ path }) => ({ path, namespace: "absent" }));
      build.onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "module.exports = {};" }));
    },
  };
}
