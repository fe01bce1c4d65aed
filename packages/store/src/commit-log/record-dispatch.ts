import type { DispatchRequest } from '../queue/dispatch-request.ts';
import { tagsStringToTagsCode } from '../queue/tags-code.ts';
import { DelayLevels, SCHEDULE_TOPIC } from './delay-levels.ts';
import { checkMessageAndReturnSize, propertiesStringOf, type RecordLayout } from './message-decoder.ts';
import {
  PROPERTY_DELAY_TIME_LEVEL,
  PROPERTY_KEYS,
  PROPERTY_TAGS,
  PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX,
  propertyOf,
} from './properties.ts';

const defaultDelayLevels = new DelayLevels();

/**
 * What the queues and the index need of a record that checkMessageAndReturnSize accepted in this buffer. Nothing of the
 * result points into the buffer. `delayLevels`: the table of messageDelayLevel, RocketMQ's default without one.
 */
export function dispatchRequestOf(
  buffer: Buffer,
  record: RecordLayout,
  delayLevels: DelayLevels = defaultDelayLevels,
): DispatchRequest {
  const topic = buffer.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
  const properties = propertiesStringOf(buffer, record);
  return {
    topic,
    queueId: record.queueId,
    commitLogOffset: record.physicalOffset,
    msgSize: record.size,
    tagsCode: tagsCodeOf(topic, properties, record.storeTimestamp, delayLevels),
    storeTimestamp: record.storeTimestamp,
    consumeQueueOffset: record.queueOffset,
    keys: propertyOf(properties, PROPERTY_KEYS) ?? '',
    uniqKey: propertyOf(properties, PROPERTY_UNIQ_CLIENT_MESSAGE_ID_KEYIDX),
    sysFlag: record.sysFlag,
    preparedTransactionOffset: record.preparedTransactionOffset,
  };
}

/**
 * The third field of a consume-queue entry: the hash of TAGS, 0 without; for a record that waits in the schedule topic
 * the time it is due, by which the delivery service finds it (RocketMQ CommitLog.checkMessageAndReturnSize).
 */
export function tagsCodeOf(
  topic: string,
  propertiesString: string,
  storeTimestamp: number,
  delayLevels: DelayLevels = defaultDelayLevels,
): number {
  if (topic === SCHEDULE_TOPIC) {
    const level = propertyOf(propertiesString, PROPERTY_DELAY_TIME_LEVEL);
    const due =
      level === undefined ? undefined : delayLevels.deliverTimestamp(Number.parseInt(level, 10), storeTimestamp);
    if (due !== undefined) return due;
  }
  const tags = propertyOf(propertiesString, PROPERTY_TAGS);
  return tags === undefined ? 0 : tagsStringToTagsCode(tags);
}

/** The request of a raw record without checking its CRC; undefined when the lengths do not add up. */
export function dispatchRequestOfRecord(
  buffer: Buffer,
  at = 0,
  delayLevels: DelayLevels = defaultDelayLevels,
): DispatchRequest | undefined {
  const record = checkMessageAndReturnSize(buffer, at);
  return record.kind === 'record' ? dispatchRequestOf(buffer, record, delayLevels) : undefined;
}
