import type { Clock } from '@vernier/store';
import type { TimerHandle } from '@vernier/store/internal';

interface Timer {
  due: number;
  order: number;
  callback: () => void;
}

/**
 * A clock that stands still until the test moves it. Timers fire in the order they are due, each at its own time; between
 * two of them the pending promise callbacks run, so what a timer set off is done before the next one fires.
 */
export class ManualClock implements Clock {
  #now: number;
  #monotonic = 0;
  #order = 0;
  readonly #timers = new Set<Timer>();
  #deferred: (() => void)[] = [];

  /** `start`: Unix milliseconds at the beginning. */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  setTimer(callback: () => void, delayMs: number): TimerHandle {
    const timer: Timer = { due: this.#monotonic + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return timer;
  }

  clearTimer(handle: TimerHandle): void {
    this.#timers.delete(handle as Timer);
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
    if (this.#deferred.length === 1) {
      setImmediate(() => {
        for (const deferred of this.#deferred.splice(0)) deferred();
      });
    }
  }

  /** Timers that are armed; an idle service has none. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** Steps the wall clock alone, as an administrator or NTP does; durations and timers do not notice. */
  stepWallClock(ms: number): void {
    this.#now += ms;
  }

  /** Moves time on as a call does that takes so long: nothing else runs meanwhile, timers are late. */
  pass(ms: number): void {
    this.#moveTo(this.#monotonic + ms);
  }

  /** Moves time on and fires what becomes due. Resolves when everything that this set off has settled. */
  async advance(ms: number): Promise<void> {
    const end = this.#monotonic + ms;
    await settle();
    for (let timer = this.#next(end); timer; timer = this.#next(end)) {
      this.#moveTo(Math.max(this.#monotonic, timer.due));
      this.#timers.delete(timer);
      timer.callback();
      await settle();
    }
    this.#moveTo(end);
  }

  #moveTo(monotonic: number): void {
    this.#now += monotonic - this.#monotonic;
    this.#monotonic = monotonic;
  }

  #next(end: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.due > end) continue;
      if (!next || timer.due < next.due || (timer.due === next.due && timer.order < next.order)) next = timer;
    }
    return next;
  }
}

/** Resolves when the promise callbacks and deferred calls that are pending now, and those they set off, have run. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) await new Promise((resolve) => setImmediate(resolve));
}
