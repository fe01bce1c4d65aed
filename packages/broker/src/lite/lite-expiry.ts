import type { Clock, MessageStore, StoreLogger } from '@vernier/store';
import { isLmq } from '@vernier/store/internal';
import { liteNameOf } from '../base/lite-names.ts';
import type { BrokerConfig } from '../config.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { OrderInfos } from '../pop/order-infos.ts';
import { type QueueLocks, queueKeyOf, type Unlock } from '../pop/queue-locks.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { expirationOf, isLiteTopic } from './lite-rules.ts';
import type { LiteSubscriptions } from './lite-subscriptions.ts';

export interface LiteExpiryParts {
  readonly config: Pick<BrokerConfig, 'liteTtlCheckInterval' | 'liteSubscriptionCheckInterval' | 'minLiteTTl'>;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly offsets: ConsumerOffsetManager;
  readonly orders: OrderInfos;
  readonly subscriptions: LiteSubscriptions;
  readonly locks: QueueLocks;
  readonly offsetsFile: Pick<MetadataFile, 'save'>;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

const MINUTE_MS = 60_000;

/**
 * Deletes lite topics whose last message is older than lite.topic.expiration of their topic, consumed or not (RocketMQ
 * AbstractLiteLifecycleManager), and forgets clients that are gone. A lite topic to which a message is on its way when its
 * time is over stays: the store deletes it only while it ends where it was seen to end.
 */
export class LiteExpiry {
  readonly #parts: LiteExpiryParts;
  #startedAt = 0;
  #timer: unknown;
  #subscriptionTimer: unknown;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(parts: LiteExpiryParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock } = this.#parts;
    this.#startedAt = clock.monotonic();
    this.#forgetDeleted();
    this.#arm();
    this.#armSubscriptions();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const { clock } = this.#parts;
    for (const timer of [this.#timer, this.#subscriptionTimer]) if (timer !== undefined) clock.clearTimer(timer);
    await this.#running;
  }

  #armSubscriptions(): void {
    const { clock, config, subscriptions, orders } = this.#parts;
    this.#subscriptionTimer = clock.setTimer(() => {
      subscriptions.expire();
      // Batches that nobody acknowledges.
      void orders.prepareSave();
      this.#armSubscriptions();
    }, config.liteSubscriptionCheckInterval);
  }

  #arm(): void {
    if (this.#isStopped) return;
    const { clock, config } = this.#parts;
    this.#timer = clock.setTimer(() => {
      this.#running = this.#look().finally(() => this.#arm());
    }, config.liteTtlCheckInterval);
  }

  async #look(): Promise<void> {
    const { store, clock, config, logger } = this.#parts;
    if (clock.monotonic() - this.#startedAt < config.minLiteTTl) return;
    let count = 0;
    try {
      for (const lmq of store.queuesByTopic().keys()) {
        if (this.#isStopped || store.failure !== undefined) break;
        if (await this.#expire(lmq)) count++;
      }
    } catch (error) {
      logger.warn({ err: error }, `lite topics that have expired are looked for again: ${(error as Error).message}`);
    }
    if (count > 0) logger.info({ count }, 'lite topics deleted that have expired');
  }

  async #expire(lmq: string): Promise<boolean> {
    const { store, topics, clock, config } = this.#parts;
    const topic = topics.select(liteNameOf(lmq)?.parent ?? '');
    if (topic === undefined || !isLiteTopic(topic)) return false;
    const minutes = expirationOf(topic);
    const end = store.getMaxOffsetInQueue(lmq, 0);
    if (minutes < 0 || end === 0) return false;
    const storedAt = await store.getMessageStoreTimeStamp(lmq, 0, end - 1);
    // A damaged entry, or what a repair left, says nothing of the messages before it.
    if (storedAt < 0 && store.getMinOffsetInQueue(lmq, 0) < end) return false;
    const ageMs = clock.now() - storedAt;
    if (ageMs < config.minLiteTTl || ageMs <= minutes * MINUTE_MS) return false;
    return this.#alone(lmq, () => store.deleteTopicEndingAt(lmq, end, () => this.#forget(lmq)));
  }

  /** Without a pop or an ack under way: it would put its group to a place among the deleted messages. */
  async #alone<Result>(lmq: string, act: () => Promise<Result>): Promise<Result> {
    const { offsets, subscriptions, locks } = this.#parts;
    const groups = new Set(offsets.groupsOfTopic(lmq));
    for (const [group] of subscriptions.groupsOf(lmq)) groups.add(group);
    const unlocks: Unlock[] = [];
    try {
      for (const group of groups) unlocks.push(await locks.lock(queueKeyOf(lmq, group, 0)));
      return await act();
    } finally {
      for (const unlock of unlocks) unlock();
    }
  }

  /** On disk before there are messages again: numbers of the deleted ones would hide those. */
  async #forget(lmq: string): Promise<void> {
    const { offsets, orders, subscriptions, offsetsFile } = this.#parts;
    const groups = offsets.groupsOfTopic(lmq);
    offsets.removeTopic(lmq);
    for (const group of groups) orders.clearAll(lmq, group);
    subscriptions.dropAll(lmq);
    if (groups.length > 0) await offsetsFile.save();
  }

  /** A process that ended between a deletion and the save behind it has left offsets of messages that there are no more. */
  #forgetDeleted(): void {
    const { store, offsets } = this.#parts;
    for (const [group, topics] of offsets.topicsByGroup()) {
      for (const topic of topics) {
        if (!isLmq(topic)) continue;
        const end = store.getMaxOffsetInQueue(topic, 0);
        if (offsets.query(group, topic, 0) > end) offsets.remove(group, topic);
      }
    }
  }
}
