import { readInt32, readInt64, writeInt32, writeInt64 } from '../base/int64.ts';
import type { DispatchRequest } from '../record/dispatch-request.ts';

/**
 * The consume queue's unit (RocketMQ ConsumeQueue), 20 bytes, big-endian. Entry n of a queue lives at byte n × 20.
 *
 *   at  width  field
 *    0  i64    offset of the record in the commit log
 *    8  i32    size of the record in bytes
 *   12  i64    tagsCode: Java hash of TAGS, sign-extended; or a delivery time
 */
export const CQ_STORE_UNIT_SIZE = 20;

const FILLER_SIZE = 0x7fff_ffff;

/** One filler unit (RocketMQ fillPreBlank): stands where a queue has no entry, before its first or in a gap. */
export const FILLER_UNIT: Buffer = Buffer.alloc(CQ_STORE_UNIT_SIZE);
FILLER_UNIT.writeInt32BE(FILLER_SIZE, 8);

export function writeUnit(target: Uint8Array, at: number, phyOffset: number, size: number, tagsCode: number): void {
  writeInt64(target, phyOffset, at);
  writeInt32(target, size, at + 8);
  writeInt64(target, tagsCode, at + 12);
}

/** Offset in the commit log of the unit at byte `at`. */
export function unitPhyOffset(units: Uint8Array, at: number): number {
  return readInt64(units, at);
}

/** Record size in bytes of the unit at byte `at`. */
export function unitSize(units: Uint8Array, at: number): number {
  return readInt32(units, at + 8);
}

export function unitTagsCode(units: Uint8Array, at: number): number {
  return readInt64(units, at + 12);
}

/** True for a place without an entry: no record stands behind it and readers step over it. */
export function isFillerUnit(units: Uint8Array, at: number): boolean {
  return readInt32(units, at + 8) === FILLER_SIZE && readInt32(units, at) === 0 && readInt32(units, at + 4) === 0;
}

/** RocketMQ's rule for a unit that was written at all; a place never written reads as zeros and has size 0. */
export function isGoodUnit(units: Uint8Array, at: number): boolean {
  return readInt32(units, at) >= 0 && readInt32(units, at + 8) > 0;
}

export function fillWithFiller(target: Buffer, from: number, to: number): void {
  if (to > from) target.fill(FILLER_UNIT, from, to);
}

/** How one kind of queue lays its entries down. Offset, size and tagsCode stand at the same places in every kind. */
export interface UnitFormat {
  /** Of one entry. */
  readonly bytes: number;
  /** The key that says how large a file is. */
  readonly fileSizeKey: 'mappedFileSizeConsumeQueue' | 'mapperFileSizeBatchConsumeQueue';
  /** Fills places without an entry, whole ones. */
  fill(target: Buffer, from: number, to: number): void;
  /** Whether an entry was written there at all, filler among them. */
  isGood(units: Uint8Array, at: number): boolean;
  write(target: Uint8Array, at: number, request: DispatchRequest): void;
  /** Number in the queue of the (first) message; `entry`: the entry's own. */
  numberOf(units: Uint8Array, at: number, entry: number): number;
  /** Messages of the entry. */
  countOf(units: Uint8Array, at: number): number;
}

/** Entries of a consume queue: one message each. */
export const simpleUnits: UnitFormat = {
  bytes: CQ_STORE_UNIT_SIZE,
  fileSizeKey: 'mappedFileSizeConsumeQueue',
  fill: fillWithFiller,
  isGood: isGoodUnit,
  write: (target, at, { commitLogOffset, msgSize, tagsCode }) =>
    writeUnit(target, at, commitLogOffset, msgSize, tagsCode),
  numberOf: (_units, _at, entry) => entry,
  countOf: () => 1,
};
