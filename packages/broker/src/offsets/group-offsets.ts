import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { QUEUE_COUNT_MAX } from '@vernier/store/internal';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { ConsumerOffsetManager } from './consumer-offset-manager.ts';

export interface GroupOffsetsParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
}

/** Where a group goes on in a queue, and how far it says it has come (RocketMQ ConsumerManageProcessor). */
export class GroupOffsets {
  readonly #parts: GroupOffsetsParts;

  constructor(parts: GroupOffsetsParts) {
    this.#parts = parts;
  }

  /** The committed offset. Without one, 0 for a young queue when `zeroIfNone` allows it, else QUERY_NOT_FOUND. */
  async query(group: string, topic: string, queueId: number, zeroIfNone: boolean): Promise<number | Refusal> {
    const offset = this.#parts.offsets.query(group, topic, queueId);
    if (offset >= 0) return offset;
    if (zeroIfNone && (await this.#startsInMemory(group, topic, queueId))) return 0;
    return new Refusal(ResponseCode.QUERY_NOT_FOUND, 'Not found, maybe this group consumer boot first');
  }

  /**
   * Nothing has been deleted from the queue and its first message is near the log's end: a new group then starts at 0,
   * whatever its consumeFromWhere says, so that it misses nothing of a young topic (RocketMQ checkInMemByConsumeOffset).
   */
  async #startsInMemory(group: string, topic: string, queueId: number): Promise<boolean> {
    const { store } = this.#parts;
    if (store.getMinOffsetInQueue(topic, queueId) > 0 || store.getMaxOffsetInQueue(topic, queueId) === 0) return false;
    const first = await store.getMessage(group, topic, queueId, 0, 1);
    return first.status === 'FOUND' && !first.fromDisk;
  }

  /** In memory when it returns, on disk with the table's next save. `superseded`: nothing was committed. */
  commit(group: string, topic: string, queueId: number, offset: number): 'committed' | 'superseded' | Refusal {
    const { config, topics, groups, offsets } = this.#parts;
    // An offset of a group that is not known would stay in the table for ever: an operator has deleted the group.
    if (!groups.has(group)) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} not exist!`);
    }
    if (topics.select(topic) === undefined) {
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `Topic ${topic} not exist!`);
    }
    // Until the group has learned of a reset, its commits are about messages from before it.
    if (config.useServerSideResetOffset && offsets.hasReset(group, topic, queueId)) return 'superseded';
    if (queueId < 0 || queueId >= QUEUE_COUNT_MAX || offset < 0) {
      const remark = `queue ${queueId}, offset ${offset}: allowed are queues from 0 to ${QUEUE_COUNT_MAX - 1} and offsets from 0`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    if (!offsets.commit(group, topic, queueId, offset)) return new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
    return 'committed';
  }
}
