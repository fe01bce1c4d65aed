import type { Clock } from '@vernier/store';
import type { TimerHandle } from '@vernier/store/internal';
import { Violation } from './violation.ts';

interface Event {
  due: number;
  order: number;
  callback: () => void;
  cancelled: boolean;
}

/** Disk calls and looks at the clock that one event may set off; a loop that time does not end needs more. */
const CALLS_MAX = 300_000;

/**
 * Virtual time for a whole store: timers, deferred calls and the ends of disk calls are events, run one at a time in the
 * order they are due; between two events all promise callbacks run. Nothing depends on the machine's own time, so one
 * seed gives one history. Time jumps from event to event: a day passes in seconds.
 */
export class Scheduler implements Clock {
  #monotonic = 0;
  readonly #start: number;
  #order = 0;
  /** A binary heap by due, then order. */
  readonly #heap: Event[] = [];
  #stopped = false;
  #calls = 0;
  #livelocked = false;
  #stepMs = 0;

  /** `start`: Unix milliseconds at the beginning. */
  constructor(start: number) {
    this.#start = start;
  }

  now(): number {
    this.noteCall();
    return Math.floor(this.#start + this.#monotonic + this.#stepMs);
  }

  /** Unix milliseconds of a clock that nobody has set. */
  get time(): number {
    return Math.floor(this.#start + this.#monotonic);
  }

  /** Somebody sets the clock; time itself goes on as before. */
  stepWallClock(ms: number): void {
    this.#stepMs += ms;
  }

  monotonic(): number {
    this.noteCall();
    return this.#monotonic;
  }

  setTimer(callback: () => void, delayMs: number): TimerHandle {
    return this.#push(callback, delayMs);
  }

  clearTimer(handle: TimerHandle): void {
    if (handle) (handle as Event).cancelled = true;
  }

  defer(callback: () => void): void {
    this.#push(callback, 0);
  }

  /** Resolves when `ms` of virtual time have passed; never, once the machine stopped. */
  delay(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#push(resolve, ms));
  }

  /** The power goes off: no event that is pending now ever happens. */
  stop(): void {
    this.#stopped = true;
    this.#heap.length = 0;
  }

  /**
   * Something was done while time stands still. Throws when it is done without end: run() rejects then, as soon as the
   * loop lets it.
   */
  noteCall(): void {
    if (++this.#calls <= CALLS_MAX) return;
    this.#livelocked = true;
    throw new Violation(`a loop without end: ${CALLS_MAX} calls of disk and clock while no time passes`);
  }

  /**
   * Runs events until `done` says so, nothing is left to happen, or `eventsMax` have run. Resolves with how many ran.
   */
  run(done: () => boolean, eventsMax: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let count = 0;
      // A tick comes when every promise callback has run, and costs a hundredth of what a macrotask does.
      const settle = (): void => process.nextTick(next);
      const next = (): void => {
        try {
          if (this.#livelocked) throw new Violation('a loop without end while no time passes');
          const event = done() || count >= eventsMax ? undefined : this.#next();
          if (!event) {
            resolve(count);
            return;
          }
          this.#calls = 0;
          count++;
          event.callback();
          queueMicrotask(settle);
        } catch (error) {
          reject(error);
        }
      };
      queueMicrotask(settle);
    });
  }

  /** Runs until `promise` has settled, and settles like it; a Violation named `what` when it never does. */
  async complete<T>(promise: Promise<T>, what: string, eventsMax: number): Promise<T> {
    let settled = false;
    const end = (): void => {
      settled = true;
    };
    promise.then(end, end);
    await this.run(() => settled, eventsMax);
    if (!settled) throw new Violation(`${what} does not end`);
    return promise;
  }

  /** The next event that was not cancelled; time moves to it. */
  #next(): Event | undefined {
    for (let event = this.#pop(); event; event = this.#pop()) {
      if (event.cancelled) continue;
      if (event.due > this.#monotonic) this.#monotonic = event.due;
      return event;
    }
    return undefined;
  }

  #push(callback: () => void, delayMs: number): Event {
    const event = { due: this.#monotonic + Math.max(0, delayMs), order: this.#order++, callback, cancelled: false };
    if (this.#stopped) return event;
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}
