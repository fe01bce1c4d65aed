import { propertyOf } from '../commit-log/properties.ts';
import { readInt32 } from '../int64.ts';
import { bodyLengthPosition } from './record-check.ts';

/**
 * Name of the property by which a repaired store marks the place of a message that was lost: an empty body, and the
 * former place of the bytes that were taken out as the value. Such a record keeps the number of its queue entry in use, so
 * that no later message moves and no number is given twice; readers step over it.
 */
export const TOMBSTONE_PROPERTY = 'VERNIER_QUARANTINED';

/** Whether the sound record of `size` bytes at `at` stands for a message that a repair took out. */
export function isTombstone(source: Buffer, at: number, size: number): boolean {
  const bodyLengthAt = bodyLengthPosition(source, at);
  // No broker takes an empty body, so nearly every record is done with here.
  if (readInt32(source, bodyLengthAt) !== 0) return false;
  const properties = source.toString('utf8', bodyLengthAt + 4, at + size);
  // Topic and lengths stand in front of the properties; the marker is the first of them, or begins after a separator.
  const at0 = properties.indexOf(`${TOMBSTONE_PROPERTY}\u0001`);
  return at0 >= 0 && propertyOf(properties.slice(at0), TOMBSTONE_PROPERTY) !== undefined;
}
