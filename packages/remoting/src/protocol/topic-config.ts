import { RemotingError } from '../errors.ts';
import { shortened } from '../shortened.ts';
import { type DataVersion, dataVersionFromJson, dataVersionJson } from './data-version.ts';
import { FRAME_BYTES_MAX } from './frame-bytes.ts';
import { parseJavaJson } from './java-json.ts';
import { asObject, bodyObject, booleanMember, countMember, stringMap, stringMember } from './json-members.ts';

/** Bits of a topic's `perm` (RocketMQ PermName). */
export const Perm = { PRIORITY: 8, READ: 4, WRITE: 2, INHERIT: 1 } as const;

/** Bits of `topicSysFlag` (RocketMQ TopicSysFlag). */
export const TopicSysFlag = { UNIT: 1, UNIT_SUB: 2 } as const;

/** Java's largest int. */
const INT_MAX = 0x7fffffff;

export type TopicFilterType = 'SINGLE_TAG' | 'MULTI_TAG';

/** A topic as brokers keep and announce it (RocketMQ TopicConfig). */
export interface TopicConfig {
  topicName: string;
  readQueueNums: number;
  writeQueueNums: number;
  perm: number;
  topicFilterType: TopicFilterType;
  topicSysFlag: number;
  order: boolean;
  attributes: Map<string, string>;
}

/** Topics with the version of the table (RocketMQ TopicConfigSerializeWrapper): topics.json, GET_ALL_TOPIC_CONFIG. */
export interface TopicConfigTable {
  dataVersion: DataVersion;
  topicConfigTable: Map<string, TopicConfig>;
}

/** A topic with RocketMQ's defaults: 16 queues each way, read and write. */
export function createTopicConfig(topicName: string, given: Partial<TopicConfig> = {}): TopicConfig {
  return {
    readQueueNums: 16,
    writeQueueNums: 16,
    perm: Perm.READ | Perm.WRITE,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: new Map(),
    ...given,
    topicName,
  };
}

export function topicConfigFromJson(value: unknown): TopicConfig {
  const object = asObject(value, 'TopicConfig');
  return {
    topicName: stringMember(object, 'topicName'),
    readQueueNums: countMember(object, 'readQueueNums', INT_MAX, 16),
    writeQueueNums: countMember(object, 'writeQueueNums', INT_MAX, 16),
    perm: countMember(object, 'perm', INT_MAX, 6),
    topicFilterType: filterType(stringMember(object, 'topicFilterType', 'SINGLE_TAG')),
    topicSysFlag: countMember(object, 'topicSysFlag', INT_MAX),
    order: booleanMember(object, 'order'),
    attributes: stringMap(object.attributes, 'attributes'),
  };
}

export function topicConfigJson(topic: TopicConfig): object {
  return {
    attributes: Object.fromEntries(topic.attributes),
    order: topic.order,
    perm: topic.perm,
    readQueueNums: topic.readQueueNums,
    topicFilterType: topic.topicFilterType,
    topicName: topic.topicName,
    topicSysFlag: topic.topicSysFlag,
    writeQueueNums: topic.writeQueueNums,
  };
}

/** `name readQueues writeQueues perm filterType`, then the attributes as JSON when there are any (TopicConfig.encode). */
export function encodeTopicConfigText(topic: TopicConfig): string {
  const text = `${topic.topicName} ${topic.readQueueNums} ${topic.writeQueueNums} ${topic.perm} ${topic.topicFilterType}`;
  return topic.attributes.size === 0 ? text : `${text} ${JSON.stringify(Object.fromEntries(topic.attributes))}`;
}

/** Throws REMOTING_BODY_INVALID. */
export function decodeTopicConfigText(text: string): TopicConfig {
  const parts = text.split(' ');
  const [topicName, read, write, perm, filter] = parts;
  const numbers = [read, write, perm].map((number) => (/^\d{1,9}$/.test(number ?? '') ? Number(number) : Number.NaN));
  if (topicName === undefined || topicName === '' || parts.length < 5 || !numbers.every(Number.isInteger)) {
    const shown = shortened(text);
    throw new RemotingError('REMOTING_BODY_INVALID', `'${shown}' is not a topic`, { text: shown });
  }
  const attributes = parts.slice(5).join(' ').trim();
  return {
    topicName,
    readQueueNums: numbers[0] as number,
    writeQueueNums: numbers[1] as number,
    perm: numbers[2] as number,
    topicFilterType: filterType(filter ?? ''),
    topicSysFlag: 0,
    order: false,
    attributes: attributes === '' ? new Map() : stringMap(parseJavaJson(attributes), 'attributes'),
  };
}

function filterType(name: string): TopicFilterType {
  return name === 'MULTI_TAG' ? 'MULTI_TAG' : 'SINGLE_TAG';
}

export function topicConfigTableFromJson(value: unknown): TopicConfigTable {
  const object = asObject(value, 'topic config table');
  const topics = new Map<string, TopicConfig>();
  for (const [name, topic] of Object.entries(asObject(object.topicConfigTable, 'topicConfigTable'))) {
    topics.set(name, { ...topicConfigFromJson(topic), topicName: name });
  }
  return { dataVersion: dataVersionFromJson(object.dataVersion), topicConfigTable: topics };
}

export function topicConfigTableJson(table: TopicConfigTable): Record<string, unknown> {
  const topics: [string, object][] = [];
  for (const [name, topic] of table.topicConfigTable) topics.push([name, topicConfigJson(topic)]);
  return { dataVersion: dataVersionJson(table.dataVersion), topicConfigTable: Object.fromEntries(topics) };
}

/** Body of GET_ALL_TOPIC_CONFIG (21). */
export function encodeTopicConfigTable(table: TopicConfigTable): Buffer {
  return Buffer.from(JSON.stringify(topicConfigTableJson(table)));
}

/** Throws REMOTING_BODY_INVALID, REMOTING_JSON_INVALID. */
export function decodeTopicConfigTable(body: Uint8Array | undefined): TopicConfigTable {
  return topicConfigTableFromJson(bodyObject(body, 'topic config table', FRAME_BYTES_MAX));
}
