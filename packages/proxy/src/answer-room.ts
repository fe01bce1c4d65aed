/**
 * The bytes of records and answers that all consumers together may have under way. Who finds no room waits for its turn, first
 * come first served.
 */
export class AnswerRoom {
  readonly #bytesMax: number;
  readonly #waiting = new Set<{ readonly bytes: number; readonly grant: () => void }>();
  #usedBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Undefined: taken at once. Otherwise resolves when it is taken; rejects when the signal says that nobody waits. */
  take(bytes: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#waiting.size === 0 && this.#fits(bytes)) {
      this.#usedBytes += bytes;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const gone = (): void => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
      };
      const grant = (): void => {
        signal.removeEventListener('abort', gone);
        resolve();
      };
      const waiter = { bytes, grant };
      if (signal.aborted) return gone();
      signal.addEventListener('abort', gone, { once: true });
      this.#waiting.add(waiter);
    });
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    for (const waiter of this.#waiting) {
      if (!this.#fits(waiter.bytes)) return;
      this.#waiting.delete(waiter);
      this.#usedBytes += waiter.bytes;
      waiter.grant();
    }
  }

  /** A claim above the whole has room when nobody else has any. */
  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.#bytesMax;
  }
}
