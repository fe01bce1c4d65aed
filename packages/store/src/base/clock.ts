/**
 * Time as the store sees it. Every service takes its time and its timers from here, so that a simulated clock can run
 * the same code through a day in seconds.
 */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Milliseconds from an arbitrary start, never stepping back, with fractions; for measuring durations. */
  monotonic(): number;
  setTimer(callback: () => void, delayMs: number): TimerHandle;
  clearTimer(handle: TimerHandle): void;
  /** Runs the callback after the I/O events of this turn of the event loop: what came in together is handled together. */
  defer(callback: () => void): void;
}

/** Opaque; what setTimer returned. */
export type TimerHandle = unknown;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (handle) => clearTimeout(handle as NodeJS.Timeout),
  defer: (callback) => {
    setImmediate(callback);
  },
};
