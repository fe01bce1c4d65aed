import { DelayLevels, SCHEDULE_TOPIC } from './delay-levels.ts';
import type { DispatchRequest } from './dispatch-request.ts';
import { innerCountOfRecord } from './inner-batch.ts';
import { checkMessageAndReturnSize, propertiesStringOf, type RecordLayout } from './message-decoder.ts';
import { lmqPlacesOf } from './multi-dispatch.ts';
import { PROPERTY_DELAY_TIME_LEVEL, propertyOf } from './properties.ts';
import { PropertyScan } from './property-scan.ts';

const defaultDelayLevels = new DelayLevels();

/**
 * What the queues and the index need of a record that checkMessageAndReturnSize accepted in this buffer. Nothing of the
 * result points into the buffer. `delayLevels`: the table of messageDelayLevel, RocketMQ's default without one.
 * `hasLmqs`: light queues are in use.
 */
export function dispatchRequestOf(
  buffer: Buffer,
  record: RecordLayout,
  delayLevels: DelayLevels = defaultDelayLevels,
  hasLmqs = false,
): DispatchRequest {
  const topic = buffer.toString('utf8', record.topicAt, record.topicAt + record.topicLength);
  const properties = propertiesStringOf(buffer, record);
  const keyHashes = new PropertyScan().scanText(properties).keyHashes();
  const request: DispatchRequest = {
    topic,
    queueId: record.queueId,
    commitLogOffset: record.physicalOffset,
    msgSize: record.size,
    tagsCode: tagsCodeOf(topic, keyHashes.tagHash, properties, record.storeTimestamp, delayLevels),
    storeTimestamp: record.storeTimestamp,
    consumeQueueOffset: record.queueOffset,
    keyHashes,
    sysFlag: record.sysFlag,
    preparedTransactionOffset: record.preparedTransactionOffset,
    lmqs: hasLmqs ? lmqPlacesOf(topic, properties) : undefined,
  };
  const innerCount = innerCountOfRecord(record.sysFlag, properties);
  if (innerCount !== undefined) request.innerCount = innerCount;
  return request;
}

/**
 * The third field of a consume-queue entry: the hash of TAGS, 0 without tags; for a record that waits in the
 * schedule topic the time it is due, by which the delivery service finds it (RocketMQ
 * CommitLog.checkMessageAndReturnSize).
 */
export function tagsCodeOf(
  topic: string,
  tagHash: number,
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
  return tagHash;
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
