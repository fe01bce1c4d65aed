/** A client that answered within this time, so many times in a row, is about to send again. */
const GAP_MS_MAX = 0.2;
const GAPS_IN_A_ROW = 8;
/** Turns of the event loop at most, whatever the clock says; one without events takes a microsecond and more. */
const TURNS_MAX = 1_000;

/**
 * Keeps the event loop awake for a moment when a client is about to send its next request.
 *
 * A client that waits for each answer before it sends again leaves the loop nothing to do for some tens of microseconds. To
 * put a core to sleep and to wake it takes longer than that on a virtual machine, and more processor time. So once the next
 * request came soon after the last answer several times in a row, the loop looks at its sockets without sleeping, for up to
 * `pollMs` after an answer, unless a request is being handled: a disk takes longer. When nothing comes in that time, it
 * sleeps, and the count begins anew. An idle server never polls.
 */
export class BusyPoll {
  readonly #pollMs: number;
  readonly #isBusy: () => boolean;
  readonly #now: () => number;
  /** Short gaps in a row. */
  #gaps = 0;
  #quietAt = Number.NEGATIVE_INFINITY;
  #turns = 0;
  #isPolling = false;

  /** `now` in milliseconds, monotonic, finer than a microsecond. `pollMs` 0: it never polls. */
  constructor(pollMs: number, isBusy: () => boolean, now: () => number = () => performance.now()) {
    this.#pollMs = pollMs;
    this.#isBusy = isBusy;
    this.#now = now;
  }

  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** Bytes came from a socket. */
  arrived(): void {
    if (this.#pollMs === 0) return;
    this.#gaps = this.#now() - this.#quietAt <= GAP_MS_MAX ? this.#gaps + 1 : 0;
  }

  /** Answers have left, or a request was done with. */
  answered(): void {
    if (this.#pollMs === 0 || this.#isBusy()) return;
    this.#quietAt = this.#now();
    this.#turns = 0;
    if (this.#isPolling || this.#gaps < GAPS_IN_A_ROW) return;
    this.#isPolling = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    if (this.#isBusy()) {
      this.#isPolling = false;
    } else if (this.#now() - this.#quietAt > this.#pollMs || ++this.#turns > TURNS_MAX) {
      this.#isPolling = false;
      this.#gaps = 0;
    } else {
      setImmediate(this.#turn);
    }
  };
}
