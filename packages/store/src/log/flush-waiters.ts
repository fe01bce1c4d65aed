import type { StoreError } from '../base/errors.ts';

interface Waiter {
  offset: number;
  resolve(): void;
  reject(cause: StoreError): void;
}

/** Promises that wait for an offset to be on disk (`whenFlushed`), sorted by offset. */
export class FlushWaiters {
  #waiters: Waiter[] = [];

  get size(): number {
    return this.#waiters.length;
  }

  wait(offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters;
      // Callers nearly always wait for what they appended last, so the place is at the end.
      let at = waiters.length;
      while (at > 0 && waiters[at - 1]!.offset > offset) at--;
      const waiter = { offset, resolve, reject };
      if (at === waiters.length) waiters.push(waiter);
      else waiters.splice(at, 0, waiter);
    });
  }

  advance(flushedWhere: number): void {
    let count = 0;
    while (count < this.#waiters.length && this.#waiters[count]!.offset <= flushedWhere) count++;
    if (count === 0) return;
    for (const waiter of this.#waiters.splice(0, count)) waiter.resolve();
  }

  rejectAll(cause: StoreError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(cause);
  }
}
