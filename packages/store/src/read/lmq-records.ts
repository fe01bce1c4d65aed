import { checkMessageAndReturnSize, propertiesStringOf } from '../record/message-decoder.ts';
import { lmqPlacesOf } from '../record/multi-dispatch.ts';
import { isTombstone } from '../record/tombstone.ts';
import { ReadRecords } from './log-reader.ts';

/**
 * Of records that entries of a light queue lead to, those that are in it by what they say of themselves: at one of these
 * numbers, or sent to it as to a topic. What a repair put in the place of a lost message is none.
 */
export function recordsOfLmq(read: ReadRecords, name: string, queueOffsets: readonly number[]): ReadRecords {
  const numbers = new Set(queueOffsets);
  const records = read.records.filter((record) => {
    if (isTombstone(record, 0, record.length)) return false;
    const layout = checkMessageAndReturnSize(record, 0);
    if (layout.kind !== 'record') return false;
    const topic = record.toString('utf8', layout.topicAt, layout.topicAt + layout.topicLength);
    if (topic === name) return numbers.has(layout.queueOffset);
    const places = lmqPlacesOf(topic, propertiesStringOf(record, layout));
    return places?.some((place) => place.name === name && numbers.has(place.queueOffset)) ?? false;
  });
  if (records.length === read.count) return read;
  return new ReadRecords(
    Buffer.concat(records),
    records.map(({ length }) => length),
  );
}
