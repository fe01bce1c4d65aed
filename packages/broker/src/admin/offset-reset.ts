import { ResponseCode } from '@vernier/remoting';
import type { MessageStore, StoreLogger } from '@vernier/store';
import { QUEUE_COUNT_MAX } from '@vernier/store/internal';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';

export interface OffsetResetParts {
  readonly store: MessageStore;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly file: Pick<MetadataFile, 'save'>;
  /** Some of these queues have a batch that the group popped in order. */
  hasBatch(group: string, topic: string, queueIds: readonly number[]): boolean;
  readonly batchesFile: Pick<MetadataFile, 'save'>;
  readonly logger: StoreLogger;
}

export interface ResetRequest {
  readonly topic: string;
  readonly group: string;
  /** -1: every queue that can be read. */
  readonly queueId: number;
  /** Unix milliseconds; negative: each queue's end. */
  readonly timestamp: number;
  /** Of one queue, in place of the time; -1: none. */
  readonly offset: number;
}

/**
 * Puts a group back or forward (RocketMQ AdminBrokerProcessor.resetOffsetInner). The new offsets are committed at once and
 * each queue's next pull is answered OFFSET_RESET; until then commits of the group are about older messages, and ignored.
 */
export class OffsetReset {
  readonly #parts: OffsetResetParts;

  constructor(parts: OffsetResetParts) {
    this.#parts = parts;
  }

  /** The queues to reset; or why none may be. */
  queuesOf({ topic: name, group, queueId }: ResetRequest): number[] | Refusal {
    const topic = this.#parts.topics.select(name);
    if (topic === undefined) return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `Topic ${name} does not exist`);
    if (!this.#parts.groups.has(group)) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
    }
    if (queueId >= QUEUE_COUNT_MAX) {
      const remark = `queue ${queueId}: allowed are queues from 0 to ${QUEUE_COUNT_MAX - 1}`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const queueIds = queueId >= 0 ? [queueId] : Array.from({ length: topic.readQueueNums }, (_, index) => index);
    return queueIds.length > 0 ? queueIds : new Refusal(ResponseCode.SYSTEM_ERROR, 'No queues to reset.');
  }

  /**
   * The new offset of each queue; on disk when it resolves. All of them or none. `giveTurn` is called after each queue: a
   * topic may have 65,536, and each takes a look at the disk.
   */
  async reset(
    request: ResetRequest,
    queueIds: readonly number[],
    giveTurn: () => Promise<void>,
  ): Promise<ReadonlyMap<number, number> | Refusal> {
    const { topic, group, queueId, timestamp, offset: wanted } = request;
    const { offsets, file, logger, hasBatch, batchesFile } = this.#parts;
    const targets = new Map<number, number>();
    for (const id of queueIds) {
      const offset =
        queueId >= 0 && wanted !== -1 ? this.#checked(topic, id, wanted) : await this.#offsetAt(topic, id, timestamp);
      if (offset instanceof Refusal) return offset;
      targets.set(id, offset);
      await giveTurn();
    }
    // Topic or group may have been deleted meanwhile, and their offsets with them.
    const allowed = this.queuesOf(request);
    if (allowed instanceof Refusal) return allowed;
    const hadBatch = hasBatch(group, topic, queueIds);
    if (!offsets.assignResets(group, topic, targets)) return new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
    // A start puts offsets behind the acks of a batch: it must not find one from before the reset.
    if (hadBatch) await batchesFile.save();
    await file.save();
    logger.info({ topic, group, queueId, timestamp, target: wanted }, 'consumer offsets reset');
    return targets;
  }

  #checked(topic: string, queueId: number, offset: number): number | Refusal {
    const min = this.#parts.store.getMinOffsetInQueue(topic, queueId);
    const max = this.#parts.store.getMaxOffsetInQueue(topic, queueId);
    if (offset >= min && offset <= max + 1) return offset;
    const remark = `Target offset ${offset} not in consume queue range [${min}-${max}]`;
    return new Refusal(ResponseCode.SYSTEM_ERROR, remark);
  }

  async #offsetAt(topic: string, queueId: number, timestamp: number): Promise<number> {
    if (timestamp < 0) return this.#parts.store.getMaxOffsetInQueue(topic, queueId);
    return this.#parts.store.getOffsetInQueueByTime(topic, queueId, timestamp);
  }
}
