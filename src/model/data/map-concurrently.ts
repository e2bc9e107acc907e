export interface MapConcurrentlyOptions {
  /** Calls under way at a time. */
  concurrency: number;
  /** Once aborted, no further call begins. */
  signal?: AbortSignal;
}

/**
 * Calls `work` on every item, several at a time, beginning them in order.
 *
 * @returns the results in the items' order. If the signal was aborted: only those of the items begun by then, which are
 *   the first of the items.
 * @throws the first error of `work`, after the calls under way have ended
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<Result>,
  { concurrency, signal }: MapConcurrentlyOptions,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  let failure: { error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failure && !signal?.aborted) {
      const index = next++;
      try {
        results[index] = await work(items[index], index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (failure) throw failure.error;
  return results;
}
