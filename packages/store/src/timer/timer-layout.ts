import { readInt32, readInt64, writeInt32, writeInt64 } from '../base/int64.ts';
import { INT32_MAX, RECORD_BYTES_MIN } from '../base/limits.ts';

/**
 * Bytes of the timer's files (RocketMQ TimerWheel, Slot, TimerLog).
 *
 * `timerwheel`, a ring of slots of 32 bytes; a slot stands at (its number mod slots), its number is milliseconds ÷ precision:
 *
 *      0  i64 number   0: blank      8  i64 firstPos     16  i64 lastPos     24  i32 num     28  i32 magic
 *
 * `timerlog/`, units of 52 bytes. The units of a slot are a chain from lastPos back along prevPos:
 *
 *      0  i32 size, 52    4  i64 prevPos, -1: none    12  i32 magic, bits    16  i64 time of writing, ms
 *     24  i32 ms from then to the slot's time        28  i64 log offset     36  i32 size of the record
 *     40  i32 Java hash of the topic                 44  i64 0
 *
 * A file ends with a blank of at least 16 bytes: i32 bytes that are left, i64 0, i32 BLANK_MAGIC.
 */
export const SLOT_BYTES = 32;
export const UNIT_BYTES = 52;
export const BLANK_BYTES_MIN = 16;
export const BLANK_MAGIC = 0xcbd4_3194 | 0;
/** Twice the slots of a week of seconds, whatever the precision. */
export const WHEEL_SLOTS = 2 * 7 * 24 * 3600;
/** Slots at the end of half a wheel that are left free (RocketMQ TIMER_BLANK_SLOTS). */
export const WHEEL_SPARE_SLOTS = 60;

/** Bits of a unit's magic. Every unit has the first one. */
export const TimerMagic = { DEFAULT: 1, ROLL: 2, DELETE: 4 } as const;
const MAGIC_BITS = 0xf;

/** Of a slot's magic, which Java keeps and does not read: units in front of firstPos are done. */
export const SLOT_CUT = 1;

/** One slot. `num`: messages that wait in it; those that recall others do not count. */
export interface TimerSlot {
  readonly number: number;
  readonly firstPos: number;
  readonly lastPos: number;
  readonly num: number;
  readonly magic: number;
}

/** One unit. `slotTimeMs`: Unix milliseconds of its slot. */
export interface TimerUnit {
  readonly prevPos: number;
  readonly magic: number;
  readonly writeTimeMs: number;
  readonly slotTimeMs: number;
  readonly logOffset: number;
  readonly size: number;
  readonly topicHash: number;
}

/** The slot that stands there; undefined for a blank one. Numbers are as they stand there, whatever they are. */
export function readSlot(bytes: Uint8Array, at: number): TimerSlot | undefined {
  const number = readInt64(bytes, at);
  const lastPos = readInt64(bytes, at + 16);
  const firstPos = readInt64(bytes, at + 8);
  const num = readInt32(bytes, at + 24);
  const magic = readInt32(bytes, at + 28);
  if (number === 0 && lastPos === 0 && firstPos === 0 && num === 0 && magic === 0) return undefined;
  return { number, firstPos, lastPos, num, magic };
}

/** Undefined makes the slot a blank one. */
export function writeSlot(bytes: Uint8Array, at: number, slot: TimerSlot | undefined): void {
  if (slot === undefined) {
    bytes.fill(0, at, at + SLOT_BYTES);
    return;
  }
  writeInt64(bytes, slot.number, at);
  writeInt64(bytes, slot.firstPos, at + 8);
  writeInt64(bytes, slot.lastPos, at + 16);
  writeInt32(bytes, slot.num, at + 24);
  writeInt32(bytes, slot.magic, at + 28);
}

export function writeUnit(bytes: Uint8Array, at: number, unit: TimerUnit): void {
  writeInt32(bytes, UNIT_BYTES, at);
  writeInt64(bytes, unit.prevPos, at + 4);
  writeInt32(bytes, unit.magic, at + 12);
  writeInt64(bytes, unit.writeTimeMs, at + 16);
  writeInt32(bytes, unit.slotTimeMs - unit.writeTimeMs, at + 24);
  writeInt64(bytes, unit.logOffset, at + 28);
  writeInt32(bytes, unit.size, at + 36);
  writeInt32(bytes, unit.topicHash, at + 40);
  writeInt64(bytes, 0, at + 44);
}

/**
 * The unit at `at`, which is `position` of the timer log; undefined when there is none. There is no checksum: every field
 * has to be one that a unit can have. What a fired unit leads to is checked again when its record is read.
 */
export function readUnit(bytes: Uint8Array, at: number, position: number): TimerUnit | undefined {
  if (at + UNIT_BYTES > bytes.length || readInt32(bytes, at) !== UNIT_BYTES) return undefined;
  const prevPos = readInt64(bytes, at + 4);
  const magic = readInt32(bytes, at + 12);
  const writeTimeMs = readInt64(bytes, at + 16);
  const slotTimeMs = writeTimeMs + readInt32(bytes, at + 24);
  const logOffset = readInt64(bytes, at + 28);
  const size = readInt32(bytes, at + 36);
  const isUnit =
    prevPos >= -1 &&
    prevPos < position &&
    (magic & TimerMagic.DEFAULT) !== 0 &&
    (magic & ~MAGIC_BITS) === 0 &&
    Number.isSafeInteger(writeTimeMs) &&
    writeTimeMs > 0 &&
    slotTimeMs > 0 &&
    Number.isSafeInteger(logOffset) &&
    logOffset >= 0 &&
    size >= RECORD_BYTES_MIN &&
    readInt64(bytes, at + 44) === 0;
  if (!isUnit) return undefined;
  return { prevPos, magic, writeTimeMs, slotTimeMs, logOffset, size, topicHash: readInt32(bytes, at + 40) };
}

/** The end of a file's units, `left` bytes before the end of the file. */
export function blank(left: number): Buffer {
  const bytes = Buffer.alloc(BLANK_BYTES_MIN);
  writeInt32(bytes, left, 0);
  writeInt32(bytes, BLANK_MAGIC, 12);
  return bytes;
}

export const isBlank = (bytes: Uint8Array, at: number): boolean =>
  at + BLANK_BYTES_MIN <= bytes.length && readInt32(bytes, at + 12) === BLANK_MAGIC;

/** No further unit begins at this place of a file: it would leave no room for the blank. */
export const isFileFull = (positionInFile: number, fileSize: number): boolean =>
  fileSize - positionInFile < UNIT_BYTES + BLANK_BYTES_MIN;

/** Where a slot's time has its place in the unit: within 32 bits either way. */
export const isWritableDelay = (ms: number): boolean => Number.isInteger(ms) && Math.abs(ms) <= INT32_MAX;
