interface Waiter {
  bytes: number;
  granted: () => void;
}

/**
 * Bytes that all connections together may hold for one purpose. What is taken is given back once; whoever finds no room
 * waits for its turn, first come first served. A single claim above the whole budget has room when nobody else has any.
 */
export class ByteBudget {
  readonly max: number;
  #used = 0;
  readonly #waiting = new Set<Waiter>();
  #granting = false;

  constructor(max: number) {
    this.max = max;
  }

  get used(): number {
    return this.#used;
  }

  /** More is taken than there is: whoever can wait should. */
  get isExceeded(): boolean {
    return this.#used > this.max;
  }

  /** Claims that wait for room. */
  get waiting(): number {
    return this.#waiting.size;
  }

  fits(bytes: number): boolean {
    return this.#used + bytes <= this.max || this.#used === 0;
  }

  /** Takes bytes whether there is room or not. */
  take(bytes: number): void {
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
    if (this.#waiting.size > 0) this.#grant();
  }

  /** Calls `granted` once, when the bytes fit; they are taken then. The returned function takes the claim back. */
  wait(bytes: number, granted: () => void): () => void {
    const waiter: Waiter = { bytes, granted };
    this.#waiting.add(waiter);
    return () => {
      // Whoever stood behind a large claim may fit now.
      if (this.#waiting.delete(waiter)) this.#grant();
    };
  }

  /** A grant makes its owner take and give bytes, which must not grant again below it. */
  #grant(): void {
    if (this.#granting) return;
    this.#granting = true;
    try {
      for (const waiter of this.#waiting) {
        if (!this.fits(waiter.bytes)) break;
        this.#waiting.delete(waiter);
        this.#used += waiter.bytes;
        waiter.granted();
      }
    } finally {
      this.#granting = false;
    }
  }
}
