import { ResponseCode } from '@vernier/remoting';
import type { MessageStore } from '@vernier/store';
import { decodeMessage } from '@vernier/store/internal';
import { TIMER_TOPIC } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { SubscriptionGroupManager } from '../groups/subscription-group-manager.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import { ackKey, type PopAck, reviveTimeOf } from './check-point.ts';
import { ORDER_REVIVE_QUEUE, type PopHandle } from './handle.ts';
import type { InFlightTable } from './in-flight.ts';
import type { OrderedAcks } from './ordered-acks.ts';
import type { ReviveLog } from './revive-log.ts';

/** A delivery: the queue that the message lies in, and what its consumer holds of it. */
export interface Delivered {
  readonly group: string;
  /** The one of retries when it came from there. */
  readonly topic: string;
  readonly queueId: number;
  readonly queueOffset: number;
  readonly handle: PopHandle;
}

/** Several deliveries of one checkpoint. */
export interface DeliveredBatch extends Omit<Delivered, 'queueOffset'> {
  readonly queueOffsets: readonly number[];
}

export interface AckServiceParts {
  readonly store: Pick<MessageStore, 'config' | 'getMinOffsetInQueue' | 'getMaxOffsetInQueue' | 'queryMessage'>;
  readonly topics: TopicConfigManager;
  readonly groups: SubscriptionGroupManager;
  readonly log: ReviveLog;
  readonly inFlight: InFlightTable;
  readonly ordered: OrderedAcks;
}

/**
 * Takes acknowledgements (RocketMQ AckMessageProcessor). An ack that was answered is as safe as a message that was put: its
 * record is on disk under SYNC_FLUSH, and its message does not come again, whatever happens to the process. The time of the
 * delivery is not looked at: an ack that is late counts when its message has not come again yet.
 */
export class AckService {
  readonly #parts: AckServiceParts;

  constructor(parts: AckServiceParts) {
    this.#parts = parts;
  }

  /** Undefined: it is acknowledged. */
  async ack(delivered: Delivered): Promise<Refusal | undefined> {
    const refusal = this.queueRefusal(delivered) ?? this.#offsetRefusal(delivered);
    if (refusal !== undefined) return refusal;
    return this.#ack({ ...delivered, queueOffsets: [delivered.queueOffset] });
  }

  /**
   * What can never be acknowledged is left out, and nothing says which: RocketMQ answers success. What could not be stored is
   * the refusal.
   */
  async ackBatch(batches: readonly DeliveredBatch[]): Promise<Refusal | undefined> {
    const acks = batches.map(async (batch) => {
      const refusal = this.queueRefusal(batch);
      // A deletion that fails, or that a crash undoes, leaves the topic, and its messages come again.
      if (refusal !== undefined) return this.#parts.topics.isBeingDeleted(batch.topic) ? refusal : undefined;
      const queueOffsets = batch.queueOffsets.filter(
        (queueOffset) => this.#offsetRefusal({ ...batch, queueOffset }) === undefined,
      );
      if (queueOffsets.length === 0) return undefined;
      return this.#ack({ ...batch, queueOffsets });
    });
    const refusals = await Promise.all(acks);
    return refusals.find((refusal) => refusal !== undefined && refusal.code !== ResponseCode.MESSAGE_ILLEGAL);
  }

  /**
   * Whether no ack of a delivery is in the log, and no change of its time: for deliveries of before the last start, of which
   * this process knows nothing, as long as their time is not over. False also when nobody knows, because there is no index of
   * keys. Batches of several acks are not found: a delivery that one consumer acknowledges alone has none. One in order has no
   * ack in the log; its batch knows. Rejects with the errors of reading the store.
   */
  async isOpen({ group, topic, queueId, queueOffset, handle }: Delivered): Promise<boolean> {
    const { store } = this.#parts;
    const { startOffset, popTime, brokerName, reviveQueueId } = handle;
    if (reviveQueueId === ORDER_REVIVE_QUEUE) return true;
    const { messageIndexEnable, maxMsgsNumBatch } = store.config;
    if (!messageIndexEnable) return false;
    const ack = { topic, group, queueId, startOffset, queueOffsets: [queueOffset], popTime, brokerName };
    const key = ackKey(ack, false);
    const { records } = await store.queryMessage(TIMER_TOPIC, key, maxMsgsNumBatch);
    return !records.some((record) => decodeMessage(record)?.properties.get('UNIQ_KEY') === key);
  }

  /** Why the queue has no such deliveries. */
  queueRefusal({ topic: name, queueId, handle }: Omit<Delivered, 'queueOffset'>): Refusal | undefined {
    const topic = this.#parts.topics.select(name);
    if (topic === undefined) {
      return new Refusal(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist, apply first please!`);
    }
    if (queueId < 0 || queueId >= topic.readQueueNums) {
      const remark = `queueId[${queueId}] is illegal, topic:[${name}] topicConfig.readQueueNums:[${topic.readQueueNums}]`;
      return new Refusal(ResponseCode.MESSAGE_ILLEGAL, remark);
    }
    const { queueCount } = this.#parts.log;
    const { reviveQueueId } = handle;
    if (reviveQueueId !== ORDER_REVIVE_QUEUE && reviveQueueId >= queueCount) {
      const remark = `the handle names revive queue ${reviveQueueId}, there are ${queueCount}`;
      return new Refusal(ResponseCode.INVALID_PARAMETER, remark);
    }
    return undefined;
  }

  #offsetRefusal({ topic, queueId, queueOffset }: Omit<Delivered, 'handle'>): Refusal | undefined {
    const { store } = this.#parts;
    const [min, max] = [store.getMinOffsetInQueue(topic, queueId), store.getMaxOffsetInQueue(topic, queueId)];
    if (queueOffset >= min && queueOffset <= max) return undefined;
    const remark = `offset is illegal, key:${topic}@${queueId}, commit:${queueOffset}, store:${min}~${max}`;
    return new Refusal(ResponseCode.NO_MESSAGE, remark);
  }

  /** Of a delivery that is known to be one of a queue. */
  async #ack({ group, topic, queueId, queueOffsets, handle }: DeliveredBatch): Promise<Refusal | undefined> {
    const { groups, ordered } = this.#parts;
    // Nothing comes again to a group that there cannot be.
    if (groups.preview(group) === undefined) return undefined;
    const { startOffset, popTime, brokerName, invisibleMs, reviveQueueId } = handle;
    if (reviveQueueId === ORDER_REVIVE_QUEUE) return ordered.ack(group, topic, queueId, queueOffsets, popTime);
    return this.putAck(
      { topic, group, queueId, startOffset, queueOffsets, popTime, brokerName },
      invisibleMs,
      reviveQueueId,
    );
  }

  /** Stores an ack that is not there yet. */
  async putAck(ack: PopAck, invisibleMs: number, reviveQueueId: number): Promise<Refusal | undefined> {
    const { inFlight, log } = this.#parts;
    const dueTime = reviveTimeOf({ popTime: ack.popTime, invisibleMs });
    const known = [...inFlight.of(ack, dueTime)];
    const isNew = known.length === 0 || known.some((entry) => entry.lacksAny(ack.queueOffsets));
    if (!isNew) return undefined;
    const stored = await log.putAck(ack, invisibleMs, known[0]?.reviveQueueId ?? reviveQueueId);
    if (stored instanceof Refusal) return stored;
    inFlight.ackedNow(ack, dueTime);
    return undefined;
  }
}
