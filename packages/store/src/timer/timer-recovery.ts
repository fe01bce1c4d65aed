import { StoreError } from '../base/errors.ts';
import type { StoreLogger } from '../base/logger.ts';
import type { TimerCheckContent } from './timer-checkpoint.ts';
import { SLOT_CUT, TimerMagic, type TimerSlot, type TimerUnit, UNIT_BYTES } from './timer-layout.ts';
import type { TimerLog } from './timer-log.ts';
import type { TimerWheel } from './timer-wheel.ts';

/** Units behind the checkpoint that are remembered by their records; of more, some come twice. */
const TAIL_UNITS_MAX = 1_000_000;
const STEP_BYTES = UNIT_BYTES * 4096;

export interface TimerRecoveryParts {
  readonly log: TimerLog;
  readonly wheel: TimerWheel;
  readonly check: TimerCheckContent | undefined;
  readonly precisionMs: number;
  /** Unix milliseconds. */
  readonly now: number;
  readonly logger: StoreLogger;
}

export interface TimerRecovered {
  /** Log offsets of the records whose units stand behind the checkpoint, with their slots: they are not to be added again. */
  readonly tail: Map<number, number>;
  /** Messages that wait in all slots. */
  readonly waitingCount: number;
}

export function precisionMismatch(path: string, found: number, expected: number): StoreError {
  return new StoreError(
    'STORE_TIMER_PRECISION_MISMATCH',
    `${path} was written with timerPrecisionMs=${found}, and messages wait in it; it cannot be used with ${expected}`,
    { path, found, expected },
  );
}

/** Why wheel and log cannot be used as they are: they are made anew from the queue. */
export class TimerFilesDamaged extends Error {}

/**
 * Brings timer log and wheel to one state (RocketMQ TimerMessageStore.recover).
 *
 *   1 the unit in front of the checkpoint is whole, or the log is not the checkpoint's
 *   2 units behind it are believed up to the first that is none; the rest is cut
 *   3 what is believed is put on disk
 *   4 the wheel's slots are looked at; those that Java has done with are made blank
 *   5 slots are told of the units behind the checkpoint, as the wheel on disk may not know them
 *   6 a slot that leads to a unit that was cut leads to the last one of it that is left
 *
 * The queue is read again from the checkpoint's offset on. A message of which a unit was found behind the checkpoint is
 * left out there. Each step may be cut off and is taken again by the next start. Rejects TimerFilesDamaged when the wheel
 * or the log below the checkpoint is not whole, STORE_TIMER_PRECISION_MISMATCH.
 */
export async function recoverTimerFiles(parts: TimerRecoveryParts): Promise<TimerRecovered> {
  const { log, wheel, check, logger } = parts;
  if (check === undefined) throw new TimerFilesDamaged('there is no checkpoint');
  const { lastTimerLogFlushPos } = check.fields;
  const from = await startOf(log, lastTimerLogFlushPos);
  await log.dropCache(from);
  await wheel.dropCache();
  const end = await log.scan(from, log.filesEnd, () => {});
  await log.cut(end, check.own?.isClosed === true && end === lastTimerLogFlushPos);
  await log.rewrite(from);
  const wheelState = await lookAtWheel(parts, end);
  const { tail, addedCount } = await applyUnits(parts, from, end);
  const mendedCount = await mendDangling(parts, wheelState.dangling, end);
  if (end > from) logger.info({ from, end, units: tail.size }, 'timer log: units behind the checkpoint are taken over');
  return { tail, waitingCount: Math.max(0, wheelState.waitingCount + addedCount + mendedCount) };
}

/** Where units behind the checkpoint begin. */
async function startOf(log: TimerLog, flushPos: number): Promise<number> {
  if (!log.hasFiles) {
    if (flushPos === 0) return 0;
    throw new TimerFilesDamaged(`there is no timer log, and the checkpoint is at ${flushPos}`);
  }
  if (flushPos > log.filesEnd) {
    throw new TimerFilesDamaged(`the log ends at ${log.filesEnd}, the checkpoint is at ${flushPos}`);
  }
  const from = Math.max(log.minPosition, log.aligned(flushPos));
  const before = log.before(from);
  if (before !== undefined && (await log.scan(before, before + UNIT_BYTES, () => {})) === before) {
    throw new TimerFilesDamaged(`there is no unit at ${before}, in front of the checkpoint's ${flushPos}`);
  }
  return from;
}

/** Every slot has a place that a slot can have: anything else was written by nobody. */
async function lookAtWheel(
  { log, wheel, check, precisionMs, now }: TimerRecoveryParts,
  end: number,
): Promise<{ waitingCount: number; dangling: number[] }> {
  const { lastReadTimeMs } = check!.fields;
  const { own } = check!;
  const dangling: number[] = [];
  let waitingCount = 0;
  let lowest = Number.POSITIVE_INFINITY;
  let highest = Number.NEGATIVE_INFINITY;
  let fault: string | undefined;
  let otherPrecision: number | undefined;
  await wheel.scan((slot, index) => {
    const { number, firstPos, lastPos, num, magic } = slot;
    // A slot's number times its precision is a time near the checkpoint's.
    const unitMs = own?.precisionMs ?? impliedPrecision(slot, lastReadTimeMs || now);
    if (own === undefined && number * unitMs < lastReadTimeMs) return 'blank';
    const isSlot =
      Number.isSafeInteger(number) &&
      number > 0 &&
      lastPos >= 0 &&
      firstPos <= lastPos + ((magic & SLOT_CUT) !== 0 ? UNIT_BYTES : 0) &&
      log.aligned(lastPos) === lastPos &&
      (firstPos < 0 || log.aligned(firstPos) === firstPos) &&
      num <= lastPos / UNIT_BYTES + 1;
    if (!isSlot || number % wheel.slots !== index) fault ??= `slot ${index} has ${JSON.stringify(slot)}`;
    else if (unitMs !== precisionMs) otherPrecision ??= unitMs;
    lowest = Math.min(lowest, number);
    highest = Math.max(highest, number);
    if (highest - lowest >= wheel.slots) fault ??= `slots ${lowest} and ${highest} are more than a turn apart`;
    if (fault !== undefined || otherPrecision !== undefined) return undefined;
    wheel.occupy(number);
    waitingCount += Math.max(0, num);
    if (lastPos >= end) dangling.push(number);
    return undefined;
  });
  if (otherPrecision !== undefined) {
    throw precisionMismatch(wheel.path, otherPrecision, precisionMs);
  }
  if (fault !== undefined) throw new TimerFilesDamaged(`${wheel.path}: ${fault}`);
  return { waitingCount, dangling };
}

/** Those that recall others do not count. */
const countOf = ({ magic }: TimerUnit): number => ((magic & TimerMagic.DELETE) === 0 ? 1 : 0);

const impliedPrecision = ({ number }: TimerSlot, timeMs: number): number => Math.round(timeMs / number / 100) * 100;

async function applyUnits(
  { log, wheel, check, precisionMs }: TimerRecoveryParts,
  from: number,
  end: number,
): Promise<{ tail: Map<number, number>; addedCount: number }> {
  const { own, fields } = check!;
  // Java puts nothing into a slot that it has done with; we do.
  const readSlot = own === undefined ? Math.floor(fields.lastReadTimeMs / precisionMs) : 0;
  const tail = new Map<number, number>();
  let addedCount = 0;
  for (let position = from; position < end; ) {
    const to = Math.min(end, position + STEP_BYTES, position + log.fileSize - (position % log.fileSize));
    const found: [TimerUnit, number][] = [];
    await log.scan(position, to, (unit, at) => found.push([unit, at]));
    for (const [unit, at] of found) {
      const number = Math.floor(unit.slotTimeMs / precisionMs);
      const isDone = number < readSlot;
      // Slots a turn earlier fired before it was added, and wait again: the queue brings its message once more.
      if (!isDone && wheel.place(number) !== 'free') continue;
      if (tail.size < TAIL_UNITS_MAX) tail.set(unit.logOffset, number);
      if (isDone) continue;
      await wheel.put(number, (slot) => {
        if (slot !== undefined && at <= slot.lastPos) return slot;
        const count = countOf(unit);
        addedCount += count;
        if (slot === undefined) return { number, firstPos: at, lastPos: at, num: count, magic: 0 };
        return { ...slot, lastPos: at, num: slot.num + count };
      });
    }
    position = to;
  }
  return { tail, addedCount };
}

/**
 * Slots whose last unit is not in the log any more. Java writes its wheel at any time, so after a power cut there may be
 * some.
 */
async function mendDangling(
  { log, wheel, precisionMs, logger }: TimerRecoveryParts,
  numbers: readonly number[],
  end: number,
): Promise<number> {
  if (numbers.length === 0) return 0;
  const dangling = new Map(numbers.map((number) => [number, { last: -1, num: 0 }]));
  await log.scan(log.minPosition, end, (unit, position) => {
    const found = dangling.get(Math.floor(unit.slotTimeMs / precisionMs));
    if (found === undefined) return;
    found.last = position;
    found.num += countOf(unit);
  });
  let changedCount = 0;
  for (const [number, { last, num }] of dangling) {
    const before = (await wheel.slot(number))?.num ?? 0;
    changedCount += num - Math.max(0, before);
    if (last < 0) await wheel.clear(number);
    else
      await wheel.put(number, (slot) => ({ ...slot!, lastPos: last, firstPos: Math.min(slot!.firstPos, last), num }));
  }
  logger.warn({ slots: dangling.size, end }, 'timer wheel: slots pointed behind the end of the timer log');
  return changedCount;
}
