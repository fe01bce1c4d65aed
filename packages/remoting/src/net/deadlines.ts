import type { Clock, TimerHandle } from '../clock.ts';

/** One waiting call. Made by `Deadlines.add`. */
export interface Deadline {
  /** Monotonic milliseconds. */
  readonly at: number;
  onTimeout: () => void;
  previous: Deadline | undefined;
  next: Deadline | undefined;
  list: DeadlineList | undefined;
}

interface DeadlineList {
  first: Deadline | undefined;
  last: Deadline | undefined;
}

/**
 * Timeouts of many calls under one timer. Calls with the same timeout expire in the order they were made, so each
 * timeout value has a list, adding and removing cost O(1), and only the heads of the lists (a handful of distinct
 * values) are looked at when the timer fires. A timeout comes up to `granularityMs` late and never early.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #granularityMs: number;
  readonly #lists = new Map<number, DeadlineList>();
  #timer: TimerHandle | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #count = 0;

  constructor(clock: Clock, granularityMs = 10) {
    this.#clock = clock;
    this.#granularityMs = granularityMs;
  }

  /** Calls that wait. */
  get count(): number {
    return this.#count;
  }

  add(delayMs: number, onTimeout: () => void): Deadline {
    let list = this.#lists.get(delayMs);
    if (list === undefined) {
      list = { first: undefined, last: undefined };
      this.#lists.set(delayMs, list);
    }
    const at = this.#clock.monotonic() + delayMs;
    const deadline: Deadline = { at, onTimeout, previous: list.last, next: undefined, list };
    if (list.last === undefined) list.first = deadline;
    else list.last.next = deadline;
    list.last = deadline;
    this.#count++;
    // An armed timer that is early enough stays; one that fires for nothing is cheaper than re-arming for every call.
    if (at + this.#granularityMs < this.#timerAt) this.#arm(at);
    return deadline;
  }

  /** Takes a call out; nothing happens when it has been taken out or has timed out. */
  remove(deadline: Deadline): void {
    const list = deadline.list;
    if (list === undefined) return;
    if (deadline.previous === undefined) list.first = deadline.next;
    else deadline.previous.next = deadline.next;
    if (deadline.next === undefined) list.last = deadline.previous;
    else deadline.next.previous = deadline.previous;
    deadline.list = undefined;
    deadline.previous = undefined;
    deadline.next = undefined;
    this.#count--;
  }

  /** Stops the timer and forgets every call without calling its onTimeout. */
  close(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    for (const list of this.#lists.values()) {
      while (list.first !== undefined) this.remove(list.first);
    }
    this.#lists.clear();
  }

  #arm(at: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer);
    const timerAt = at + this.#granularityMs;
    this.#timerAt = timerAt;
    this.#timer = this.#clock.setTimer(() => this.#fire(), Math.max(0, Math.ceil(timerAt - this.#clock.monotonic())));
  }

  #fire(): void {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.monotonic();
    let nearest = Number.POSITIVE_INFINITY;
    for (const [delayMs, list] of this.#lists) {
      while (list.first !== undefined && list.first.at <= now) {
        const deadline = list.first;
        this.remove(deadline);
        deadline.onTimeout();
      }
      if (list.first !== undefined) nearest = Math.min(nearest, list.first.at);
      else this.#lists.delete(delayMs);
    }
    if (nearest + this.#granularityMs < this.#timerAt) this.#arm(nearest);
  }
}
