import { readInt32, readInt64 } from '../base/int64.ts';
import { crc32Masked, MESSAGE_MAGIC_CODE, MESSAGE_MAGIC_CODE_V2, RECORD_BYTES_MIN } from './message-decoder.ts';
import { BORNHOST_V6_FLAG, STOREHOSTADDRESS_V6_FLAG } from './sys-flag.ts';

/** Where the length of the body stands in the record at `at`: behind two hosts of either length. */
export function bodyLengthPosition(source: Buffer, at: number): number {
  const sysFlag = readInt32(source, at + 36);
  return (
    at + 84 + ((sysFlag & BORNHOST_V6_FLAG) !== 0 ? 12 : 0) + ((sysFlag & STOREHOSTADDRESS_V6_FLAG) !== 0 ? 12 : 0)
  );
}

/**
 * Whether the bytes at `at` are the record that its consume-queue entry promises: magic, size, own offset, lengths that add
 * up, and the body's checksum. Made for every record that comes from the disk, so that no reader is ever given a wrong byte
 * of a body, nor a client a record that it cannot take apart and that ends its whole answer. Answers where the topic's
 * length stands, which isRecordAtPlace needs; -1 for a record that is not sound.
 */
export function soundTopicPosition(source: Buffer, at: number, size: number, commitLogOffset: number): number {
  if (size < RECORD_BYTES_MIN || readInt32(source, at) !== size) return -1;
  const magic = readInt32(source, at + 4);
  if (magic !== MESSAGE_MAGIC_CODE && magic !== MESSAGE_MAGIC_CODE_V2) return -1;
  if (readInt64(source, at + 28) !== commitLogOffset) return -1;
  const bodyLengthAt = bodyLengthPosition(source, at);
  const bodyLength = readInt32(source, bodyLengthAt);
  const bodyAt = bodyLengthAt + 4;
  const isV2 = magic === MESSAGE_MAGIC_CODE_V2;
  const topicLengthAt = bodyAt + bodyLength;
  const topicAt = topicLengthAt + (isV2 ? 2 : 1);
  const end = at + size;
  if (bodyLength < 0 || topicAt + 2 > end) return -1;
  const propertiesLengthAt = topicAt + (isV2 ? source.readInt16BE(topicLengthAt) : source[topicLengthAt]!);
  if (propertiesLengthAt < topicAt || propertiesLengthAt + 2 > end) return -1;
  if (propertiesLengthAt + 2 + source.readInt16BE(propertiesLengthAt) !== end) return -1;
  const isWhole = crc32Masked(source.subarray(bodyAt, bodyAt + bodyLength)) === readInt32(source, at + 8);
  return isWhole ? topicLengthAt : -1;
}

/** The place in its queue that a record names itself, for comparison with the queue that it is read from. */
export interface RecordPlace {
  topic: Uint8Array;
  queueId: number;
  queueOffset: number;
}

/**
 * Whether a sound record at `at`, whose topic's length stands at `topicLengthAt`, is the one that belongs at this place. An
 * entry whose bytes are damaged, or whose file is another queue's, points to records that are sound and somebody else's.
 */
export function isRecordAtPlace(source: Buffer, at: number, topicLengthAt: number, place: RecordPlace): boolean {
  if (!isRecordNumbered(source, at, place.queueId, place.queueOffset)) return false;
  const isV2 = readInt32(source, at + 4) === MESSAGE_MAGIC_CODE_V2;
  const length = isV2 ? source.readInt16BE(topicLengthAt) : source[topicLengthAt]!;
  const topicAt = topicLengthAt + (isV2 ? 2 : 1);
  const { topic } = place;
  if (length !== topic.length || topicAt + length > source.length) return false;
  // A call into Node costs more than a name is long.
  for (let i = 0; i < length; i++) if (source[topicAt + i] !== topic[i]) return false;
  return true;
}

/** The cheap part of isRecordAtPlace, for records from memory, which nothing has damaged. */
export function isRecordNumbered(source: Buffer, at: number, queueId: number, queueOffset: number): boolean {
  return readInt32(source, at + 12) === queueId && readInt64(source, at + 20) === queueOffset;
}
