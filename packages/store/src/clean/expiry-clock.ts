import type { StoreContext } from '../base/context.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Longest wait for a step of the clock to prove right, while the store is open and at its start. */
const WAIT_MS_MAX = 24 * HOUR_MS;
const START_WAIT_MS_MAX = HOUR_MS;
/** What the two clocks may part between two looks: a correction of NTP, and one per cent of the time that passed. */
const TOLERANCE_MS = 5_000;
const TOLERANCE_RATIO = 0.01;
/** Shorter steps wait as well, but are not worth a line. */
const SAID_MS_MIN = MINUTE_MS;

interface Step {
  /** By how much the wall clock is ahead of this one. */
  aheadMs: number;
  /** Monotonic milliseconds at which the step is believed. */
  until: number;
}

/**
 * The time by which files expire: the wall clock, unless it went forward farther than time has passed on the monotonic
 * clock. Files of the log that are removed are gone, and a clock that was set wrongly by a hundred hours is set right
 * again; so a step forward is believed when it has stood for as long as it is wide, at most a day. Until then this clock
 * runs on from where it was. A step back is followed at once: it makes files younger. The same at the start, when the clock
 * is farther ahead of the newest file than files are kept and than a day, for an hour: a machine may begin with a wrong
 * clock that is corrected a minute later. A machine that was suspended looks like a step, and waits as well.
 */
export class ExpiryClock {
  readonly #context: Pick<StoreContext, 'clock' | 'logger'>;
  #time: number;
  #monotonic: number;
  #step: Step | undefined;

  constructor(context: Pick<StoreContext, 'clock' | 'logger'>) {
    this.#context = context;
    this.#time = context.clock.now();
    this.#monotonic = context.clock.monotonic();
  }

  /** `newestMs`: when the log was last written to before it was opened; `reservedMs`: how long its files are kept. */
  opened(newestMs: number, reservedMs: number): void {
    const { clock } = this.#context;
    const aheadMs = clock.now() - newestMs;
    if (aheadMs <= Math.max(reservedMs, WAIT_MS_MAX)) return;
    this.#time = newestMs;
    this.#monotonic = clock.monotonic();
    this.#begin(aheadMs, START_WAIT_MS_MAX, 'the newest file of the log');
  }

  /** Unix milliseconds. To be asked now and then: what passed between two calls is what a step is told by. */
  now(): number {
    const { clock } = this.#context;
    const monotonic = clock.monotonic();
    const passedMs = monotonic - this.#monotonic;
    const expected = this.#time + passedMs;
    const now = clock.now();
    const aheadMs = now - expected;
    const toleranceMs = TOLERANCE_MS + passedMs * TOLERANCE_RATIO;
    this.#monotonic = monotonic;
    this.#time = expected;
    if (aheadMs <= toleranceMs) {
      if (this.#step !== undefined && this.#step.aheadMs >= SAID_MS_MIN) {
        this.#context.logger.info({ aheadMs, was: this.#step.aheadMs }, 'clean: the step of the clock was taken back');
      }
      return this.#follow(now);
    }
    if (this.#step === undefined || Math.abs(aheadMs - this.#step.aheadMs) > toleranceMs) {
      this.#begin(aheadMs, WAIT_MS_MAX, 'where the time that passed since the last look would have it');
    } else if (monotonic >= this.#step.until) {
      this.#context.logger.info({ aheadMs }, 'clean: the clock has kept the time it was set to, files expire by it');
      return this.#follow(now);
    }
    return this.#time;
  }

  /** An operator asked for it: the clock is right. */
  trust(): void {
    this.#monotonic = this.#context.clock.monotonic();
    this.#follow(this.#context.clock.now());
  }

  #follow(now: number): number {
    this.#step = undefined;
    this.#time = now;
    return now;
  }

  #begin(aheadMs: number, waitMsMax: number, expected: string): void {
    const waitMs = Math.min(aheadMs, waitMsMax);
    this.#step = { aheadMs, until: this.#monotonic + waitMs };
    if (aheadMs < SAID_MS_MIN) return;
    const text = `clean: the clock is ${seconds(aheadMs)} ahead of ${expected}. Until it has been so for ${seconds(waitMs)}, files expire by the time before: it may be wrong`;
    this.#context.logger.warn({ aheadMs, waitMs, expiryTime: this.#time, clock: this.#time + aheadMs }, text);
  }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000).toLocaleString('en-US')} s`;
}
