import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { join } from "node:path";
import { installKernel, jupyterDataFolder, kernelName, kernelSpec } from "../kernel-helpers/kernelspec";
import type { Part, PartState } from "./part";

/** The notebook kernel, known to the project's own JupyterLab. */
export const kernelPart: Part = {
  name: "kernel",
  title: "notebook kernel",

  check: async () => kernelState(jupyterDataFolder()),

  plan: () => "installing the notebook kernel",

  async install() {
    await installKernel();
  },
};

/** Whether the kernel of this checkout and this Node is the one that Jupyter finds in a data folder. */
export function kernelState(dataFolder: string): PartState {
  const file = join(dataFolder, "kernels", kernelName, "kernel.json");
  const wanted = kernelSpec();
  if (!existsSync(file)) return { ok: false, detail: "not installed", remedy: "npx crossflow setup" };
  // It names the Node and the folder that it was installed with, either of which may have changed.
  if (!isDeepStrictEqual(parseJson(readFileSync(file, "utf8")), wanted)) return { ok: false, detail: "out of date", remedy: "npx crossflow setup" };
  return { ok: true, detail: wanted.display_name };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
