/** Calls `visit` for each item, `limit` at a time: enough to keep the I/O lane busy, few enough not to flood it. The
 * first failure ends it and rejects once the visits under way have settled. */
export async function forEachLimited<T>(
  items: Iterable<T>,
  limit: number,
  visit: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  let failed = false;
  const runner = async (): Promise<void> => {
    for (let next = iterator.next(); !failed && next.done !== true; next = iterator.next()) {
      try {
        await visit(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: limit }, runner));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
