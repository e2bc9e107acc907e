import type { ImageRequest, WorkerAnswer, WorkerRequest, WorkerStart } from "./messages";

/** Asks the worker for images, one request at a time. */
export interface Painter {
  /** Pixels [N, S, S, 4] and the time that they took. Requests are answered in order. */
  paint(images: ImageRequest[]): Promise<{ pixels: Uint8ClampedArray; milliseconds: number }>;
}

/** Starts the worker with the network; resolves when it can paint, with the time of one image. */
export function startPainter(workerSource: ArrayBuffer, start: WorkerStart): Promise<{ painter: Painter; milliseconds: number }> {
  const address = URL.createObjectURL(new Blob([workerSource], { type: "text/javascript" }));
  const worker = new Worker(address);
  const waiting = new Map<number, { resolve: (answer: { pixels: Uint8ClampedArray; milliseconds: number }) => void; reject: (error: Error) => void }>();
  let count = 0;
  const painter: Painter = {
    paint: (images) =>
      new Promise((resolve, reject) => {
        const request: WorkerRequest = { id: ++count, images };
        waiting.set(request.id, { resolve, reject });
        worker.postMessage(request);
      }),
  };
  return new Promise((resolve, reject) => {
    const fail = (message: string): void => {
      const error = new Error(message);
      for (const request of waiting.values()) request.reject(error);
      waiting.clear();
      reject(error);
    };
    worker.onerror = (event) => fail(event.message || "the worker did not start");
    worker.onmessage = ({ data }: MessageEvent<WorkerAnswer>) => {
      if (data.kind === "failed") return fail(data.message);
      if (data.kind === "ready") return resolve({ painter, milliseconds: data.milliseconds });
      waiting.get(data.id)?.resolve(data);
      waiting.delete(data.id);
    };
    worker.postMessage(start, [start.weights, start.program]);
  });
}
