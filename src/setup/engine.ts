import { bindingIsInstalled, installBinding } from "./binding";
import { SetupError } from "./errors";
import type { Part } from "./part";
import { TENSORFLOW_VERSION, describeMachine, installRuntime, planRuntime, runtimeIsComplete } from "./runtime";

/** What a person is told where TensorFlow can't be had. */
export const WEBASSEMBLY_NOTICE = "the WebAssembly engine takes over: good for sampling and tiny trainings, a training step takes 7 to 31 times as long";

/** TensorFlow and the native binding to it; without them the engine is WebAssembly. */
export const enginePart: Part = {
  name: "tensorflow",
  title: "TensorFlow",
  without: WEBASSEMBLY_NOTICE,

  async check(context) {
    const machine = describeMachine();
    const plan = planRuntime(machine);
    if (!plan) return { ok: true, detail: `none for ${machine.platform} ${machine.arch}; ${WEBASSEMBLY_NOTICE}` };
    if (!runtimeIsComplete(plan, context)) return { ok: false, detail: "not installed", remedy: "npx crossflow setup" };
    if (!bindingIsInstalled(plan, context)) return { ok: false, detail: "the binding is not compiled", remedy: "npx crossflow setup" };
    return { ok: true, detail: `${TENSORFLOW_VERSION} for ${machine.hasNvidiaGpu ? "NVIDIA GPUs" : "CPU"}` };
  },

  plan(context) {
    const plan = planRuntime(describeMachine());
    if (plan && !runtimeIsComplete(plan, context)) {
      return `installing TensorFlow ${TENSORFLOW_VERSION}, a download of ${(plan.downloadBytes / 1e9).toFixed(1)} GB unless pip's cache has it (30 s to some minutes)`;
    }
    return "compiling the binding to TensorFlow (about 15 s)";
  },

  async install(context, update) {
    const plan = planRuntime(describeMachine());
    if (!plan) throw new SetupError("PyPI has no TensorFlow for this platform.");
    if (!runtimeIsComplete(plan, context)) await installRuntime(plan, context, update);
    if (!bindingIsInstalled(plan, context)) await installBinding(plan, context, update);
  },
};
