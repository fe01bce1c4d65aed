import {
  type OffsetWrapper,
  ResponseCode,
  type SubscriptionData,
  type TopicConfig,
  type TopicOffset,
} from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';
import type { ConsumerManager } from '../clients/consumer-manager.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats, RateSnapshot } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

/** Progress of a group in one queue. */
export interface QueueProgress {
  queueId: number;
  progress: OffsetWrapper;
}

/** Store times in milliseconds of a queue's messages, as a group sees the queue; -1 for a message that is not there. */
export interface QueueTimeSpan {
  queueId: number;
  /** Of the last message that the group consumed; of the oldest when it consumed none. */
  consumeTimeStamp: number;
  minTimeStamp: number;
  maxTimeStamp: number;
  /** How long ago the next message to be consumed was stored; 0 without one. */
  delayTime: number;
}

export interface CounterWindows {
  statsDay: RateSnapshot;
  statsHour: RateSnapshot;
  statsMinute: RateSnapshot;
}

export interface ConsumeProgressParts {
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly consumers: ConsumerManager;
  readonly stats: BrokerStats;
  readonly clock: Clock;
}

/** What there is in topics and how far groups have come in them (RocketMQ AdminBrokerProcessor). */
export class ConsumeProgress {
  readonly #parts: ConsumeProgressParts;

  constructor(parts: ConsumeProgressParts) {
    this.#parts = parts;
  }

  topic(name: string): TopicConfig | Refusal {
    return this.#parts.topics.select(name) ?? new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`);
  }

  /** Topics to report on: those asked for, else those the group has offsets in and (while it is online) subscribes to. */
  topicsOf(group: string, list: readonly string[], single: string | undefined): TopicConfig[] {
    const { topics } = this.#parts;
    return this.#namesOf(group, list, single).flatMap((name) => topics.select(name) ?? []);
  }

  #namesOf(group: string, list: readonly string[], single: string | undefined): readonly string[] {
    if (list.length > 0) return list;
    const names = single === undefined ? this.#parts.offsets.topicsOfGroup(group) : [single];
    const subscribed = this.#parts.consumers.group(group)?.subscriptionTable;
    if (subscribed === undefined || subscribed.size === 0) return names;
    return names.filter((name) => subscribed.has(name));
  }

  /** Groups that consume the topic: those that subscribe to it now, and those with offsets in it. */
  groupsOf(topic: string): string[] {
    const { consumers, offsets } = this.#parts;
    return [...new Set([...consumers.groupsOfTopic(topic), ...offsets.groupsOfTopic(topic)])];
  }

  /** What the group subscribes to in the topic, as far as it is online. */
  subscription(group: string, topic: string): SubscriptionData | undefined {
    return this.#parts.consumers.group(group)?.subscriptionTable.get(topic);
  }

  /** Bounds and last store time of each queue. */
  async *topicOffsets(topic: TopicConfig): AsyncGenerator<{ queueId: number; offset: TopicOffset }, void, undefined> {
    const { store } = this.#parts;
    const { topicName } = topic;
    const queueCount = Math.max(topic.readQueueNums, topic.writeQueueNums);
    for (let queueId = 0; queueId < queueCount; queueId++) {
      const maxOffset = store.getMaxOffsetInQueue(topicName, queueId);
      const lastUpdateTimestamp = maxOffset > 0 ? await this.#storeTime(topicName, queueId, maxOffset - 1) : 0;
      const minOffset = Math.max(0, store.getMinOffsetInQueue(topicName, queueId));
      yield { queueId, offset: { lastUpdateTimestamp, maxOffset, minOffset } };
    }
  }

  async *timeSpans(group: string, topic: TopicConfig): AsyncGenerator<QueueTimeSpan, void, undefined> {
    const { store, offsets, clock } = this.#parts;
    const { topicName: name } = topic;
    for (let queueId = 0; queueId < topic.writeQueueNums; queueId++) {
      const minTimeStamp = await store.getEarliestMessageTime(name, queueId);
      const maxOffset = store.getMaxOffsetInQueue(name, queueId);
      const consumed = offsets.query(group, name, queueId);
      const next = consumed < maxOffset ? await this.#storeTime(name, queueId, Math.max(0, consumed)) : -1;
      yield {
        queueId,
        consumeTimeStamp: consumed > 0 ? await this.#storeTime(name, queueId, consumed - 1) : minTimeStamp,
        minTimeStamp,
        maxTimeStamp: await this.#storeTime(name, queueId, maxOffset - 1),
        delayTime: next > 0 ? clock.now() - next : 0,
      };
    }
  }

  /** storeTimestamp of the queue's entry; -1 without one. */
  async #storeTime(topic: string, queueId: number, offset: number): Promise<number> {
    return offset < 0 ? -1 : this.#parts.store.getMessageStoreTimeStamp(topic, queueId, offset);
  }

  /** Every group that the broker knows, with the topics it has offsets in and, while it is online, subscribes to. */
  *allGroups(orderedOnly: boolean): Iterable<{ group: string; topics: TopicConfig[] }> {
    const { groups, offsets, topics, consumers } = this.#parts;
    const topicsByGroup = offsets.topicsByGroup();
    for (const group of groups.table.keys()) {
      const subscribed = consumers.group(group)?.subscriptionTable;
      const known = (topicsByGroup.get(group) ?? []).flatMap((name) => topics.select(name) ?? []);
      yield {
        group,
        topics: known.filter(
          (topic) =>
            (!orderedOnly || topic.order) &&
            (subscribed === undefined || subscribed.size === 0 || subscribed.has(topic.topicName)),
        ),
      };
    }
  }

  /** The group's place in each of the topic's first `queueCount` queues. */
  async *queues(group: string, topic: string, queueCount: number): AsyncGenerator<QueueProgress, void, undefined> {
    const { store, offsets } = this.#parts;
    for (let queueId = 0; queueId < queueCount; queueId++) {
      const consumerOffset = Math.max(0, offsets.query(group, topic, queueId));
      const lastTimestamp =
        consumerOffset === 0 ? 0 : await store.getMessageStoreTimeStamp(topic, queueId, consumerOffset - 1);
      yield {
        queueId,
        progress: {
          brokerOffset: store.getMaxOffsetInQueue(topic, queueId),
          consumerOffset,
          lastTimestamp: Math.max(0, lastTimestamp),
          pullOffset: Math.max(consumerOffset, offsets.queryPull(group, topic, queueId)),
        },
      };
    }
  }

  /** Messages a second that the group got of the topic. */
  tps(group: string, topic: string): number {
    return this.#parts.stats.tps('GROUP_GET_NUMS', `${topic}@${group}`, this.#parts.clock.now());
  }

  /** Messages a second that producers put into the topic. */
  putTps(topic: string): number {
    return this.#parts.stats.tps('TOPIC_PUT_NUMS', topic, this.#parts.clock.now());
  }

  /** One of the broker's counters (RocketMQ BrokerStatsManager) over its three windows. */
  counter(name: string, key: string): CounterWindows | Refusal {
    const now = this.#parts.clock.now();
    const counter = this.#parts.stats.find(name, key);
    if (counter === undefined) {
      return new Refusal(ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`);
    }
    return { statsDay: counter.day(now), statsHour: counter.hour(now), statsMinute: counter.minute(now) };
  }
}
