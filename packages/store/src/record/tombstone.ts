import { readInt32, readInt64 } from '../base/int64.ts';
import { propertyOf } from './properties.ts';
import { bodyLengthPosition } from './record-check.ts';
import { transactionType } from './sys-flag.ts';

/**
 * Name of the property by which a repaired store marks the place of a message that was lost: an empty body, and the
 * former place of the bytes that were taken out as the value. Such a record keeps the number of its queue entry in use, so
 * that no later message moves and no number is given twice; readers step over it.
 */
export const TOMBSTONE_PROPERTY = 'VERNIER_QUARANTINED';

/**
 * The same mark in preparedTransactionOffset, for a record too small for the property: the letters VERNQ. Only records of
 * transactions use the field, and those have a body; a Java broker reads it and does nothing with it.
 */
export const TOMBSTONE_PREPARED_OFFSET = 0x56_45_52_4e_51;

/** Whether the sound record of `size` bytes at `at` stands for a message that a repair took out. */
export function isTombstone(source: Buffer, at: number, size: number): boolean {
  const bodyLengthAt = bodyLengthPosition(source, at);
  // No broker takes an empty body, so nearly every record is done with here.
  if (readInt32(source, bodyLengthAt) !== 0) return false;
  const isMarked = readInt64(source, bodyLengthAt - 8) === TOMBSTONE_PREPARED_OFFSET;
  if (isMarked && transactionType(readInt32(source, at + 36)) === 0) return true;
  const properties = source.toString('utf8', bodyLengthAt + 4, at + size);
  // Topic and lengths stand in front of the properties; the marker is the first of them, or begins after a separator.
  const at0 = properties.indexOf(`${TOMBSTONE_PROPERTY}\u0001`);
  return at0 >= 0 && propertyOf(properties.slice(at0), TOMBSTONE_PROPERTY) !== undefined;
}
