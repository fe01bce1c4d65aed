import type { Clock } from '../clock.ts';

/** Requests that a server handles in one turn of the event loop, and the time after which it begins no more of them. */
export const REQUESTS_A_TURN = 1024;
const TURN_MS_MAX = 8;
/** The clock is looked at once for so many: a send takes a few microseconds, a pull of large messages a millisecond. */
const REQUESTS_A_LOOK = 4;

/**
 * What a server does in one turn of the event loop. When ten thousand connections have something to say at once, some have
 * to wait for the next turns, first come first served, and timers, answers and the ends of writes come in between.
 */
export class TurnBudget {
  readonly #clock: Clock;
  readonly #max: number;
  #left: number;
  #beganAt = 0;
  #waiting: (() => void)[] = [];
  #isScheduled = false;

  constructor(clock: Clock, max: number = REQUESTS_A_TURN) {
    this.#clock = clock;
    this.#max = max;
    this.#left = max;
  }

  /** Those that wait for a later turn. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** One request is to be handled now. False: it is not this turn's any more, see `wait`. */
  take(): boolean {
    if (!this.#isScheduled) this.#begin();
    if (this.#left <= 0) return false;
    this.#left--;
    if (this.#left % REQUESTS_A_LOOK === 0 && this.#clock.monotonic() - this.#beganAt > TURN_MS_MAX) this.#left = 0;
    return true;
  }

  /** Calls `go` in one of the next turns, after those who wait already. It takes what it can and waits again. */
  wait(go: () => void): void {
    this.#waiting.push(go);
  }

  #begin(): void {
    this.#isScheduled = true;
    this.#left = this.#max;
    this.#beganAt = this.#clock.monotonic();
    setImmediate(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#isScheduled = false;
    const due = this.#waiting;
    if (due.length === 0) return;
    this.#begin();
    this.#waiting = [];
    let index = 0;
    while (index < due.length && this.#left > 0) due[index++]?.();
    // Who waits again in this turn stands behind those who have not had theirs.
    this.#waiting = due.slice(index).concat(this.#waiting);
  };
}
