import { ResponseCode } from '@vernier/remoting';
import type { Clock } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';

/** A consumer's clock is believed when it is no further off. */
const CLOCK_SKEW_MS = 1_000;
/** A request that is so much older than it was to wait is answered by nobody any more (RocketMQ isTimeoutTooMuch). */
const TOO_LATE_MS = 500;
/** The longest that a request waits, whatever it says. */
export const POLL_MS_MAX = 3_600_000;

/** How long ago the consumer sent the request, milliseconds; 0 when its clock is not believed. */
export const ageOf = (bornTime: number, now: number): number =>
  Math.abs(now - bornTime) <= CLOCK_SKEW_MS ? now - bornTime : 0;

/** Monotonic milliseconds until which a pop may wait for messages; or that it comes too late. */
export function waitsUntil(
  request: { readonly bornTime: number; readonly pollMs: number },
  clock: Clock,
): number | Refusal {
  const ageMs = ageOf(request.bornTime, clock.now());
  if (ageMs - request.pollMs > TOO_LATE_MS) {
    return new Refusal(ResponseCode.POLLING_TIMEOUT, `the pop came ${ageMs} ms after it was sent`);
  }
  return clock.monotonic() + Math.min(request.pollMs, POLL_MS_MAX) - ageMs;
}
