import type { Clock } from '../base/clock.ts';
import { STORE_TIME_HELD_MS } from '../base/limits.ts';
import type { StoreLogger } from '../base/logger.ts';

/**
 * The storeTimestamps that records get. Whoever looks for a time in the log counts on it that they do not fall, and a clock
 * that is corrected steps back. So while the clock stands at most STORE_TIME_HELD_MS behind the last record, records get
 * that one's time. A clock that stands farther back was wrong before, and is followed: one message stored while it stood in
 * another year must not stamp all that come after, over restarts too.
 */
export class StoreTime {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #logger: StoreLogger;
  #last = 0;

  constructor(clock: Pick<Clock, 'now'>, logger: StoreLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** The log’s last record was stored at this time; 0 without one. */
  resumeAt(storeTimestamp: number): void {
    this.#last = storeTimestamp;
  }

  /** The time of the next record, Unix milliseconds. */
  next(): number {
    const now = this.#clock.now();
    const behindMs = this.#last - now;
    return behindMs > 0 && behindMs <= STORE_TIME_HELD_MS ? this.#last : now;
  }

  /** A record was stored with this time. */
  taken(storeTimestamp: number): void {
    if (storeTimestamp < this.#last) this.#saySteppedBack(storeTimestamp);
    this.#last = storeTimestamp;
  }

  #saySteppedBack(storeTimestamp: number): void {
    const last = new Date(this.#last).toISOString();
    const now = new Date(storeTimestamp).toISOString();
    this.#logger.warn(
      { lastStoreTimestamp: this.#last, storeTimestamp, behindMs: this.#last - storeTimestamp },
      `the clock stands at ${now}, the last message was stored at ${last}: messages get the clock’s time, ` +
        'a search by time may find either side of the step',
    );
  }
}
