import { existsSync, readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { join } from "node:path";
import { installKernel, jupyterDataFolder, kernelName, kernelSpec } from "../kernel-helpers/kernelspec";
import type { Part } from "./part";

/** The notebook kernel, known to the project's own JupyterLab. */
export const kernelPart: Part = {
  name: "kernel",
  title: "notebook kernel",

  async check() {
    const file = join(jupyterDataFolder(), "kernels", kernelName, "kernel.json");
    const wanted = kernelSpec();
    if (!existsSync(file)) return { ok: false, detail: "not installed", remedy: "npx crossflow setup" };
    // It names the Node and the folder that it was installed with, either of which may have changed.
    if (!isDeepStrictEqual(parseJson(readFileSync(file, "utf8")), wanted)) return { ok: false, detail: "out of date", remedy: "npx crossflow setup" };
    return { ok: true, detail: wanted.display_name };
  },

  plan: () => "installing the notebook kernel",

  async install() {
    await installKernel();
  },
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
