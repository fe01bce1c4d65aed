import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import { isLmq } from '@vernier/store/internal';
import { lmqOf, prefixOf } from '../base/lite-names.ts';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { LiteEvents } from './lite-events.ts';
import { expirationOf, isLiteTopic, type LiteGroup, liteGroupOf } from './lite-rules.ts';
import type { LiteSubscriptions } from './lite-subscriptions.ts';

export interface LiteAdminParts {
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly subscriptions: LiteSubscriptions;
  readonly events: LiteEvents;
  readonly clock: Clock;
}

/** Lite topics in one answer about a client. */
const LITE_TOPICS_MAX = 10_000;
/** Those of a group with the most messages to come; each is a read. */
const LAGS_MAX = 1_000;

/** What operators ask about lite topics (RocketMQ LiteManagerProcessor); members as in its answers. */
export class LiteAdmin {
  readonly #parts: LiteAdminParts;

  constructor(parts: LiteAdminParts) {
    this.#parts = parts;
  }

  /** GET_BROKER_LITE_INFO. */
  broker(): Record<string, unknown> {
    const { store, topics, groups, offsets, subscriptions, events } = this.#parts;
    const lite = [...topics.table.values()].filter(isLiteTopic);
    const queues = store.queuesByTopic();
    const groupMeta: Record<string, string[]> = {};
    for (const group of groups.table.values()) {
      const topic = liteGroupOf(group)?.bindTopic;
      if (topic === undefined) continue;
      groupMeta[topic] ??= [];
      groupMeta[topic].push(group.groupName);
    }
    return {
      storeType: 'default',
      maxLmqNum: store.config.maxLmqConsumeQueueNum,
      currentLmqNum: [...queues.keys()].filter(isLmq).length,
      liteSubscriptionCount: subscriptions.count,
      orderInfoCount: 0,
      cqTableSize: queues.size,
      offsetTableSize: offsets.topicsByGroup().size,
      eventMapSize: events.size,
      topicMeta: Object.fromEntries(lite.map((topic) => [topic.topicName, expirationOf(topic)])),
      groupMeta,
    };
  }

  /** GET_PARENT_TOPIC_INFO. */
  parent(name: string): Record<string, unknown> | Refusal {
    const topic = this.#topic(name);
    if (topic instanceof Refusal) return topic;
    const names = [...this.#parts.store.queuesByTopic().keys()];
    const groups = [...this.#parts.groups.table.values()].filter((group) => liteGroupOf(group)?.bindTopic === name);
    return {
      topic: name,
      ttl: expirationOf(topic),
      groups: groups.map(({ groupName }) => groupName),
      lmqNum: names.filter(isLmq).length,
      liteTopicCount: names.filter((each) => each.startsWith(prefixOf(name))).length,
    };
  }

  /** GET_LITE_TOPIC_INFO. */
  async liteTopic(parent: string, lite: string): Promise<Record<string, unknown> | Refusal> {
    const topic = this.#topic(parent);
    if (topic instanceof Refusal) return topic;
    const { store, subscriptions } = this.#parts;
    const lmq = lmqOf(parent, lite);
    const maxOffset = store.getMaxOffsetInQueue(lmq, 0);
    const subscriber: { clientId: string; group: string }[] = [];
    for (const [group, clientIds] of subscriptions.groupsOf(lmq)) {
      for (const clientId of clientIds) subscriber.push({ clientId, group });
    }
    return {
      parentTopic: parent,
      liteTopic: lite,
      subscriber,
      topicOffset: {
        minOffset: store.getMinOffsetInQueue(lmq, 0),
        maxOffset,
        lastUpdateTimestamp:
          maxOffset > 0 ? Math.max(0, await store.getMessageStoreTimeStamp(lmq, 0, maxOffset - 1)) : 0,
      },
      shardingToBroker: true,
    };
  }

  /** GET_LITE_CLIENT_INFO. */
  client(parent: string, group: string, clientId: string, maxCount: number): Record<string, unknown> | Refusal {
    const topic = this.#topic(parent);
    if (topic instanceof Refusal) return topic;
    const rules = this.#group(group);
    if (rules instanceof Refusal) return rules;
    if (rules.bindTopic !== parent) {
      return new Refusal(ResponseCode.INVALID_PARAMETER, `Subscription [${group}]-[${parent}] not match.`);
    }
    const { subscriptions, events, clock } = this.#parts;
    const lmqs = subscriptions.get(clientId)?.lmqs;
    const access = events.accessOf(clientId);
    const count = Math.max(0, Math.min(maxCount, LITE_TOPICS_MAX));
    return {
      parentTopic: parent,
      group,
      clientId,
      liteTopicCount: lmqs?.size ?? -1,
      liteTopicSet: lmqs === undefined ? undefined : [...lmqs].slice(0, count),
      lastAccessTime: access === undefined ? -1 : Math.round(clock.now() - access.accessedMsAgo),
      lastConsumeTime: access === undefined ? -1 : Math.round(clock.now() - access.consumedMsAgo),
    };
  }

  /** GET_LITE_GROUP_INFO: how far a group is behind in one lite topic, or in all of them and in which most. */
  async group(group: string, lite: string, topK: number): Promise<Record<string, unknown> | Refusal> {
    const rules = this.#group(group);
    if (rules instanceof Refusal) return rules;
    const parent = rules.bindTopic;
    const { store, offsets } = this.#parts;
    if (lite !== '') {
      const lmq = lmqOf(parent, lite);
      const end = store.getMaxOffsetInQueue(lmq, 0);
      const committed = offsets.query(group, lmq, 0);
      const about = { group, parentTopic: parent, liteTopic: lite };
      if (end === 0) return { ...about, totalLagCount: -1, earliestUnconsumedTimestamp: -1 };
      if (committed < 0) return { ...about, totalLagCount: 0, earliestUnconsumedTimestamp: 0 };
      const timeAt = (offset: number): Promise<number> => store.getMessageStoreTimeStamp(lmq, 0, offset);
      return {
        ...about,
        totalLagCount: end - committed,
        earliestUnconsumedTimestamp: await timeAt(committed),
        liteTopicOffsetWrapper: {
          brokerOffset: end,
          consumerOffset: committed,
          lastTimestamp: committed > 0 ? await timeAt(committed - 1) : 0,
        },
      };
    }
    return { group, parentTopic: parent, liteTopic: lite, ...(await this.#lags(group, parent, topK)) };
  }

  async #lags(group: string, parent: string, topK: number): Promise<Record<string, unknown>> {
    const { store, offsets } = this.#parts;
    const prefix = prefixOf(parent);
    const lags: { liteTopic: string; lagCount: number; earliestUnconsumedTimestamp: number }[] = [];
    for (const lmq of store.queuesByTopic().keys()) {
      const committed = lmq.startsWith(prefix) ? offsets.query(group, lmq, 0) : -1;
      const lagCount = store.getMaxOffsetInQueue(lmq, 0) - committed;
      if (committed < 0 || lagCount <= 0) continue;
      lags.push({ liteTopic: lmq.slice(prefix.length), lagCount, earliestUnconsumedTimestamp: 0 });
    }
    const totalLagCount = lags.reduce((sum, { lagCount }) => sum + lagCount, 0);
    lags.sort((a, b) => b.lagCount - a.lagCount);
    const most = lags.slice(0, Math.max(0, Math.min(topK, LAGS_MAX)));
    for (const lag of most) {
      const lmq = lmqOf(parent, lag.liteTopic);
      lag.earliestUnconsumedTimestamp = await store.getMessageStoreTimeStamp(lmq, 0, offsets.query(group, lmq, 0));
    }
    const byTime = [...most].sort((a, b) => a.earliestUnconsumedTimestamp - b.earliestUnconsumedTimestamp);
    return {
      totalLagCount,
      earliestUnconsumedTimestamp: byTime[0]?.earliestUnconsumedTimestamp ?? 0,
      lagCountTopK: most,
      lagTimestampTopK: byTime,
    };
  }

  /** TRIGGER_LITE_DISPATCH: clients, or one, look through all that they subscribe to. */
  trigger(group: string, clientId: string): Refusal | undefined {
    const rules = this.#group(group);
    if (rules instanceof Refusal) return rules;
    const { subscriptions, events } = this.#parts;
    for (const subscription of subscriptions.clients()) {
      const isMeant = subscription.group === group && (clientId === '' || subscription.clientId === clientId);
      if (isMeant) events.fill(subscription);
    }
    return undefined;
  }

  #topic(name: string): TopicConfig | Refusal {
    const topic = this.#parts.topics.select(name);
    if (topic === undefined) return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `Topic [${name}] not exist.`);
    return isLiteTopic(topic) ? topic : new Refusal(ResponseCode.INVALID_PARAMETER, `Topic [${name}] type not match.`);
  }

  #group(name: string): LiteGroup | Refusal {
    const group = this.#parts.groups.preview(name);
    if (group === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group [${name}] not exist.`);
    }
    const notLite = new Refusal(ResponseCode.INVALID_PARAMETER, `Group [${name}] is not a LITE group.`);
    return liteGroupOf(group) ?? notLite;
  }
}
