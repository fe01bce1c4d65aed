import {
  BORNHOST_V6_FLAG,
  checkMessageAndReturnSize,
  readInt32,
  STOREHOSTADDRESS_V6_FLAG,
} from '@vernier/store/internal';

/** The one byte that keeps bytes from being a good record. */
export interface WrongByte {
  /** Byte of the record. */
  at: number;
  expected: number;
  found: number;
  field: string;
}

/** Longest record that is tried: each try may cost a checksum over the body. */
export const EXPLAINED_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Looks for one wrong byte in the head or the lengths of a record: the one value that makes its lengths add up, its offset
 * its own and its body what its checksum says. `bytes` reach from the record's start to the next good one. Undefined when
 * no single byte does, or several would. The body itself is not searched.
 */
export function findWrongByte(bytes: Buffer, physicalOffset: number): WrongByte | undefined {
  if (bytes.length < 91 || bytes.length > EXPLAINED_BYTES_MAX) return undefined;
  const trial = Buffer.from(bytes);
  let found: WrongByte | undefined;
  for (const [at, field] of positionsOf(bytes)) {
    if (at < 0 || at >= bytes.length) continue;
    const original = bytes[at]!;
    for (let value = 0; value < 256; value++) {
      if (value === original) continue;
      trial[at] = value;
      if (!isGood(trial, physicalOffset)) continue;
      if (found !== undefined) return undefined;
      found = { at, expected: value, found: original, field };
    }
    trial[at] = original;
  }
  return found;
}

function isGood(bytes: Buffer, expectedPhysicalOffset: number): boolean {
  // Cheap tests first: nearly every value fails here.
  if (readInt32(bytes, 0) !== bytes.length) return false;
  const options = { expectedPhysicalOffset, maxSize: bytes.length };
  if (checkMessageAndReturnSize(bytes, 0, options).kind !== 'record') return false;
  return checkMessageAndReturnSize(bytes, 0, { ...options, checkCrc: true, verifyPropCrc: true }).kind === 'record';
}

/** Bytes on which the lengths depend, for each way the hosts may be written, and what they are. */
function positionsOf(bytes: Buffer): Map<number, string> {
  const positions = new Map<number, string>();
  const add = (from: number, count: number, field: string): void => {
    for (let at = from; at < from + count; at++) if (!positions.has(at)) positions.set(at, field);
  };
  add(0, 4, 'totalSize');
  add(4, 4, 'magic');
  add(8, 4, 'bodyCRC');
  add(28, 8, 'physicalOffset');
  add(39, 1, 'sysFlag');
  const sysFlag = readInt32(bytes, 36);
  const bodyLengthAt =
    84 + ((sysFlag & BORNHOST_V6_FLAG) === 0 ? 0 : 12) + ((sysFlag & STOREHOSTADDRESS_V6_FLAG) === 0 ? 0 : 12);
  if (bodyLengthAt + 4 > bytes.length) return positions;
  add(bodyLengthAt, 4, 'bodyLength');
  const topicLengthAt = bodyLengthAt + 4 + readInt32(bytes, bodyLengthAt);
  if (topicLengthAt < bodyLengthAt || topicLengthAt + 4 > bytes.length) return positions;
  const wide = (bytes[7]! & 0xff) === 0xab;
  add(topicLengthAt, wide ? 2 : 1, 'topicLength');
  const topicLength = wide ? bytes.readInt16BE(topicLengthAt) : bytes[topicLengthAt]!;
  const propertiesLengthAt = topicLengthAt + (wide ? 2 : 1) + topicLength;
  if (topicLength >= 0 && propertiesLengthAt + 2 <= bytes.length) add(propertiesLengthAt, 2, 'propertiesLength');
  return positions;
}
