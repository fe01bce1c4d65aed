import { ResponseCode, type TopicConfig } from '@vernier/remoting';
import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { prefixOf } from '../base/lite-names.ts';
import { retryTopicOf, topicNameFault } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { isLiteTopic } from '../lite/lite-rules.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import {
  type QueueMapping,
  queueMappingFault,
  replacementFault,
  togetherFault,
  withQueuesOf,
} from '../topics/queue-mapping.ts';
import type { StaticTopics } from '../topics/static-topics.ts';
import { alterAttributes, isBatchTopic } from '../topics/topic-attributes.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { topicConfigFault } from '../topics/topic-config-rules.ts';
import { cleanUnusedTopics } from './clean-unused-topics.ts';

/** A topic as an operator wants it. */
export interface TopicChange {
  /** Everything but the attributes. */
  readonly topic: TopicConfig;
  /** `+key=value,-key`: what is to change in the attributes; undefined: nothing. */
  readonly attributes: string | undefined;
}

export interface TopicAdminParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly staticTopics: StaticTopics;
  readonly offsets: ConsumerOffsetManager;
  readonly stats: BrokerStats;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  readonly topicsFile: Pick<MetadataFile, 'save'>;
  readonly mappingsFile: Pick<MetadataFile, 'save'>;
  readonly offsetsFile: Pick<MetadataFile, 'save'>;
  /** Resolves when no pop that is under way moves an offset any more. */
  whenPopsEnd(): Promise<void>;
  /** Before a topic is deleted in the store; what it resolves with is called when its offsets are gone, see PopServices. */
  holdOffsets(): Promise<() => void>;
  /** Some message waits for its time. */
  hasDelayed(): boolean;
  /** Resolves when nameservers know. */
  announce(): Promise<void>;
}

/** What an operator does with topics (RocketMQ AdminBrokerProcessor). */
export class TopicAdmin {
  readonly #parts: TopicAdminParts;

  constructor(parts: TopicAdminParts) {
    this.#parts = parts;
  }

  find(name: string): TopicConfig | Refusal {
    return (
      this.#parts.topics.select(name) ??
      new Refusal(ResponseCode.TOPIC_NOT_EXIST, `No topic in this broker. topic: ${name}`)
    );
  }

  /** Makes or replaces topics, all of them or none. Resolves when the table is on disk and announced. */
  update(changes: readonly TopicChange[]): Promise<Refusal | undefined> {
    const { stats, clock, topics } = this.#parts;
    const isSystem = changes.some(({ topic }) => topics.isSystemTopic(topic.topicName));
    return stats.timeCreation('topic', isSystem, clock, () => this.#update(changes));
  }

  async #update(changes: readonly TopicChange[]): Promise<Refusal | undefined> {
    const topics: TopicConfig[] = [];
    for (const change of changes) {
      const topic = this.#changed(change);
      if (topic instanceof Refusal) return topic;
      topics.push(topic);
    }
    if (!this.#parts.topics.hasRoomFor(topics)) {
      return new Refusal(ResponseCode.SYSTEM_BUSY, `no topic was made or changed: ${this.#parts.topics.noRoom}`);
    }
    for (const topic of topics) this.#parts.topics.update(topic);
    for (const { topicName } of topics) {
      const topic = this.#parts.topics.select(topicName);
      if (topic !== undefined && isBatchTopic(topic)) this.#parts.store.declareBatchTopic(topicName);
    }
    await this.#saved();
    return undefined;
  }

  /**
   * Makes a static topic, or changes which of its queues are here; with `force` whatever there was before. Resolves when both
   * tables are on disk and announced. A queue that lies or has lain on another broker is refused.
   */
  async updateStatic(topic: TopicConfig, mapping: QueueMapping, force: boolean): Promise<Refusal | undefined> {
    const { topics, staticTopics, config, mappingsFile } = this.#parts;
    const changed = this.#changed({ topic, attributes: undefined });
    if (changed instanceof Refusal) return changed;
    const old = staticTopics.get(topic.topicName);
    const next = withQueuesOf(old, mapping);
    const fault =
      // Its mapping would go with the topic that it was.
      (topics.isBeingDeleted(topic.topicName) ? `topic ${topic.topicName} is being deleted` : undefined) ??
      queueMappingFault(mapping, topic.topicName, config.brokerName) ??
      (old === undefined || force ? undefined : replacementFault(old, mapping)) ??
      togetherFault(next, Math.min(topic.readQueueNums, topic.writeQueueNums));
    if (fault !== undefined) return new Refusal(ResponseCode.SYSTEM_ERROR, fault);
    if (!topics.hasRoomFor([changed]) || !staticTopics.hasRoomFor(next)) {
      return new Refusal(ResponseCode.SYSTEM_BUSY, `no topic was made or changed: ${staticTopics.noRoom}`);
    }
    staticTopics.set(next);
    try {
      // Before the topic: producers would send to the numbers of its queues as they are.
      await mappingsFile.save();
    } catch (error) {
      if (old === undefined) staticTopics.delete(topic.topicName);
      else staticTopics.set(old);
      throw error;
    }
    topics.update(changed);
    await this.#saved();
    return undefined;
  }

  /**
   * Deletes a topic, its queues, its offsets, its lite topics, and the retry topics of its POP consumers. The records stay in
   * the log until their files expire. Resolves when the tables are on disk and announced.
   */
  async delete(topic: string): Promise<Refusal | undefined> {
    const refusal = this.#nameRefusal(topic);
    if (refusal !== undefined) return refusal;
    if (this.#parts.topics.isMadeAtStart(topic)) {
      const remark = `The topic[${topic}] is made at each start and cannot be deleted.`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const names = [topic];
    for (const group of this.#parts.offsets.groupsOfTopic(topic)) {
      // Retry topics of POP consumption (KeyBuilder.buildPopRetryTopic, both versions).
      for (const separator of ['+', '_']) names.push(retryTopicOf(`${group}${separator}${topic}`));
    }
    const topicConfig = this.#parts.topics.select(topic);
    if (isLiteTopic(topicConfig)) {
      const prefix = prefixOf(topic);
      for (const name of this.#parts.store.queuesByTopic().keys()) if (name.startsWith(prefix)) names.push(name);
    }
    const present = names.filter((name) => name === topic || this.#parts.topics.select(name) !== undefined);
    await this.#parts.topics.whileDeleting(names, () => this.#deleteAll(present));
    await this.#parts.offsetsFile.save();
    await this.#saved();
    return undefined;
  }

  /**
   * The table is on disk without the topics before their messages go: a start that found an old entry beside new messages
   * would take its number of queues for an operator's choice, and those in the others would be out of reach. A start that
   * finds messages without an entry gives the topic one. What cannot be deleted gets its entry back.
   */
  async #deleteAll(names: readonly string[]): Promise<void> {
    const { topics, store, offsets, stats, topicsFile, staticTopics, mappingsFile } = this.#parts;
    const left = new Map(names.map((name) => [name, topics.select(name)]));
    for (const name of names) topics.delete(name);
    let release = (): void => {};
    try {
      await topicsFile.save();
      release = await this.#parts.holdOffsets();
      for (const name of names) {
        let isForgotten = false;
        const forget = async (): Promise<void> => {
          left.delete(name);
          await this.#parts.whenPopsEnd();
          offsets.removeTopic(name);
          isForgotten = true;
        };
        // Delayed messages that are still to come were sent to the topic too. Of those that come from now on none is to be
        // taken for one that a group has had.
        await store.deleteTopic(name, { isRecorded: this.#parts.hasDelayed(), beforeNext: forget });
        if (!isForgotten) await forget();
        if (staticTopics.get(name) !== undefined) {
          staticTopics.delete(name);
          await mappingsFile.save();
        }
        stats.forgetTopic(name);
      }
    } catch (error) {
      for (const [name, config] of left) {
        if (config !== undefined && topics.select(name) === undefined) topics.update(config);
      }
      throw error;
    } finally {
      release();
    }
  }

  /** Removes the queues of topics that the table does not know. */
  async cleanUnused(): Promise<void> {
    const { store, topics, logger } = this.#parts;
    await cleanUnusedTopics(store, topics, logger);
  }

  /** Before the answer: the operator may cut the power after it, and the next command may ask a nameserver. */
  async #saved(): Promise<void> {
    await this.#parts.topicsFile.save();
    await this.#parts.announce();
  }

  /** The topic after the change; or why it cannot be so. */
  #changed({ topic, attributes }: TopicChange): TopicConfig | Refusal {
    const { topicName } = topic;
    const refusal = this.#nameRefusal(topicName);
    if (refusal !== undefined) return refusal;
    const fault = topicConfigFault(topic);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    const change = alterAttributes(this.#parts.topics.select(topicName)?.attributes, attributes);
    if (change.attributes === undefined) return new Refusal(ResponseCode.SYSTEM_ERROR, change.fault);
    if (change.added.get('message.type') === 'MIXED' && !this.#parts.config.enableMixedMessageType) {
      return new Refusal(ResponseCode.INVALID_PARAMETER, 'MIXED message type is not supported.');
    }
    const changed = { ...topic, attributes: change.attributes };
    const kindFault = isBatchTopic(changed) ? this.#batchFault(topicName) : undefined;
    return kindFault === undefined ? changed : new Refusal(ResponseCode.SYSTEM_ERROR, kindFault);
  }

  #batchFault(topic: string): string | undefined {
    const { store, topics } = this.#parts;
    return topics.isBeingDeleted(topic) ? `topic ${topic} is being deleted` : store.batchTopicFault(topic);
  }

  #nameRefusal(topic: string): Refusal | undefined {
    const fault = topicNameFault(topic);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    if (this.#parts.config.validateSystemTopicWhenUpdateTopic && this.#parts.topics.isSystemTopic(topic)) {
      const remark = `The topic[${topic}] is conflict with system topic.`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    return undefined;
  }
}
