import { encodeTopicList, type RemotingCommand, subscriptionDataJson, type TopicConfig } from '@vernier/remoting';
import type { Caller } from '../base/caller.ts';
import type { BrokerContext } from '../context.ts';
import { type AnswerText, addJoined } from '../long-answers/answer-text.ts';
import { queueJson, queueMember } from './queue-member.ts';
import { granted, isTrue, json, longAnswer, requiredText, success } from './requests.ts';

/** GET_TOPIC_STATS_INFO */
export async function topicStats(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const topic = granted(broker.progress.topic(requiredText(request.extFields, 'topic')));
  return longAnswer(broker, request, caller, async (text) => {
    await text.add('{"offsetTable":{');
    await addJoined(text, topicOffsets(broker, topic));
    await text.add(`},"topicPutTps":${broker.progress.putTps(topic.topicName)}}`);
  });
}

async function* topicOffsets(broker: BrokerContext, topic: TopicConfig): AsyncGenerator<string> {
  for await (const { queueId, offset } of broker.progress.topicOffsets(topic)) {
    yield queueMember(broker, topic.topicName, queueId, offset);
  }
}

/** GET_CONSUME_STATS */
export async function consumeStats(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const group = requiredText(request.extFields, 'consumerGroup');
  const { topic, topicList } = request.extFields ?? {};
  const listed = (topicList ?? '').split(';').filter((name) => name !== '');
  const topics = broker.progress.topicsOf(group, listed, topic?.trim() === '' ? undefined : topic);
  return longAnswer(broker, request, caller, async (text) => {
    let consumeTps = 0;
    for (const { topicName } of topics) consumeTps += broker.progress.tps(group, topicName);
    await text.add(`{"consumeTps":${consumeTps},"offsetTable":{`);
    await addJoined(text, progressMembers(broker, group, topics));
    await text.add('}}');
  });
}

async function* progressMembers(
  broker: BrokerContext,
  group: string,
  topics: readonly TopicConfig[],
): AsyncGenerator<string> {
  for (const { topicName, readQueueNums } of topics) {
    for await (const { queueId, progress } of broker.progress.queues(group, topicName, readQueueNums)) {
      yield queueMember(broker, topicName, queueId, progress);
    }
  }
}

/** Every group's progress in every topic it consumes; mqadmin brokerConsumeStats (RocketMQ ConsumeStatsList). */
export function brokerConsumeStats(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const orderedOnly = isTrue(requiredText(request.extFields, 'isOrder'));
  return longAnswer(broker, request, caller, async (text) => {
    await text.add(`{"brokerAddr":${JSON.stringify(broker.hosts.address)},"consumeStatsList":[`);
    const total = { diff: 0, inflight: 0 };
    let separator = '';
    for (const { group, topics } of broker.progress.allGroups(orderedOnly)) {
      await text.add(`${separator}{${JSON.stringify(group)}:[`);
      separator = ',';
      for (const [index, topic] of topics.entries()) {
        await text.add(index === 0 ? '' : ',');
        await addTopicProgress(broker, text, group, topic, total);
      }
      await text.add(']}');
    }
    await text.add(`],"totalDiff":${total.diff},"totalInflightDiff":${total.inflight}}`);
  });
}

async function addTopicProgress(
  broker: BrokerContext,
  text: AnswerText,
  group: string,
  { topicName, writeQueueNums }: TopicConfig,
  total: { diff: number; inflight: number },
): Promise<void> {
  await text.add(`{"consumeTps":${broker.progress.tps(group, topicName)},"offsetTable":{`);
  let separator = '';
  for await (const { queueId, progress } of broker.progress.queues(group, topicName, writeQueueNums)) {
    total.diff += progress.brokerOffset - progress.consumerOffset;
    total.inflight += progress.pullOffset - progress.consumerOffset;
    await text.add(separator + queueMember(broker, topicName, queueId, progress));
    separator = ',';
  }
  await text.add('}}');
}

/** QUERY_CONSUME_TIME_SPAN */
export async function consumeTimeSpan(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  const topic = granted(broker.progress.topic(requiredText(request.extFields, 'topic')));
  const group = requiredText(request.extFields, 'group');
  return longAnswer(broker, request, caller, async (text) => {
    await text.add('{"consumeTimeSpanSet":[');
    await addJoined(text, timeSpans(broker, group, topic));
    await text.add(']}');
  });
}

async function* timeSpans(broker: BrokerContext, group: string, topic: TopicConfig): AsyncGenerator<string> {
  for await (const { queueId, ...times } of broker.progress.timeSpans(group, topic)) {
    yield JSON.stringify({ ...times, messageQueue: queueJson(broker, topic.topicName, queueId) });
  }
}

/** GET_ALL_CONSUMER_OFFSET */
export function allOffsets(
  broker: BrokerContext,
  request: RemotingCommand,
  caller: Caller,
): Promise<RemotingCommand | undefined> {
  return longAnswer(broker, request, caller, async (text) => {
    for (const piece of broker.offsets.encode()) await text.add(piece);
  });
}

/** QUERY_TOPIC_CONSUME_BY_WHO */
export function consumedByWhom(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const topic = requiredText(request.extFields, 'topic');
  return json(request, { groupList: broker.progress.groupsOf(topic) });
}

/** QUERY_TOPICS_BY_CONSUMER */
export function topicsOfGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const topicList = broker.offsets.topicsOfGroup(requiredText(request.extFields, 'group'));
  return success(request, undefined, encodeTopicList({ topicList }));
}

/** QUERY_SUBSCRIPTION_BY_CONSUMER */
export function subscriptionOfGroup(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const group = requiredText(request.extFields, 'group');
  const topic = requiredText(request.extFields, 'topic');
  const subscription = broker.progress.subscription(group, topic);
  const subscriptionData = subscription === undefined ? undefined : subscriptionDataJson(subscription);
  return json(request, { group, subscriptionData, topic });
}

/** VIEW_BROKER_STATS_DATA */
export function statsData(broker: BrokerContext, request: RemotingCommand): RemotingCommand {
  const name = requiredText(request.extFields, 'statsName');
  const key = requiredText(request.extFields, 'statsKey');
  return json(request, granted(broker.progress.counter(name, key)));
}
