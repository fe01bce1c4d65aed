import {
  asArray,
  asObject,
  bodyObject,
  createTopicConfig,
  dataVersionJson,
  type ExtFields,
  encodeTopicList,
  type RemotingCommand,
  stringMap,
  type TopicConfig,
  type TopicFilterType,
  topicConfigFromJson,
  topicConfigJson,
} from '@vernier/remoting';
import type { TopicChange } from '../admin/topic-admin.ts';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { addJoined } from '../long-answers/answer-text.ts';
import { type QueueMapping, queueMappingFromJson, queueMappingJson } from '../topics/queue-mapping.ts';
import {
  granted,
  json,
  longAnswer,
  optionalFlag,
  optionalNumber,
  requiredNumber,
  requiredText,
  success,
} from './requests.ts';

/** UPDATE_AND_CREATE_TOPIC. Answered once the table is on disk and announced, as all changes here. */
export async function updateTopic({ topicAdmin }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  granted(await topicAdmin.update([{ topic: topicOf(fields), attributes: fields?.attributes }]));
  return success(request);
}

const topicOf = (fields: ExtFields | undefined): TopicConfig =>
  createTopicConfig(requiredText(fields, 'topic'), {
    readQueueNums: requiredNumber(fields, 'readQueueNums'),
    writeQueueNums: requiredNumber(fields, 'writeQueueNums'),
    perm: requiredNumber(fields, 'perm'),
    // A name that is none is refused by the table of what a topic may hold.
    topicFilterType: (fields?.topicFilterType ?? 'SINGLE_TAG') as TopicFilterType,
    topicSysFlag: optionalNumber(fields, 'topicSysFlag', 0),
    order: optionalFlag(fields, 'order'),
  });

/** UPDATE_AND_CREATE_TOPIC_LIST */
export async function updateTopics({ topicAdmin }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const list = asArray(bodyObject(request.body, 'topic list').topicConfigList, 'topicConfigList');
  granted(await topicAdmin.update(list.map(topicChangeOf)));
  return success(request);
}

/** The names of attributes carry their signs here (`+message.type`: `FIFO`). */
function topicChangeOf(value: unknown): TopicChange {
  const attributes = stringMap(asObject(value, 'TopicConfig').attributes, 'attributes');
  const parts = [...attributes].map(([key, text]) => (key.startsWith('-') ? key : `${key}=${text}`));
  const topic = topicConfigFromJson(value);
  // A name that is none would be read as the usual one.
  const { topicFilterType } = asObject(value, 'TopicConfig');
  if (typeof topicFilterType === 'string') topic.topicFilterType = topicFilterType as TopicFilterType;
  return { topic, attributes: parts.join(',') };
}

/** UPDATE_AND_CREATE_STATIC_TOPIC */
export async function updateStaticTopic(
  { topicAdmin }: BrokerContext,
  request: RemotingCommand,
): Promise<RemotingCommand> {
  const fields = request.extFields;
  const mapping = queueMappingFromJson(bodyObject(request.body, 'TopicQueueMappingDetail'));
  granted(await topicAdmin.updateStatic(topicOf(fields), mapping, fields?.force === 'true'));
  return success(request);
}

/** DELETE_TOPIC_IN_BROKER */
export async function deleteTopic({ topicAdmin }: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  granted(await topicAdmin.delete(requiredText(request.extFields, 'topic')));
  return success(request);
}

/** GET_ALL_TOPIC_CONFIG */
export function allTopics(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const { topics, staticTopics } = broker;
  const fields = { totalTopicNum: String(topics.table.size) };
  return longAnswer(
    broker,
    request,
    caller,
    async (text) => {
      const version = JSON.stringify(dataVersionJson(topics.dataVersion));
      const mappingVersion = JSON.stringify(dataVersionJson(staticTopics.dataVersion));
      await text.add(`{"dataVersion":${version},"topicConfigTable":{`);
      await addJoined(text, topicMembers(topics.table));
      await text.add(`},"mappingDataVersion":${mappingVersion},"topicQueueMappingDetailMap":{`);
      await addJoined(text, mappingMembers(staticTopics.table));
      await text.add('}}');
    },
    fields,
  );
}

function* topicMembers(table: ReadonlyMap<string, TopicConfig>): Generator<string> {
  for (const [name, topic] of table) yield `${JSON.stringify(name)}:${JSON.stringify(topicConfigJson(topic))}`;
}

function* mappingMembers(table: ReadonlyMap<string, QueueMapping>): Generator<string> {
  for (const [name, mapping] of table) yield `${JSON.stringify(name)}:${JSON.stringify(queueMappingJson(mapping))}`;
}

/** GET_TOPIC_CONFIG. With `lo` also which logical queues of a static topic are here. */
export function oneTopic(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const topic = granted(broker.topicAdmin.find(requiredText(request.extFields, 'topic')));
  const mapping = request.extFields?.lo === 'true' ? broker.staticTopics.get(topic.topicName) : undefined;
  if (mapping === undefined) return json(request, topicConfigJson(topic));
  return json(request, { ...topicConfigJson(topic), mappingDetail: queueMappingJson(mapping) });
}

/** GET_SYSTEM_TOPIC_LIST_FROM_BROKER */
export function systemTopics(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  return success(request, undefined, encodeTopicList({ topicList: broker.topics.systemTopics() }));
}
