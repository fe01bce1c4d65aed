import {
  asArray,
  asObject,
  bodyObject,
  createResponse,
  createTopicConfig,
  dataVersionJson,
  encodeTopicList,
  initialDataVersion,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  stringMap,
  type TopicConfig,
  topicConfigFromJson,
  topicConfigJson,
  topicConfigTableJson,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import { retryTopicOf, topicNameFault } from '../names.ts';
import { guarded, isTrue, optionalNumber, RequestFault, requiredNumber, requiredText, success } from '../requests.ts';
import { alterAttributes } from '../topic-attributes.ts';

/** What an operator does with topics (RocketMQ AdminBrokerProcessor). Answered once the table is on disk and announced. */
export function topicAdmin(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.UPDATE_AND_CREATE_TOPIC, guarded((request) => updateTopic(broker, request))],
    [RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, guarded((request) => updateTopics(broker, request))],
    [RequestCode.DELETE_TOPIC_IN_BROKER, guarded((request) => deleteTopic(broker, request))],
    [RequestCode.GET_ALL_TOPIC_CONFIG, guarded((request) => allTopics(broker, request))],
    [RequestCode.GET_TOPIC_CONFIG, guarded((request) => oneTopic(broker, request))],
    [
      RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
      guarded((request) => success(request, undefined, encodeTopicList({ topicList: broker.topics.systemTopics() }))),
    ],
  ];
}

/** A name that an operator may use; INVALID_PARAMETER otherwise. */
function checkName(broker: BrokerContext, topic: string): void {
  const fault = topicNameFault(topic);
  if (fault !== undefined) throw new RequestFault(ResponseCode.INVALID_PARAMETER, fault);
  if (broker.config.validateSystemTopicWhenUpdateTopic && broker.topics.isSystemTopic(topic)) {
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, `The topic[${topic}] is conflict with system topic.`);
  }
}

/** The topic's attributes after the change; INVALID_PARAMETER when the change makes no sense. */
function attributesOf(
  broker: BrokerContext,
  topic: string,
  modification: string | undefined,
): TopicConfig['attributes'] {
  const change = alterAttributes(broker.topics.select(topic)?.attributes, modification);
  if (change.attributes === undefined) throw new RequestFault(ResponseCode.SYSTEM_ERROR, change.fault);
  if (change.attributes.get('message.type') === 'MIXED' && !broker.config.enableMixedMessageType) {
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, 'MIXED message type is not supported.');
  }
  return change.attributes;
}

const QUEUE_NUMS_MAX = 65_536;

function checkQueues(topic: TopicConfig): void {
  for (const name of ['readQueueNums', 'writeQueueNums'] as const) {
    if (topic[name] < 0 || topic[name] > QUEUE_NUMS_MAX) {
      const remark = `${name} of topic ${topic.topicName} is ${topic[name]}, allowed are 0 to ${QUEUE_NUMS_MAX}`;
      throw new RequestFault(ResponseCode.INVALID_PARAMETER, remark);
    }
  }
  if (topic.perm < 0 || topic.perm > 15) {
    throw new RequestFault(ResponseCode.INVALID_PARAMETER, `perm of topic ${topic.topicName} is ${topic.perm}`);
  }
}

async function updateTopic(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const fields = request.extFields;
  const topic = requiredText(fields, 'topic');
  checkName(broker, topic);
  const updated = createTopicConfig(topic, {
    readQueueNums: requiredNumber(fields, 'readQueueNums'),
    writeQueueNums: requiredNumber(fields, 'writeQueueNums'),
    perm: requiredNumber(fields, 'perm'),
    topicFilterType: fields?.topicFilterType === 'MULTI_TAG' ? 'MULTI_TAG' : 'SINGLE_TAG',
    topicSysFlag: optionalNumber(fields, 'topicSysFlag', 0),
    order: isTrue(fields?.order),
    attributes: attributesOf(broker, topic, fields?.attributes),
  });
  checkQueues(updated);
  broker.topics.update(updated);
  await saved(broker);
  return success(request);
}

async function updateTopics(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const topics: TopicConfig[] = [];
  for (const value of asArray(bodyObject(request.body, 'topic list').topicConfigList, 'topicConfigList')) {
    const topic = topicConfigFromJson(value);
    checkName(broker, topic.topicName);
    // The names of attributes carry their signs here (`+message.type`: `FIFO`).
    const changes = stringMap(asObject(value, 'TopicConfig').attributes, 'attributes');
    const parts = [...changes].map(([key, text]) => (key.startsWith('-') ? key : `${key}=${text}`));
    topic.attributes = attributesOf(broker, topic.topicName, parts.join(','));
    checkQueues(topic);
    topics.push(topic);
  }
  for (const topic of topics) broker.topics.update(topic);
  await saved(broker);
  return success(request);
}

/** An operator who is told "done" may pull the plug, and the next command may ask a nameserver. */
async function saved(broker: BrokerContext): Promise<void> {
  await broker.metadata.topics.save();
  await broker.announce();
}

async function deleteTopic(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const topic = requiredText(request.extFields, 'topic');
  checkName(broker, topic);
  const doomed = [topic];
  for (const group of broker.offsets.groupsOfTopic(topic)) {
    // Retry topics of POP consumption (KeyBuilder.buildPopRetryTopic, both versions).
    for (const separator of ['+', '_']) doomed.push(retryTopicOf(`${group}${separator}${topic}`));
  }
  for (const name of doomed) {
    if (name !== topic && broker.topics.select(name) === undefined) continue;
    broker.topics.delete(name);
    broker.offsets.removeTopic(name);
    broker.stats.forgetTopic(name);
    await broker.store.deleteTopic(name);
  }
  await broker.metadata.offsets.save();
  await saved(broker);
  return success(request);
}

function allTopics(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const { topics } = broker;
  const body = Buffer.from(
    JSON.stringify({
      ...topicConfigTableJson({ dataVersion: topics.dataVersion, topicConfigTable: topics.table }),
      mappingDataVersion: dataVersionJson(initialDataVersion(topics.dataVersion.timestamp)),
      topicQueueMappingDetailMap: {},
    }),
  );
  return success(request, { totalTopicNum: String(topics.table.size) }, body);
}

function oneTopic(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const name = requiredText(request.extFields, 'topic');
  const topic = broker.topics.select(name);
  if (topic === undefined) {
    return createResponse(request, ResponseCode.TOPIC_NOT_EXIST, `No topic in this broker. topic: ${name}`);
  }
  return success(request, undefined, Buffer.from(JSON.stringify(topicConfigJson(topic))));
}
