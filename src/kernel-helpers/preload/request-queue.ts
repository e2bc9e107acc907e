/** What became of an execute request: it ran, well or not, or it was given up because one before it failed. */
export type Turn<T> = { aborted: false; result: T } | { aborted: true };

export interface RequestQueue {
  /**
   * Runs `task` after all that was added before.
   *
   * @param stopsOthers whether, given the task's result, the requests that had arrived by its end are to be given up
   */
  add<T>(task: () => Promise<T>, stopsOthers: (result: T) => boolean): Promise<Turn<T>>;
}

/** A pause in which no request arrives: what a front end sent together ("run all") has come in by then. */
const quietMilliseconds = 10;

/**
 * Defect: after an error, tslab drops whatever arrives within 200 ms, a request sent after the error was seen included.
 *
 * Mend: given up are the requests that were already waiting when the failing one's reply goes out, and only those.
 */
export function createRequestQueue(): RequestQueue {
  let last: Promise<unknown> = Promise.resolve();
  let generation = 0;
  let arrivals = 0;
  const allArrived = async (): Promise<void> => {
    for (let seen = -1; seen !== arrivals; ) {
      seen = arrivals;
      await new Promise((resolve) => setTimeout(resolve, quietMilliseconds));
    }
  };
  return {
    add(task, stopsOthers) {
      arrivals++;
      const arrivedIn = generation;
      const turn = last.then(async () => {
        if (arrivedIn !== generation) return { aborted: true } as const;
        const result = await task();
        if (stopsOthers(result)) {
          await allArrived();
          generation++;
        }
        return { aborted: false, result } as const;
      });
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
