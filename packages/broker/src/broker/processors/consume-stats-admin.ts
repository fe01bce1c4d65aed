import {
  createResponse,
  encodeConsumeStats,
  encodeTopicList,
  encodeTopicStatsTable,
  type MessageQueue,
  messageQueueJson,
  type OffsetWrapper,
  type QueueTable,
  type RemotingCommand,
  RequestCode,
  type RequestHandler,
  ResponseCode,
  subscriptionDataJson,
  type TopicConfig,
  type TopicOffset,
} from '@vernier/remoting';
import type { BrokerContext } from '../broker-context.ts';
import type { RateCounter, RateSnapshot } from '../broker-stats.ts';
import { guarded, requiredText, success } from '../requests.ts';

/** What there is in topics and how far groups have come (RocketMQ AdminBrokerProcessor). */
export function consumeStatsAdmin(broker: BrokerContext): [number, RequestHandler][] {
  return [
    [RequestCode.GET_TOPIC_STATS_INFO, guarded((request) => topicStats(broker, request))],
    [RequestCode.GET_CONSUME_STATS, guarded((request) => consumeStats(broker, request))],
    [RequestCode.QUERY_CONSUME_TIME_SPAN, guarded((request) => consumeTimeSpan(broker, request))],
    [RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, guarded((request) => consumedByWhom(broker, request))],
    [RequestCode.QUERY_TOPICS_BY_CONSUMER, guarded((request) => topicsOfGroup(broker, request))],
    [RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, guarded((request) => subscriptionOfGroup(broker, request))],
    [RequestCode.VIEW_BROKER_STATS_DATA, guarded((request) => statsData(broker, request))],
    [
      RequestCode.GET_ALL_CONSUMER_OFFSET,
      guarded((request) => success(request, undefined, Buffer.from([...broker.offsets.encode()].join('')))),
    ],
  ];
}

const json = (request: RemotingCommand, value: unknown): RemotingCommand =>
  success(request, undefined, Buffer.from(JSON.stringify(value)));

const queueOf = (broker: BrokerContext, topic: string, queueId: number): MessageQueue => ({
  brokerName: broker.config.brokerName,
  queueId,
  topic,
});

function knownTopic(broker: BrokerContext, request: RemotingCommand, name: string): TopicConfig | RemotingCommand {
  return (
    broker.topics.select(name) ?? createResponse(request, ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`)
  );
}

/** storeTimestamp of the queue's entry; -1 without one. */
async function timeOf(broker: BrokerContext, topic: string, queueId: number, offset: number): Promise<number> {
  return offset < 0 ? -1 : broker.store.getMessageStoreTimeStamp(topic, queueId, offset);
}

async function topicStats(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const topic = knownTopic(broker, request, requiredText(request.extFields, 'topic'));
  if ('flag' in topic) return topic;
  const { store } = broker;
  const offsetTable: QueueTable<TopicOffset> = [];
  const queueCount = Math.max(topic.readQueueNums, topic.writeQueueNums);
  for (let queueId = 0; queueId < queueCount; queueId++) {
    const maxOffset = store.getMaxOffsetInQueue(topic.topicName, queueId);
    const offset = {
      lastUpdateTimestamp: maxOffset > 0 ? await timeOf(broker, topic.topicName, queueId, maxOffset - 1) : 0,
      maxOffset,
      minOffset: Math.max(0, store.getMinOffsetInQueue(topic.topicName, queueId)),
    };
    offsetTable.push([queueOf(broker, topic.topicName, queueId), offset]);
  }
  const topicPutTps = broker.stats.tps('TOPIC_PUT_NUMS', topic.topicName, broker.clock.now());
  return success(request, undefined, encodeTopicStatsTable({ offsetTable, topicPutTps }));
}

/** Topics to report: those asked for, else those the group has offsets in and (while it is online) subscribes to. */
function topicsForStats(broker: BrokerContext, request: RemotingCommand, group: string): string[] {
  const { topic, topicList } = request.extFields ?? {};
  const listed = (topicList ?? '').split(';').filter((name) => name !== '');
  if (listed.length > 0) return listed;
  const topics = topic === undefined || topic.trim() === '' ? broker.offsets.topicsOfGroup(group) : [topic];
  const subscribed = broker.consumers.group(group)?.subscriptionTable;
  if (subscribed === undefined || subscribed.size === 0) return topics;
  return topics.filter((name) => subscribed.has(name));
}

async function consumeStats(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const group = requiredText(request.extFields, 'consumerGroup');
  const offsetTable: QueueTable<OffsetWrapper> = [];
  let consumeTps = 0;
  for (const name of topicsForStats(broker, request, group)) {
    const topic = broker.topics.select(name);
    if (topic === undefined) continue;
    for (let queueId = 0; queueId < topic.readQueueNums; queueId++) {
      const consumerOffset = Math.max(0, broker.offsets.query(group, name, queueId));
      const progress = {
        brokerOffset: broker.store.getMaxOffsetInQueue(name, queueId),
        consumerOffset,
        lastTimestamp: Math.max(0, await timeOf(broker, name, queueId, consumerOffset - 1)),
        pullOffset: Math.max(consumerOffset, broker.offsets.queryPull(group, name, queueId)),
      };
      offsetTable.push([queueOf(broker, name, queueId), progress]);
    }
    consumeTps += broker.stats.tps('GROUP_GET_NUMS', `${name}@${group}`, broker.clock.now());
  }
  return success(request, undefined, encodeConsumeStats({ consumeTps, offsetTable }));
}

async function consumeTimeSpan(broker: BrokerContext, request: RemotingCommand): Promise<RemotingCommand> {
  const topic = knownTopic(broker, request, requiredText(request.extFields, 'topic'));
  if ('flag' in topic) return topic;
  const group = requiredText(request.extFields, 'group');
  const { store } = broker;
  const consumeTimeSpanSet: unknown[] = [];
  for (let queueId = 0; queueId < topic.writeQueueNums; queueId++) {
    const name = topic.topicName;
    const minTimeStamp = await store.getEarliestMessageTime(name, queueId);
    const maxOffset = store.getMaxOffsetInQueue(name, queueId);
    const consumed = broker.offsets.query(group, name, queueId);
    const next = consumed < maxOffset ? await timeOf(broker, name, queueId, Math.max(0, consumed)) : -1;
    consumeTimeSpanSet.push({
      consumeTimeStamp: consumed > 0 ? await timeOf(broker, name, queueId, consumed - 1) : minTimeStamp,
      delayTime: next > 0 ? broker.clock.now() - next : 0,
      maxTimeStamp: await timeOf(broker, name, queueId, maxOffset - 1),
      messageQueue: messageQueueJson(queueOf(broker, name, queueId)),
      minTimeStamp,
    });
  }
  return json(request, { consumeTimeSpanSet });
}

function consumedByWhom(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const topic = requiredText(request.extFields, 'topic');
  const groupList = new Set([...broker.consumers.groupsOfTopic(topic), ...broker.offsets.groupsOfTopic(topic)]);
  return json(request, { groupList: [...groupList] });
}

function topicsOfGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const topicList = broker.offsets.topicsOfGroup(requiredText(request.extFields, 'group'));
  return success(request, undefined, encodeTopicList({ topicList }));
}

function subscriptionOfGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = requiredText(request.extFields, 'group');
  const topic = requiredText(request.extFields, 'topic');
  const subscription = broker.consumers.group(group)?.subscriptionTable.get(topic);
  const subscriptionData = subscription === undefined ? undefined : subscriptionDataJson(subscription);
  return json(request, { group, subscriptionData, topic });
}

function statsData(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const name = requiredText(request.extFields, 'statsName');
  const key = requiredText(request.extFields, 'statsKey');
  const counter = broker.stats.find(name, key);
  if (counter === undefined) {
    return createResponse(request, ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`);
  }
  return json(request, windowsOf(counter, broker.clock.now()));
}

const windowsOf = (counter: RateCounter, now: number): Record<string, RateSnapshot> => ({
  statsDay: counter.day(now),
  statsHour: counter.hour(now),
  statsMinute: counter.minute(now),
});
