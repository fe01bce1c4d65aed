import { ResponseCode } from '@vernier/remoting';
import type { Clock, MessageStore } from '@vernier/store';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { ConsumerOffsetManager } from '../offsets/consumer-offset-manager.ts';
import type { AckService, Delivered } from './ack-service.ts';
import { type PopCheckPoint, reviveTimeOf } from './check-point.ts';
import { ORDER_REVIVE_QUEUE, TIME_MAX } from './handle.ts';
import type { InFlightTable } from './in-flight.ts';
import type { OrderInfos } from './order-infos.ts';
import type { PopPolling } from './pop-polling.ts';
import { type QueueLocks, queueKeyOf } from './queue-locks.ts';
import type { ReviveLog } from './revive-log.ts';

/** What the new handle of a delivery has instead of the old one's; its queue offset becomes that of the message. */
export interface ChangedDelivery {
  readonly popTime: number;
  readonly invisibleMs: number;
  readonly reviveQueueId: number;
}

export interface ChangeInvisibleServiceParts {
  readonly store: Pick<MessageStore, 'getMinOffsetInQueue' | 'getMaxOffsetInQueue' | 'queueEntries'>;
  readonly groups: SubscriptionGroupManager;
  readonly offsets: ConsumerOffsetManager;
  readonly acks: AckService;
  readonly log: ReviveLog;
  readonly inFlight: InFlightTable;
  readonly orders: OrderInfos;
  readonly locks: QueueLocks;
  readonly polling: PopPolling;
  readonly clock: Clock;
}

/** A handle that is so far ahead of the clock is from before it was set back. */
const CLOCK_SET_BACK_MS = 1_000;
/** Changes of one delivery that begin in one millisecond, or run ahead of the clock by one each. */
const CHANGES_AT_ONCE = 100;

/**
 * Gives a delivery another time (RocketMQ ChangeInvisibleTimeProcessor).
 *
 * The steps, and what a crash leaves between them:
 *
 *   1 put    a checkpoint of the message alone, from now on
 *   2 put    an ack for the old one
 *   3 answer with the new handle
 *
 * A crash between 1 and 2 leaves both: the message comes twice, and never not at all. A delivery whose time is over already
 * gets no second checkpoint: its message comes again by the first one.
 */
export class ChangeInvisibleService {
  readonly #parts: ChangeInvisibleServiceParts;

  constructor(parts: ChangeInvisibleServiceParts) {
    this.#parts = parts;
  }

  /** `invisibleMs`: from now on. `isSuspended`: that it comes again then does not count as a try. */
  async change(delivered: Delivered, invisibleMs: number, isSuspended = false): Promise<ChangedDelivery | Refusal> {
    const { store, acks, groups } = this.#parts;
    const { group, topic, queueId, queueOffset, handle } = delivered;
    if (invisibleMs < 0 || invisibleMs > TIME_MAX) {
      const remark = `invisibleTime ${invisibleMs}: allowed are 0 to ${TIME_MAX} ms`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    const refusal = acks.queueRefusal(delivered);
    if (refusal !== undefined) return refusal;
    const [min, max] = [store.getMinOffsetInQueue(topic, queueId), store.getMaxOffsetInQueue(topic, queueId)];
    if (queueOffset < min || queueOffset >= max) {
      const remark = `offset is illegal, key:${topic}@${queueId}, offset:${queueOffset}, store:${min}~${max}`;
      return new Refusal(ResponseCode.NO_MESSAGE, remark);
    }
    if (groups.preview(group) === undefined) {
      return new Refusal(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `subscription group [${group}] does not exist`);
    }
    return handle.reviveQueueId === ORDER_REVIVE_QUEUE
      ? this.#changeOrdered(delivered, invisibleMs, isSuspended)
      : this.#changePopped(delivered, invisibleMs, isSuspended);
  }

  async #changePopped(
    delivered: Delivered,
    invisibleMs: number,
    isSuspended: boolean,
  ): Promise<ChangedDelivery | Refusal> {
    const { clock, log, inFlight, acks } = this.#parts;
    const { group, topic, queueId, queueOffset, handle } = delivered;
    const { startOffset, reviveQueueId, brokerName } = handle;
    const now = clock.now();
    if (handle.popTime + handle.invisibleMs <= now) return { popTime: now, invisibleMs, reviveQueueId };
    const state = { logOffset: await this.#logOffset(delivered), ...(isSuspended ? { isSuspended } : {}) };
    const point = this.#claim(delivered, invisibleMs, now, state);
    if (point instanceof Refusal) return point;
    const logEnd = await log.putCheckPoint(point, reviveQueueId).finally(() => inFlight.unclaim(point));
    if (logEnd instanceof Refusal) return logEnd;
    inFlight.gaveOut(point, reviveQueueId);
    const old = {
      topic,
      group,
      queueId,
      startOffset,
      queueOffsets: [queueOffset],
      popTime: handle.popTime,
      brokerName,
    };
    const refusal = await acks.putAck(old, handle.invisibleMs, reviveQueueId);
    return refusal ?? { popTime: point.popTime, invisibleMs, reviveQueueId };
  }

  /** Of the message, or of one behind it that was given with it. */
  async #logOffset({ group, topic, queueId, queueOffset, handle }: Delivered): Promise<number | undefined> {
    const { inFlight, store } = this.#parts;
    const key = { ...handle, group, topic, queueId };
    for (const { point } of inFlight.of(key, reviveTimeOf(handle))) {
      if (point.logOffset !== undefined) return point.logOffset;
    }
    const entries = await store.queueEntries(topic, queueId, queueOffset, 1);
    return entries?.[0]?.commitLogOffset;
  }

  /**
   * A checkpoint from now on whose key nothing else has: with the key of the old one, the ack of that would end it; with the
   * key of another change in this millisecond, one handle would be two deliveries.
   */
  #claim(
    delivered: Delivered,
    invisibleMs: number,
    now: number,
    state: Pick<PopCheckPoint, 'logOffset' | 'isSuspended'>,
  ): PopCheckPoint | Refusal {
    const { group, topic, queueId, queueOffset, handle } = delivered;
    const { brokerName } = handle;
    // Behind the delivery that is changed, and so behind those that it comes from, which memory may not know; but not in an
    // hour when the clock was set back.
    const isClockBack = handle.popTime > now + CLOCK_SET_BACK_MS;
    const first = isClockBack ? now : Math.max(now, handle.popTime + 1);
    for (let popTime = first; popTime < first + CHANGES_AT_ONCE; popTime++) {
      const point: PopCheckPoint = {
        ...{ topic, group, queueId, startOffset: queueOffset, diffs: [0], popTime, invisibleMs, brokerName },
        ...{ rePutTimes: 0, ...state },
      };
      if (this.#parts.inFlight.claim(point)) return point;
    }
    const remark = `the delivery of ${topic}@${queueId}, offset ${queueOffset}, has ${CHANGES_AT_ONCE} changes of its time at once`;
    return new Refusal(ResponseCode.SYSTEM_BUSY, remark);
  }

  #changeOrdered(delivered: Delivered, invisibleMs: number, isSuspended: boolean): Promise<ChangedDelivery> {
    const { locks, offsets, orders, clock, polling } = this.#parts;
    const { group, topic, queueId, queueOffset, handle } = delivered;
    return locks.run(queueKeyOf(topic, group, queueId), () => {
      // It was acknowledged.
      if (queueOffset < offsets.query(group, topic, queueId)) return { popTime: 0, invisibleMs: 0, reviveQueueId: 0 };
      const { popTime } = handle;
      const visibleAt = clock.now() + invisibleMs;
      orders.changeVisibleTime(topic, group, queueId, queueOffset, popTime, visibleAt, isSuspended);
      // Who waits for the queue may wait for less from now on.
      polling.notify(group, topic, queueId);
      return { popTime, invisibleMs: visibleAt - popTime, reviveQueueId: ORDER_REVIVE_QUEUE };
    });
  }
}
