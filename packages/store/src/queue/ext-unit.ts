import { readInt32, readInt64 } from '../base/int64.ts';

/**
 * Extensions of queue entries (RocketMQ ConsumeQueueExt), which a broker with `enableConsumeQueueExt` writes to
 * `<root>/consumequeue_ext/<topic>/<queueId>/`. The third field of an entry is then no hash but the address of a unit
 * there: the unit's offset + Long.MIN_VALUE, which no hash and no time reaches.
 *
 *   at  width  field of a unit
 *    0  i16    size of the unit in bytes, 20 to 32,767; −1 marks the end of what a file holds
 *    2  i64    tagsCode: what the entry would have without the extension
 *   10  i64    storeTimestamp of the record
 *   18  i16    bytes of the bit map, which follows
 */
export const EXT_UNIT_BYTES_MIN = 20;
/** RocketMQ ConsumeQueueExt.MAX_ADDR: Integer.MIN_VALUE − 1. */
export const EXT_ADDRESS_MAX = -2_147_483_649;

const TAGS_CODE_AT = 12;
const TWO_31 = 0x8000_0000;
const TWO_32 = 0x1_0000_0000;

export function isExtAddress(tagsCode: number): boolean {
  return tagsCode <= EXT_ADDRESS_MAX;
}

/**
 * Offset of the extension of the queue entry at byte `at`, whose tagsCode is an address: taken from its halves, for as one
 * JavaScript number such an address is off by up to 512. Undefined for one that no file can have.
 */
export function extOffsetOf(units: Uint8Array, at: number): number | undefined {
  const high = readInt32(units, at + TAGS_CODE_AT) + TWO_31;
  const offset = high * TWO_32 + (readInt32(units, at + TAGS_CODE_AT + 4) >>> 0);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

/** The tagsCode of the unit at byte `at`; undefined when there is no whole one. */
export function extTagsCode(bytes: Buffer, at: number): number | undefined {
  if (at < 0 || at + EXT_UNIT_BYTES_MIN > bytes.length) return undefined;
  return bytes.readInt16BE(at) < EXT_UNIT_BYTES_MIN ? undefined : readInt64(bytes, at + 2);
}
