import type { Clock } from './clock.ts';

const SECOND_MS = 1_000;

/** Lets a line that many requests can cause at once into the log once a second, and counts the others. */
export class LineRate {
  readonly #clock: Pick<Clock, 'monotonic'>;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #leftOut = 0;

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Undefined: leave this one out. Otherwise how many were left out since the last one that was written. */
  admit(): number | undefined {
    const now = this.#clock.monotonic();
    if (now - this.#writtenAt < SECOND_MS) {
      this.#leftOut++;
      return undefined;
    }
    this.#writtenAt = now;
    const leftOut = this.#leftOut;
    this.#leftOut = 0;
    return leftOut;
  }
}
