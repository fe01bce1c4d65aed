import { readInt64, writeInt32, writeInt64 } from '../base/int64.ts';
import { innerCountOf } from '../record/dispatch-request.ts';
import { isGoodUnit, type UnitFormat, writeUnit } from './unit.ts';

/**
 * The unit of a batch queue (RocketMQ BatchConsumeQueue), 46 bytes, big-endian. It stands for one record of the log, which
 * holds one message or several that follow each other in number.
 *
 *   at  width  field
 *    0  i64    offset of the record in the commit log
 *    8  i32    size of the record in bytes
 *   12  i64    tagsCode: Java hash of TAGS, sign-extended
 *   20  i64    storeTimestamp of the record
 *   28  i64    number of the first message in the queue
 *   36  i16    count of messages, 1 or more
 *   38  i32    compacted offset, -1: not used
 *   42  i32    reserved, 0
 */
export const BATCH_UNIT_SIZE = 46;

/** storeTimestamp of the record, Unix milliseconds. */
export function batchUnitTime(units: Uint8Array, at: number): number {
  return readInt64(units, at + 20);
}

/** Number in the queue of the record's first message. */
export function batchUnitBase(units: Uint8Array, at: number): number {
  return readInt64(units, at + 28);
}

/** Messages of the record; below 1 for a place never written. */
export function batchUnitCount(units: Uint8Array, at: number): number {
  return ((units[at + 36]! << 24) | (units[at + 37]! << 16)) >> 16;
}

/** RocketMQ's rule for a unit that was written at all. */
export function isGoodBatchUnit(units: Uint8Array, at: number): boolean {
  return isGoodUnit(units, at) && batchUnitBase(units, at) >= 0 && batchUnitCount(units, at) > 0;
}

/** Entries of a batch queue. A place without an entry reads as zeros: these queues have no filler. */
export const batchUnits: UnitFormat = {
  bytes: BATCH_UNIT_SIZE,
  fileSizeKey: 'mapperFileSizeBatchConsumeQueue',
  fill: (target, from, to) => {
    target.fill(0, from, to);
  },
  isGood: isGoodBatchUnit,
  write: (target, at, request) => {
    writeUnit(target, at, request.commitLogOffset, request.msgSize, request.tagsCode);
    writeInt64(target, request.storeTimestamp, at + 20);
    writeInt64(target, request.consumeQueueOffset, at + 28);
    const count = innerCountOf(request);
    target[at + 36] = count >> 8;
    target[at + 37] = count & 0xff;
    writeInt32(target, -1, at + 38);
    writeInt32(target, 0, at + 42);
  },
  numberOf: batchUnitBase,
  countOf: (units, at) => Math.max(1, batchUnitCount(units, at)),
};
