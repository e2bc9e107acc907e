import type { Compiled } from "./engine/compile";
import type { tf } from "./engine/tf";
import type { ProgressListener } from "./progress";

/**
 * Calls a compiled function, and shows as progress what the call takes longer when its graph is made (a second or more).
 * @param label what the listener is told, "compiling the sampler"
 */
export function callWithProgress<Inputs extends Record<string, tf.Tensor>, Outputs extends Record<string, tf.Tensor>>(compiled: Compiled<Inputs, Outputs>, inputs: Inputs, label: string, onProgress?: ProgressListener): Outputs {
  const before = compiled.programs().length;
  const started = performance.now();
  const outputs = compiled(inputs);
  if (onProgress && compiled.programs().length > before) {
    const tell = (done: number): void => onProgress({ label, done, total: 1, elapsedSeconds: (performance.now() - started) / 1000, secondsLeft: done === 1 ? 0 : undefined });
    tell(0);
    // The graph is optimised at its first run.
    for (const output of Object.values(compiled(inputs))) output.dispose();
    tell(1);
  }
  return outputs;
}
