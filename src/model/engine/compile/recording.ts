/** Backends whose operations are being recorded; apart from the recorder, so that kernels can ask while the engine is being loaded. */
const recording = new WeakSet<object>();

/** Whether a call is being recorded now. */
export const isRecording = (backend: object): boolean => recording.has(backend);

/** Notes that a recording begins or ends. */
export function setRecording(backend: object, on: boolean): void {
  if (on) recording.add(backend);
  else recording.delete(backend);
}
