import {
  checkMessageAndReturnSize,
  isLmq,
  lmqPlacesOf,
  MESSAGE_MAGIC_CODE,
  MESSAGE_MAGIC_CODE_V2,
  PROPERTIES_BYTES_MAX,
  PROPERTY_CRC32,
  propertiesStringOf,
  propertyOf,
  removeProperties,
} from '@vernier/store/internal';
import { propertyEntry, terminated } from '../put/properties.ts';

const V1_TOPIC_BYTES_MAX = 127;
const CRC_PROPERTY: ReadonlySet<string> = new Set([PROPERTY_CRC32]);

/**
 * The record of a retry as its consumer gets it (RocketMQ PopMessageProcessor): under the topic that it subscribes to, and
 * with its handle, which could not be told from the topic any more. Body and all other fields are those of the record; its
 * checksum is left out. When there is no room for the handle, the record as it is: a client makes its handle from the
 * answer's header then, under the name of the retry topic.
 */
export function retryRecord(record: Buffer, topic: string, handle: string): Buffer {
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') return record;
  const { topicAt, propertiesAt, propertiesLength } = layout;
  const text = record.toString('utf8', propertiesAt, propertiesAt + propertiesLength);
  const stored = text.includes(PROPERTY_CRC32) ? removeProperties(text, CRC_PROPERTY) : text;
  const hasHandle = propertyOf(stored, 'POP_CK') !== undefined;
  const properties = Buffer.from(hasHandle ? stored : terminated(stored) + propertyEntry('POP_CK', handle));
  if (properties.length > PROPERTIES_BYTES_MAX) return record;
  const isV1 = record.readInt32BE(4) === MESSAGE_MAGIC_CODE;
  const frontEnd = topicAt - (isV1 ? 1 : 2);
  const name = Buffer.from(topic);
  const isLong = name.length > V1_TOPIC_BYTES_MAX;
  const topicEnd = frontEnd + (isLong ? 2 : 1) + name.length;
  const changed = Buffer.allocUnsafe(topicEnd + 2 + properties.length);
  record.copy(changed, 0, 0, frontEnd);
  changed.writeInt32BE(changed.length, 0);
  changed.writeInt32BE(isLong ? MESSAGE_MAGIC_CODE_V2 : MESSAGE_MAGIC_CODE, 4);
  if (isLong) changed.writeUInt16BE(name.length, frontEnd);
  else changed.writeUInt8(name.length, frontEnd);
  name.copy(changed, topicEnd - name.length);
  changed.writeUInt16BE(properties.length, topicEnd);
  properties.copy(changed, topicEnd + 2);
  return changed;
}

/** Where a record lies in the log. */
export const logOffsetOf = (record: Buffer): number => Number(record.readBigInt64BE(28));

/** Entry number of a record in a queue of the topic that gave it; a light queue gives records of other topics. */
export function queueOffsetIn(record: Buffer, topic: string): number {
  const own = Number(record.readBigInt64BE(20));
  if (!isLmq(topic)) return own;
  const layout = checkMessageAndReturnSize(record, 0);
  if (layout.kind !== 'record') return own;
  const name = record.toString('utf8', layout.topicAt, layout.topicAt + layout.topicLength);
  const places = name === topic ? undefined : lmqPlacesOf(name, propertiesStringOf(record, layout));
  return places?.find((place) => place.name === topic)?.queueOffset ?? own;
}
