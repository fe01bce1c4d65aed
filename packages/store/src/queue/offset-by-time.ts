import type { BoundaryType } from '../base/types.ts';
import { CQ_STORE_UNIT_SIZE, isFillerUnit, unitPhyOffset, unitSize } from './unit.ts';

/** What the search needs of a queue. */
export interface TimedQueue {
  readonly minOffsetInQueue: number;
  readonly maxOffsetInQueue: number;
  read(queueOffset: number, maxCount: number): Promise<Buffer>;
}

/** storeTimestamp of the record at this place in the log; -1 when it is not there any more. */
export type StoreTimestampOf = (phyOffset: number, size: number) => Promise<number>;

/**
 * The entry that belongs to a time (RocketMQ getOffsetInQueueByTime). LOWER: the first entry with storeTimestamp ≥
 * `timestamp`, one past the last when all are older. UPPER: the last entry with storeTimestamp ≤ `timestamp`. Within
 * [min offset, max offset], of an emptied queue too. Where the clock was set back, a time may be found on either side of the
 * step. Takes as many record reads as the queue's length has binary digits.
 */
export async function offsetInQueueByTime(
  queue: TimedQueue,
  timestamp: number,
  boundary: BoundaryType,
  storeTimestampOf: StoreTimestampOf,
): Promise<number> {
  const min = queue.minOffsetInQueue;
  const max = queue.maxOffsetInQueue;
  if (max <= min) return max;
  // UPPER is the place before the first entry that is newer.
  const isBefore = (time: number): boolean => (boundary === 'UPPER' ? time <= timestamp : time < timestamp);
  let low = min;
  let high = max;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isBefore(await timeOfEntry(queue, middle, storeTimestampOf))) low = middle + 1;
    else high = middle;
  }
  const found = boundary === 'UPPER' ? low - 1 : low;
  return Math.min(max, Math.max(min, found));
}

/** A place without an entry, or whose record has gone, counts as older than everything: such places come first. */
async function timeOfEntry(queue: TimedQueue, offset: number, storeTimestampOf: StoreTimestampOf): Promise<number> {
  const unit = await queue.read(offset, 1);
  if (unit.length < CQ_STORE_UNIT_SIZE || isFillerUnit(unit, 0)) return -1;
  return storeTimestampOf(unitPhyOffset(unit, 0), unitSize(unit, 0));
}
