/** What a proxy counts of its methods: calls that ended, and those of them that were not answered OK. */
export class MethodMetrics {
  readonly #methods = new Map<string, { total: number; failed: number }>();

  count(method: string, isOk: boolean): void {
    let counts = this.#methods.get(method);
    if (counts === undefined) {
      counts = { total: 0, failed: 0 };
      this.#methods.set(method, counts);
    }
    counts.total++;
    if (!isOk) counts.failed++;
  }

  /** `proxySendMessageTotal`, `proxySendMessageFailedTotal` …, for methods that were called. */
  runtimeInfo(): Record<string, string> {
    const table: Record<string, string> = {};
    for (const [method, { total, failed }] of this.#methods) {
      table[`proxy${method}Total`] = String(total);
      table[`proxy${method}FailedTotal`] = String(failed);
    }
    return table;
  }
}
