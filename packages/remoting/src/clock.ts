/**
 * Time as the wire sees it; the same shape as the store's clock, so that one object serves both. Tests pass one they
 * move by hand.
 */
export interface Clock {
  /** Unix milliseconds. */
  now(): number;
  /** Milliseconds from an arbitrary start, never stepping back. */
  monotonic(): number;
  setTimer(callback: () => void, delayMs: number): TimerHandle;
  clearTimer(handle: TimerHandle): void;
}

/** Opaque; what setTimer returned. */
export type TimerHandle = unknown;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimer: (handle) => clearTimeout(handle as NodeJS.Timeout),
};
