import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import { javaMapEntries, writeJavaJson } from './java-json.ts';
import { asObject, bodyObject, integerMember, numberMember } from './json-members.ts';
import { type MessageQueue, messageQueueFromJson, messageQueueJson } from './message-queue.ts';

/**
 * Tables keyed by a queue. Java prints such a key as a bare object (`{{"brokerName":"b","queueId":0,"topic":"t"}:…}`)
 * and its clients and mqadmin of 4.9 (fastjson 1.2.69) and 5.5 (fastjson2 2.0.59) read just that; fastjson2 refuses
 * the same object as text in a quoted name.
 */
export type QueueTable<T> = [queue: MessageQueue, value: T][];

/** Offsets of one queue (RocketMQ TopicOffset). */
export interface TopicOffset {
  minOffset: number;
  maxOffset: number;
  /** Unix milliseconds at which the newest message was stored; 0 when there is none. */
  lastUpdateTimestamp: number;
}

/** Answer to GET_TOPIC_STATS_INFO (202). */
export interface TopicStatsTable {
  topicPutTps: number;
  offsetTable: QueueTable<TopicOffset>;
}

/** Progress of a group in one queue (RocketMQ OffsetWrapper). */
export interface OffsetWrapper {
  brokerOffset: number;
  consumerOffset: number;
  pullOffset: number;
  /** Unix milliseconds at which the last consumed message was stored. */
  lastTimestamp: number;
}

/** Answer to GET_CONSUME_STATS (208). */
export interface ConsumeStats {
  consumeTps: number;
  offsetTable: QueueTable<OffsetWrapper>;
}

export function encodeTopicStatsTable(stats: TopicStatsTable): Buffer {
  return encodeTable(stats.offsetTable, { topicPutTps: stats.topicPutTps });
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeTopicStatsTable(body: Uint8Array | undefined): TopicStatsTable {
  const object = bodyObject(body, 'TopicStatsTable', FRAME_BYTES_MAX);
  return {
    topicPutTps: numberMember(object, 'topicPutTps'),
    offsetTable: decodeTable(object.offsetTable, (value) => {
      const offset = asObject(value, 'TopicOffset');
      return {
        minOffset: integerMember(offset, 'minOffset'),
        maxOffset: integerMember(offset, 'maxOffset'),
        lastUpdateTimestamp: integerMember(offset, 'lastUpdateTimestamp'),
      };
    }),
  };
}

export function encodeConsumeStats(stats: ConsumeStats): Buffer {
  return encodeTable(stats.offsetTable, { consumeTps: stats.consumeTps });
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeConsumeStats(body: Uint8Array | undefined): ConsumeStats {
  const object = bodyObject(body, 'ConsumeStats', FRAME_BYTES_MAX);
  return {
    consumeTps: numberMember(object, 'consumeTps'),
    offsetTable: decodeTable(object.offsetTable, (value) => {
      const offset = asObject(value, 'OffsetWrapper');
      return {
        brokerOffset: integerMember(offset, 'brokerOffset'),
        consumerOffset: integerMember(offset, 'consumerOffset'),
        pullOffset: integerMember(offset, 'pullOffset'),
        lastTimestamp: integerMember(offset, 'lastTimestamp'),
      };
    }),
  };
}

function encodeTable(table: QueueTable<object>, others: object): Buffer {
  const offsetTable = new Map(table.map(([queue, value]) => [messageQueueJson(queue), value]));
  return Buffer.from(writeJavaJson({ ...others, offsetTable }));
}

function decodeTable<T>(value: unknown, read: (value: unknown) => T): QueueTable<T> {
  return javaMapEntries(value).map(([queue, member]) => [messageQueueFromJson(queue), read(member)]);
}
