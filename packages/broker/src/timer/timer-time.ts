import { propertyOf } from '@vernier/store/internal';
import { timerNames } from '../put/put-message-hook.ts';

/** When a message asks to be delivered (RocketMQ HookUtils.transformTimerMessage), Unix milliseconds; undefined: it does not ask; NaN: for no time. */
export function wantedTime(properties: string, now: number): number | undefined {
  for (const name of timerNames) {
    const value = propertyOf(properties, name);
    if (value === undefined) continue;
    if (!/^[+-]?\d+$/.test(value)) return Number.NaN;
    // Far beyond what is exact is far beyond every limit, or past.
    const number = Number(value);
    if (name === 'TIMER_DELIVER_MS') return number;
    return now + (name === 'TIMER_DELAY_SEC' ? number * 1_000 : number);
  }
  return undefined;
}

/**
 * TIMER_OUT_MS: the slot in which a message waits that is to be delivered at `timeMs`. A slot fires when its time is over,
 * so the message comes at `timeMs` rounded up to the precision, and never before.
 */
export const slotTimeOf = (timeMs: number, precisionMs: number): number =>
  (Math.ceil(timeMs / precisionMs) - 1) * precisionMs;

/** How many slots ahead a message may wait; one that is to wait longer is put back when they are over. */
export interface RollWindow {
  readonly slots: number;
  readonly precisionMs: number;
}

/**
 * Where a message waits that is stored now: the time of its slot, and whether it is put back then (RocketMQ
 * TimerMessageStore.doEnqueue). One that would be left with little is put back after half the window.
 */
export function placeInWheel(
  outMs: number,
  writeTimeMs: number,
  { slots, precisionMs }: RollWindow,
): { timeMs: number; isRoll: boolean } {
  const windowMs = slots * precisionMs;
  const left = outMs - writeTimeMs - windowMs;
  if (left < 0) return { timeMs: outMs, isRoll: false };
  const ahead = left < Math.floor(slots / 3) * precisionMs ? Math.max(1, Math.floor(slots / 2)) : slots;
  return { timeMs: writeTimeMs + ahead * precisionMs, isRoll: true };
}
