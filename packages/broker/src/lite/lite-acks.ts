import { ResponseCode } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import { liteTopicFault, lmqOf } from '../base/lite-names.ts';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { Delivered } from '../pop/ack-service.ts';
import type { ChangedDelivery } from '../pop/change-invisible-service.ts';
import { ORDER_REVIVE_QUEUE, TIME_MAX } from '../pop/handle.ts';
import type { OrderInfos } from '../pop/order-infos.ts';
import type { OrderedAcks } from '../pop/ordered-acks.ts';
import { type QueueLocks, queueKeyOf } from '../pop/queue-locks.ts';
import type { LiteEvents } from './lite-events.ts';
import { liteGroupOf } from './lite-rules.ts';
import type { LiteWakes } from './lite-wakes.ts';

/** A delivery of a message of a lite topic; `topic` is the parent. */
export interface LiteDelivered extends Delivered {
  readonly liteTopic: string;
}

export interface LiteAcksParts {
  readonly store: Pick<MessageStore, 'getMaxOffsetInQueue'>;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly orders: OrderInfos;
  readonly ordered: OrderedAcks;
  readonly locks: QueueLocks;
  readonly events: LiteEvents;
  readonly wakes: LiteWakes;
  readonly clock: Pick<Clock, 'now'>;
}

/**
 * Takes acknowledgements of messages of lite topics, and changes when they come again (RocketMQ AckMessageProcessor.ackLite,
 * ChangeInvisibleTimeProcessor). Under SYNC_FLUSH the group's offset is on disk before an ack is answered.
 */
export class LiteAcks {
  readonly #parts: LiteAcksParts;

  constructor(parts: LiteAcksParts) {
    this.#parts = parts;
  }

  /** Undefined: it is acknowledged. */
  async ack(delivered: LiteDelivered): Promise<Refusal | undefined> {
    const { groups, ordered } = this.#parts;
    const { group, topic, liteTopic, queueOffset, handle } = delivered;
    if (liteGroupOf(groups.preview(group))?.bindTopic !== topic) {
      return new Refusal(ResponseCode.INVALID_PARAMETER, 'group type or bind topic not match.');
    }
    const refusal = this.#refusal(delivered);
    if (refusal !== undefined) return refusal;
    return ordered.ack(group, lmqOf(topic, liteTopic), 0, [queueOffset], handle.popTime);
  }

  /** As ChangeInvisibleService.change. */
  async change(delivered: LiteDelivered, invisibleMs: number, isSuspended = false): Promise<ChangedDelivery | Refusal> {
    const { locks, offsets, orders, wakes, events, clock } = this.#parts;
    const { group, topic, liteTopic, queueOffset, handle } = delivered;
    const refusal = this.#refusal(delivered);
    if (refusal !== undefined) return refusal;
    if (invisibleMs < 0 || invisibleMs > TIME_MAX) {
      const remark = `invisibleTime ${invisibleMs}: allowed are 0 to ${TIME_MAX} ms`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const lmq = lmqOf(topic, liteTopic);
    return locks.run(queueKeyOf(lmq, group, 0), () => {
      // It was acknowledged.
      if (queueOffset < offsets.query(group, lmq, 0)) return { popTime: 0, invisibleMs: 0, reviveQueueId: 0 };
      const { popTime } = handle;
      const visibleAt = clock.now() + invisibleMs;
      orders.changeVisibleTime(lmq, group, 0, queueOffset, popTime, visibleAt, isSuspended);
      const until = orders.blockedUntil(lmq, group, 0, undefined, 0);
      if (until > 0) wakes.at(group, lmq, until);
      else events.offer(group, lmq);
      return { popTime, invisibleMs: visibleAt - popTime, reviveQueueId: ORDER_REVIVE_QUEUE };
    });
  }

  #refusal({ topic, liteTopic, queueId, queueOffset, handle }: LiteDelivered): Refusal | undefined {
    const fault = liteTopicFault(liteTopic);
    if (fault !== undefined) return new Refusal(ResponseCode.INVALID_PARAMETER, fault);
    const lmq = lmqOf(topic, liteTopic);
    const end = this.#parts.store.getMaxOffsetInQueue(lmq, 0);
    if (queueOffset < 0 || queueOffset > end) {
      return new Refusal(ResponseCode.NO_MESSAGE, `ack offset illegal: ${lmq} ends at ${end}, offset ${queueOffset}`);
    }
    if (queueId === 0 && handle.reviveQueueId === ORDER_REVIVE_QUEUE) return undefined;
    return new Refusal(ResponseCode.INVALID_PARAMETER, `ack queue illegal: ${queueId}, ${handle.reviveQueueId}`);
  }
}
