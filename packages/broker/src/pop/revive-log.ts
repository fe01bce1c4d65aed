import { ResponseCode } from '@vernier/remoting';
import type { Clock, MessageExt } from '@vernier/store';
import type { Caller } from '../base/caller.ts';
import { reviveTopicOf } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import { propertyEntry } from '../put/properties.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { BrokerStats } from '../stats/broker-stats.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import {
  ACK_TAG,
  ackKey,
  BATCH_ACK_TAG,
  CHECK_POINT_EARLY_MS,
  CK_TAG,
  checkPointKey,
  encodeAck,
  encodeCheckPoint,
  type PopAck,
  type PopCheckPoint,
  reviveTimeOf,
} from './check-point.ts';

/** Property of a checkpoint of ours: where the group goes on in the queue. RocketMQ does not know it and leaves it alone. */
export const POP_NEXT = 'POP_NEXT';
/** The same, see PopCheckPoint.logOffset. */
const POP_LOG_OFFSET = 'POP_LOG_OFFSET';

/** Of a checkpoint's record; undefined in those of RocketMQ. */
export function logOffsetIn({ properties }: Pick<MessageExt, 'properties'>): number | undefined {
  const text = properties.get(POP_LOG_OFFSET);
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}

/** The label `put_status`: RocketMQ's name of a put that went well, and one for all others. */
export const putStatusOf = (isRefused: boolean): string => (isRefused ? 'UNKNOWN_ERROR' : 'PUT_OK');

export interface ReviveLogParts {
  readonly config: BrokerConfig;
  readonly topics: TopicConfigManager;
  readonly put: PutService;
  readonly stats: BrokerStats;
  /** In whose name the broker puts. */
  readonly caller: Caller;
  readonly clock: Clock;
}

/**
 * Writes checkpoints and acks, as timed messages: a checkpoint comes to the revive topic a second before its messages are
 * to come again, its acks at that time. They are as safe as flushDiskType asks for when a function here resolves.
 */
export class ReviveLog {
  readonly #parts: ReviveLogParts;
  readonly topic: string;

  constructor(parts: ReviveLogParts) {
    this.#parts = parts;
    this.topic = reviveTopicOf(parts.config.brokerClusterName);
  }

  /** Queues of the topic: as many as are configured, and those that it had when more were. */
  get queueCount(): number {
    const { topics, config } = this.#parts;
    return Math.max(config.reviveQueueNum, topics.select(this.topic)?.readQueueNums ?? 0);
  }

  /**
   * Resolves with an offset of the log: the checkpoint is on disk when the log is up to there. Or why it was not stored.
   * `next`: where the group goes on, when the checkpoint is that of a pop.
   */
  putCheckPoint(point: PopCheckPoint, reviveQueueId: number, next?: number): Promise<number | Refusal> {
    const deliverTime = reviveTimeOf(point) - CHECK_POINT_EARLY_MS;
    const more =
      (next === undefined ? '' : propertyEntry(POP_NEXT, String(next))) +
      (point.logOffset === undefined ? '' : propertyEntry(POP_LOG_OFFSET, String(point.logOffset)));
    return this.#counted(
      point,
      'CK',
      this.#put(encodeCheckPoint(point), CK_TAG, checkPointKey(point), reviveQueueId, deliverTime, more),
    );
  }

  /** `invisibleMs`: of the checkpoint. */
  putAck(ack: PopAck, invisibleMs: number, reviveQueueId: number): Promise<number | Refusal> {
    const isBatch = ack.queueOffsets.length > 1;
    const deliverTime = ack.popTime + invisibleMs;
    const tag = isBatch ? BATCH_ACK_TAG : ACK_TAG;
    return this.#counted(
      ack,
      'ACK',
      this.#put(encodeAck(ack, isBatch), tag, ackKey(ack, isBatch), reviveQueueId, deliverTime),
    );
  }

  async #counted(
    { topic, group }: Pick<PopCheckPoint, 'topic' | 'group'>,
    type: 'CK' | 'ACK',
    putting: Promise<number | Refusal>,
  ): Promise<number | Refusal> {
    const stored = await putting;
    const { meters } = this.#parts.stats;
    meters?.countEvent('reviveIn', topic, group, 1, `${type} ${putStatusOf(stored instanceof Refusal)}`);
    return stored;
  }

  async #put(
    body: Buffer,
    tag: string,
    uniqKey: string,
    queueId: number,
    deliverTime: number,
    more = '',
  ): Promise<number | Refusal> {
    const { put, caller, clock } = this.#parts;
    const message = {
      ...{ topic: this.topic, queueId, flag: 0, sysFlag: 0, bornTimestamp: clock.now(), reconsumeTimes: 0, body },
      properties:
        propertyEntry('TAGS', tag) +
        propertyEntry('UNIQ_KEY', uniqKey) +
        propertyEntry('TIMER_DELIVER_MS', String(Math.max(0, deliverTime))) +
        more,
    };
    const outcome = await put.put<PutOutcome>(message, caller, 'pop', (value) => value);
    if (outcome instanceof Refusal) return outcome;
    // What may not be on disk is not acknowledged, whatever becomes of it.
    if (outcome.code !== ResponseCode.SUCCESS) return new Refusal(ResponseCode.SYSTEM_ERROR, outcome.remark ?? '');
    // Each flush ends behind a record.
    return outcome.logOffset + 1;
  }
}
