/** Who waits for the next message of a queue (`readQueue` with follow), woken by dispatch and by nothing else. */
export class Arrivals {
  readonly #waiters = new Map<string, Set<() => void>>();

  get waiterCount(): number {
    let count = 0;
    for (const waiters of this.#waiters.values()) count += waiters.size;
    return count;
  }

  /** Calls back once: at the next arrival in this queue, or never. The returned function takes the call back. */
  once(topic: string, queueId: number, callback: () => void): () => void {
    const key = `${topic}@${queueId}`;
    let waiters = this.#waiters.get(key);
    if (!waiters) {
      waiters = new Set();
      this.#waiters.set(key, waiters);
    }
    waiters.add(callback);
    return () => {
      waiters.delete(callback);
      if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key);
    };
  }

  notify(topic: string, queueId: number): void {
    if (this.#waiters.size === 0) return;
    const key = `${topic}@${queueId}`;
    const waiters = this.#waiters.get(key);
    if (!waiters) return;
    this.#waiters.delete(key);
    for (const callback of waiters) callback();
  }

  /** The store closes: everybody looks again and finds it closed. */
  notifyAll(): void {
    const all = [...this.#waiters.values()];
    this.#waiters.clear();
    for (const waiters of all) for (const callback of waiters) callback();
  }
}
