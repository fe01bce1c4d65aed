import { crc32 } from 'node:zlib';
import { readInt32, readInt64 } from '../base/int64.ts';
import { END_FILE_MIN_BLANK_LENGTH, PROPERTIES_BYTES_MAX, RECORD_BYTES_MIN } from '../base/limits.ts';
import type { MessageExt, StoreHost } from '../base/types.ts';
import { PROPERTY_CRC32, parseProperties } from './properties.ts';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG } from './sys-flag.ts';

/**
 * Reading a record of the commit log (RocketMQ CommitLog.checkMessageAndReturnSize, MessageDecoder). All integers are
 * signed and big-endian. Offsets below hold for IPv4 hosts; each IPv6 host (sysFlag bits 4, 5) adds 12 bytes.
 *
 *    0 i32 totalSize      28 i64 physicalOffset   56 i64   storeTimestamp     84 i32 + n  body
 *    4 i32 magic          36 i32 sysFlag          64 4 + 4 storeHost, port       u8 + n   topic (V2: i16 + n)
 *    8 i32 bodyCRC        40 i64 bornTimestamp    72 i32   reconsumeTimes        i16 + n  properties
 *   12 i32 queueId        48 4 + 4 bornHost, port 76 i64   preparedTransactionOffset
 *   16 i32 flag
 *   20 i64 queueOffset
 *
 * The rest of a file that the next record does not fit in starts with i32 bytes left, i32 BLANK magic.
 */
export const MESSAGE_MAGIC_CODE = 0xdaa320a7 | 0;
export const MESSAGE_MAGIC_CODE_V2 = 0xdaa320ab | 0;
export const BLANK_MAGIC_CODE = 0xcbd43194 | 0;

export { END_FILE_MIN_BLANK_LENGTH, RECORD_BYTES_MIN };
/** Bytes that say how long everything in front of the topic is, for any record. */
export const RECORD_HEAD_BYTES = 88 + 24;
/** `__CRC32#` 0x01, ten digits, 0x02: always the last bytes of the record when present. */
export const PROPERTY_CRC_BYTES = 20;

/** Where the record's own position stands: whoever looks for records without a known start compares this field. */
export const PHYSICAL_OFFSET_POSITION = 28;

/** A record whose lengths add up. Positions are indexes into the buffer it was read from. */
export interface RecordLayout {
  readonly kind: 'record';
  /** Bytes of the whole record. */
  readonly size: number;
  readonly at: number;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly physicalOffset: number;
  readonly sysFlag: number;
  readonly storeTimestamp: number;
  readonly preparedTransactionOffset: number;
  readonly bodyAt: number;
  readonly bodyLength: number;
  readonly topicAt: number;
  readonly topicLength: number;
  readonly propertiesAt: number;
  readonly propertiesLength: number;
}

/** Which rule a bad record breaks; `expected` and `found` are the numbers of that rule. */
export type BadRecordReason =
  | 'magic'
  | 'total-size'
  | 'crosses-end-of-file'
  | 'physical-offset'
  | 'body-length'
  | 'topic-length'
  | 'properties-length'
  | 'lengths-do-not-add-up'
  | 'body-crc'
  | 'property-crc'
  | 'torn-sector'
  | 'blank-size';

export interface BadRecord {
  readonly kind: 'bad';
  readonly reason: BadRecordReason;
  readonly expected: number;
  readonly found: number;
}

export type RecordCheck =
  | RecordLayout
  /** The file ends here; `size` bytes were left. */
  | { readonly kind: 'blank'; readonly size: number }
  /** Eight zero bytes (or all that is left of the file is zero): never written. */
  | { readonly kind: 'zero' }
  /** The buffer ends before the record does; ask again with at least `need` bytes from `at`. */
  | { readonly kind: 'short'; readonly need: number }
  | BadRecord;

export interface RecordCheckOptions {
  /** Compare the body with bodyCRC (checkCRCOnRecover). */
  checkCrc?: boolean;
  /** Offset in the log of the byte at `at`. A record that claims another one is stale (reused file) or misplaced. */
  expectedPhysicalOffset?: number;
  /** Bytes left in the file from `at` on; a record cannot be longer, a BLANK has exactly these. */
  maxSize?: number;
  /**
   * For bytes that are not known to be on disk: what a power cut kept from the disk reads as zeros, and the body's CRC
   * does not cover topic and properties. A record without `__CRC32#` that has a zero byte there is 'torn-sector', with
   * that byte's place in the record as `found`; one that carries the CRC is compared with it. MessageEncoder gives the
   * CRC to every record that has such a byte, so that no record of ours that is whole fails. RocketMQ's may.
   */
  checkTorn?: boolean;
  /** Compare the whole record with its `__CRC32#` property, when it has one (enabledAppendPropCRC, forceVerifyPropCRC). */
  verifyPropCrc?: boolean;
}

/** CRC-32 as records store it: never negative (RocketMQ UtilAll.crc32). 0 for no bytes. */
export function crc32Masked(data: Uint8Array): number {
  return crc32(data) & 0x7fffffff;
}

const ZERO: RecordCheck = { kind: 'zero' };

function bad(reason: BadRecordReason, expected: number, found: number): BadRecord {
  return { kind: 'bad', reason, expected, found };
}

/**
 * Looks at the bytes from `at` on (RocketMQ CommitLog.checkMessageAndReturnSize). Never throws for what is in the
 * buffer. An empty body has CRC 0, and a body may have CRC 0 by chance: neither means the end of the log.
 */
export function checkMessageAndReturnSize(buffer: Buffer, at: number, options: RecordCheckOptions = {}): RecordCheck {
  const maxSize = options.maxSize ?? Number.MAX_SAFE_INTEGER;
  const available = buffer.length - at;
  if (maxSize < END_FILE_MIN_BLANK_LENGTH) return checkFileEnd(buffer, at, maxSize);
  if (available < 8) return { kind: 'short', need: RECORD_BYTES_MIN };
  const size = readInt32(buffer, at);
  const magic = readInt32(buffer, at + 4);
  if (magic !== MESSAGE_MAGIC_CODE && magic !== MESSAGE_MAGIC_CODE_V2) {
    if (magic === 0 && size === 0) return ZERO;
    if (magic !== BLANK_MAGIC_CODE) return bad('magic', MESSAGE_MAGIC_CODE, magic);
    if (options.maxSize !== undefined && size !== maxSize) return bad('blank-size', maxSize, size);
    return { kind: 'blank', size };
  }
  if (size < RECORD_BYTES_MIN) return bad('total-size', RECORD_BYTES_MIN, size);
  if (size > maxSize) return bad('crosses-end-of-file', maxSize, size);
  if (available < Math.min(size, RECORD_HEAD_BYTES)) return { kind: 'short', need: Math.min(size, RECORD_HEAD_BYTES) };
  const layout = readLayout(buffer, at, size, magic, available);
  const expectedOffset = options.expectedPhysicalOffset;
  // Before anybody takes memory for what a head says: bytes that are no record of this place have no say.
  if (layout.kind === 'short' && expectedOffset !== undefined) {
    const found = readInt64(buffer, at + PHYSICAL_OFFSET_POSITION);
    if (found !== expectedOffset) return bad('physical-offset', expectedOffset, found);
  }
  if (layout.kind !== 'record') return layout;
  if (expectedOffset !== undefined && layout.physicalOffset !== expectedOffset) {
    return bad('physical-offset', expectedOffset, layout.physicalOffset);
  }
  if (options.checkCrc) {
    const expected = readInt32(buffer, at + 8);
    const found = crc32Masked(buffer.subarray(layout.bodyAt, layout.bodyAt + layout.bodyLength));
    if (expected !== found) return bad('body-crc', expected, found);
  }
  if (options.verifyPropCrc || options.checkTorn) {
    const expected = layout.propertiesLength >= PROPERTY_CRC_BYTES ? propertyCrcOf(buffer, at, size) : undefined;
    if (expected !== undefined) {
      const found = crc32Masked(buffer.subarray(at, at + size - PROPERTY_CRC_BYTES));
      if (expected !== found) return bad('property-crc', expected, found);
    } else if (options.checkTorn) {
      const zero = zeroByteOf(buffer, layout);
      if (zero >= 0) return bad('torn-sector', 0, zero - at);
    }
  }
  return layout;
}

/** Index of the first zero byte of topic and properties, -1 without. */
function zeroByteOf(buffer: Buffer, record: RecordLayout): number {
  // Text is short, and a loop over it costs less than two calls of indexOf.
  const topicEnd = record.topicAt + record.topicLength;
  for (let i = record.topicAt; i < topicEnd; i++) if (buffer[i] === 0) return i;
  const zero = record.propertiesLength === 0 ? -1 : buffer.indexOf(0, record.propertiesAt);
  return zero < record.at + record.size ? zero : -1;
}

/** Less than a BLANK marker is left of the file, where no writer puts anything. */
function checkFileEnd(buffer: Buffer, at: number, left: number): RecordCheck {
  if (buffer.length - at < left) return { kind: 'short', need: left };
  for (let i = 0; i < left; i++) {
    const byte = buffer[at + i]!;
    if (byte !== 0) return bad('magic', BLANK_MAGIC_CODE, byte);
  }
  return ZERO;
}

function readLayout(
  buffer: Buffer,
  at: number,
  size: number,
  magic: number,
  available: number,
): RecordLayout | BadRecord | { readonly kind: 'short'; readonly need: number } {
  const sysFlag = readInt32(buffer, at + 36);
  const bornHostExtra = (sysFlag & BORNHOST_V6_FLAG) === 0 ? 0 : 12;
  const storeTimestampAt = at + 56 + bornHostExtra;
  const tailAt = storeTimestampAt + 16 + ((sysFlag & STOREHOSTADDRESS_V6_FLAG) === 0 ? 0 : 12);
  const bodyAt = tailAt + 16;
  const end = at + size;
  const topicLengthBytes = magic === MESSAGE_MAGIC_CODE_V2 ? 2 : 1;
  // What is left for the body when topic and properties are empty; before any byte behind the head is looked at.
  const bodyLengthMax = end - bodyAt - topicLengthBytes - 2;
  if (bodyLengthMax < 0) return bad('total-size', bodyAt - at + topicLengthBytes + 2, size);
  const bodyLength = readInt32(buffer, bodyAt - 4);
  if (bodyLength < 0 || bodyLength > bodyLengthMax) return bad('body-length', bodyLengthMax, bodyLength);
  // Garbage that passes for a huge record must not make the reader load it: the body decides nearly all of the size.
  const restMax = (topicLengthBytes === 2 ? 0x7fff : 0xff) + PROPERTIES_BYTES_MAX;
  if (bodyLengthMax - bodyLength > restMax) return bad('body-length', bodyLengthMax, bodyLength);
  if (available < size) return { kind: 'short', need: size };

  const topicLengthAt = bodyAt + bodyLength;
  const topicLength = topicLengthBytes === 2 ? buffer.readInt16BE(topicLengthAt) : buffer[topicLengthAt]!;
  const topicAt = topicLengthAt + topicLengthBytes;
  const topicLengthMax = end - topicAt - 2;
  if (topicLength < 0 || topicLength > topicLengthMax) return bad('topic-length', topicLengthMax, topicLength);
  const propertiesAt = topicAt + topicLength + 2;
  const propertiesLength = buffer.readInt16BE(propertiesAt - 2);
  if (propertiesLength < 0) return bad('properties-length', end - propertiesAt, propertiesLength);
  if (propertiesAt + propertiesLength !== end) {
    return bad('lengths-do-not-add-up', size, propertiesAt + propertiesLength - at);
  }
  return {
    kind: 'record',
    size,
    at,
    queueId: readInt32(buffer, at + 12),
    queueOffset: readInt64(buffer, at + 20),
    physicalOffset: readInt64(buffer, at + PHYSICAL_OFFSET_POSITION),
    sysFlag,
    storeTimestamp: readInt64(buffer, storeTimestampAt),
    preparedTransactionOffset: readInt64(buffer, tailAt + 4),
    bodyAt,
    bodyLength,
    topicAt,
    topicLength,
    propertiesAt,
    propertiesLength,
  };
}

const CRC_PREFIX = Buffer.from(`${PROPERTY_CRC32}\u0001`, 'latin1');

/**
 * The CRC that the last 20 bytes of a record state; undefined when they are no CRC property. Its ten decimal digits are
 * written least significant first (RocketMQ MessageExtEncoder, UtilAll.crc32 in the properties).
 */
export function propertyCrcOf(buffer: Buffer, at: number, size: number): number | undefined {
  const start = at + size - PROPERTY_CRC_BYTES;
  if (buffer[at + size - 1] !== 2) return undefined;
  for (let i = 0; i < CRC_PREFIX.length; i++) if (buffer[start + i] !== CRC_PREFIX[i]) return undefined;
  let value = 0;
  for (let i = at + size - 2; i >= start + CRC_PREFIX.length; i--) {
    const digit = buffer[i]! - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * The whole record that starts at `at`, with copies of its bytes: nothing points into `buffer` afterwards. Undefined
 * when there is no complete record or its body does not match bodyCRC (RocketMQ MessageDecoder.decode).
 */
export function decodeMessage(buffer: Buffer, at = 0): MessageExt | undefined {
  const record = checkMessageAndReturnSize(buffer, at, { checkCrc: true });
  if (record.kind !== 'record') return undefined;
  const bornHostBytes = (record.sysFlag & BORNHOST_V6_FLAG) === 0 ? 4 : 16;
  const storeHostBytes = (record.sysFlag & STOREHOSTADDRESS_V6_FLAG) === 0 ? 4 : 16;
  const storeTimestampAt = at + 48 + bornHostBytes + 4;
  return {
    topic: buffer.toString('utf8', record.topicAt, record.topicAt + record.topicLength),
    queueId: record.queueId,
    queueOffset: record.queueOffset,
    commitLogOffset: record.physicalOffset,
    storeSize: record.size,
    body: Buffer.from(buffer.subarray(record.bodyAt, record.bodyAt + record.bodyLength)),
    bodyCRC: readInt32(buffer, at + 8),
    flag: readInt32(buffer, at + 16),
    sysFlag: record.sysFlag,
    bornTimestamp: readInt64(buffer, at + 40),
    bornHost: readHost(buffer, at + 48, bornHostBytes),
    storeTimestamp: record.storeTimestamp,
    storeHost: readHost(buffer, storeTimestampAt + 8, storeHostBytes),
    reconsumeTimes: readInt32(buffer, storeTimestampAt + 8 + storeHostBytes + 4),
    preparedTransactionOffset: record.preparedTransactionOffset,
    properties: parseProperties(propertiesStringOf(buffer, record)),
  };
}

function readHost(buffer: Buffer, at: number, addressBytes: number): StoreHost {
  return {
    address: Uint8Array.prototype.slice.call(buffer, at, at + addressBytes),
    port: readInt32(buffer, at + addressBytes),
  };
}

/** The properties string of a record that was checked in this buffer. */
export function propertiesStringOf(buffer: Buffer, record: RecordLayout): string {
  return buffer.toString('utf8', record.propertiesAt, record.propertiesAt + record.propertiesLength);
}
