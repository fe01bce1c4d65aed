interface Counts {
  total: number;
  failed: number;
  /** Milliseconds of all of them; of a method that waits for messages nothing. */
  timeMs: number;
}

/** What a proxy counts of its methods: calls that ended, those of them that were not answered OK, and the time they took. */
export class MethodMetrics {
  readonly #methods = new Map<string, Counts>();

  /** `ms`: from the request, as it was read, to its answer; undefined for a method that waits for messages. */
  count(method: string, isOk: boolean, ms?: number): void {
    let counts = this.#methods.get(method);
    if (counts === undefined) {
      counts = { total: 0, failed: 0, timeMs: 0 };
      this.#methods.set(method, counts);
    }
    counts.total++;
    if (!isOk) counts.failed++;
    counts.timeMs += ms ?? 0;
  }

  /** `proxySendMessageTotal`, `proxySendMessageFailedTotal`, `proxySendMessageAverageMs` …, for methods that were called. */
  runtimeInfo(): Record<string, string> {
    const table: Record<string, string> = {};
    for (const [method, { total, failed, timeMs }] of this.#methods) {
      table[`proxy${method}Total`] = String(total);
      table[`proxy${method}FailedTotal`] = String(failed);
      if (timeMs > 0) table[`proxy${method}AverageMs`] = (timeMs / total).toFixed(3);
    }
    return table;
  }
}
