import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';
import type { MetadataFile } from '../metadata/metadata-files.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { OrderedAck, OrderInfos } from './order-infos.ts';
import type { PopPolling } from './pop-polling.ts';
import { type QueueLocks, queueKeyOf } from './queue-locks.ts';

export interface OrderedAcksParts {
  readonly store: Pick<MessageStore, 'config' | 'failure' | 'getMessageStoreTimeStamp'>;
  readonly offsets: ConsumerOffsetManager;
  readonly orders: OrderInfos;
  readonly locks: QueueLocks;
  readonly polling: Pick<PopPolling, 'notify'>;
  readonly ordersFile: Pick<MetadataFile, 'save' | 'settled'>;
  readonly offsetsFile: Pick<MetadataFile, 'save' | 'settled'>;
  /** Whether an ack of a message whose batch nobody knows counts. Without it: when the message was there to be popped. */
  believes?(ack: UnknownAck): boolean;
}

/** An ack of a message of a batch that nobody knows any more. */
export interface UnknownAck {
  readonly group: string;
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  /** Where the group is; -1: nowhere. */
  readonly committed: number;
  /** Unix milliseconds. */
  readonly popTime: number;
}

interface Outcome {
  readonly refusal: Refusal | undefined;
  readonly isCommitted: boolean;
  /** The group is behind one of the messages already. */
  readonly isRepeated: boolean;
  readonly isInOrderInfo: boolean;
}

const UNKNOWN: OrderedAck = { kind: 'unknown' };

/**
 * Acks of messages that were popped in order. They move the group's offset and say who is next.
 *
 * Under SYNC_FLUSH consumerOrderInfo.json is on disk before the ack is answered, one write for all that come together; a
 * start puts an older offset behind the acks that stand there. RocketMQ writes both each few seconds and loses acks that
 * were answered when it is killed.
 */
export class OrderedAcks {
  readonly #parts: OrderedAcksParts;

  constructor(parts: OrderedAcksParts) {
    this.#parts = parts;
  }

  async ack(
    group: string,
    topic: string,
    queueId: number,
    queueOffsets: readonly number[],
    popTime: number,
  ): Promise<Refusal | undefined> {
    const { locks, store, ordersFile, offsetsFile } = this.#parts;
    const key = queueKeyOf(topic, group, queueId);
    const outcome = await locks.run(key, () => this.#commit(group, topic, queueId, queueOffsets, popTime));
    if (store.config.flushDiskType !== 'SYNC_FLUSH') return outcome.refusal;
    const file = outcome.isInOrderInfo ? ordersFile : offsetsFile;
    if (outcome.isCommitted) await file.save();
    // The first one may still be on its way to the disk, or have failed to get there.
    else if (outcome.isRepeated) await file.settled();
    // Batches are not saved any more then.
    const { failure } = store;
    if ((outcome.isCommitted || outcome.isRepeated) && failure !== undefined) {
      const remark = `the ack is not on disk, the store is read-only: ${failure.message}`;
      return outcome.refusal ?? new Refusal(ResponseCode.SERVICE_NOT_AVAILABLE, remark);
    }
    return outcome.refusal;
  }

  /**
   * Where the group stands there has to be a message that a pop could give then: a queue that was made again, or that a power
   * cut has shortened under ASYNC_FLUSH, has another one there. An ack from elsewhere is refused later.
   */
  async #isBelieved(ack: UnknownAck): Promise<boolean> {
    const { store, believes } = this.#parts;
    const { topic, queueId, queueOffset, committed, popTime } = ack;
    if (believes !== undefined) return believes(ack);
    if (queueOffset !== committed) return true;
    const storedAt = await store.getMessageStoreTimeStamp(topic, queueId, queueOffset);
    return storedAt >= 0 && storedAt <= popTime;
  }

  async #commit(
    group: string,
    topic: string,
    queueId: number,
    queueOffsets: readonly number[],
    popTime: number,
  ): Promise<Outcome> {
    const { offsets, orders, polling } = this.#parts;
    const isInOrderInfo = orders.get(topic, group, queueId) !== undefined;
    let refusal: Refusal | undefined;
    let isCommitted = false;
    let isRepeated = false;
    for (const queueOffset of queueOffsets) {
      const committed = offsets.query(group, topic, queueId);
      if (queueOffset < committed) {
        isRepeated = true;
        continue;
      }
      const asked = { group, topic, queueId, queueOffset, committed, popTime };
      const isBelieved = isInOrderInfo || (await this.#isBelieved(asked));
      if (!isBelieved && this.#parts.believes !== undefined) continue;
      // Its topic or the group may have been deleted meanwhile.
      const present = offsets.query(group, topic, queueId);
      const ack = isBelieved ? orders.ack(topic, group, queueId, queueOffset, popTime, present) : UNKNOWN;
      if (ack.kind === 'unknown') {
        const remark = `offset is illegal, key:${topic}@${group}@${queueId}, old:${present}, commit:${queueOffset}, the last batch has no such message`;
        refusal ??= new Refusal(ResponseCode.MESSAGE_ILLEGAL, remark);
      }
      if (ack.kind !== 'committed') continue;
      isCommitted = true;
      // Until the group has learned of a reset, its acks are about messages from before it.
      if (offsets.hasReset(group, topic, queueId)) continue;
      if (!offsets.commit(group, topic, queueId, ack.nextOffset)) {
        refusal = new Refusal(ResponseCode.SYSTEM_BUSY, offsets.refusal);
      }
    }
    if (isCommitted && orders.blockedUntil(topic, group, queueId, undefined, 0) === 0) {
      polling.notify(group, topic, queueId);
    }
    return { refusal, isCommitted, isRepeated, isInOrderInfo };
  }
}
