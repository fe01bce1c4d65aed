import { MessageSysFlag } from '@vernier/remoting';
import type { Clock, MessageExt, MessageStore, QueueEntry, StoreLogger } from '@vernier/store';
import {
  type DelayLevels,
  encodeProperties,
  isExtAddress,
  PROPERTY_CRC32,
  SCHEDULE_TOPIC,
  STORE_TIME_HELD_MS,
} from '@vernier/store/internal';
import type { Caller } from '../base/caller.ts';
import { isRetryOrDlqTopic } from '../base/names.ts';
import { Refusal } from '../base/refusal.ts';
import type { BrokerConfig } from '../config.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { FollowProgress, QueueFollower } from '../follow/queue-follower.ts';
import type { MessageToPut } from '../put/message-to-put.ts';
import { isNeverStored } from '../put/put-result.ts';
import type { PutOutcome, PutService } from '../put/put-service.ts';
import type { TopicConfigManager } from '../topics/topic-config-manager.ts';
import type { DelayOffsets } from './delay-offsets.ts';

export interface DelayServiceParts {
  readonly config: BrokerConfig;
  readonly store: MessageStore;
  readonly levels: DelayLevels;
  readonly offsets: DelayOffsets;
  readonly follow: FollowService;
  readonly topics: TopicConfigManager;
  readonly put: PutService;
  /** In whose name the broker puts. */
  readonly caller: Caller;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

/** At the latest after this the clock is looked at again: somebody may have set it. */
const LOOK_AGAIN_MS = 1_000;
/** A delivery that failed is tried again after this, then after twice as long, up to the longest. */
const RETRY_MS = 100;
const RETRY_MS_MAX = 10_000;

/** What became of one message. */
type Delivery = 'delivered' | 'dropped' | Refusal;

/**
 * The delay levels (RocketMQ ScheduleMessageService): a follower for the queue of each level, which gives a message on when
 * its time has come. All messages of a queue wait equally long, so the first one is the next one.
 *
 * The steps of a delivery, and what a crash leaves between them:
 *
 *   1 wait      until the time that stands in the message's queue entry
 *   2 put       a copy into the topic and queue that the message names; it does not wait for its flush
 *   3 move      the level's offset, in memory
 *   4 flush     everything that was put by then, each flushDelayOffsetInterval and at a shutdown
 *   5 save      the offsets as they were before the flush: delayOffset.json
 *
 * A crash before 5 delivers again what was delivered since the last save. None leaves a message out: an offset on disk
 * is only past messages whose copies are on disk.
 */
export class DelayService {
  readonly #parts: DelayServiceParts;
  readonly #followers = new Map<number, QueueFollower>();
  #deliveredTotal = 0;
  #droppedTotal = 0;

  constructor(parts: DelayServiceParts) {
    this.#parts = parts;
  }

  /** Messages given on, and those that nobody can be given any more, since the start. */
  get deliveredTotal(): number {
    return this.#deliveredTotal;
  }

  get droppedTotal(): number {
    return this.#droppedTotal;
  }

  /** Some message waits. */
  get hasPending(): boolean {
    for (const [level, { queueOffset }] of this.#followers) if (queueOffset < this.#end(level)) return true;
    return false;
  }

  /** After the tables were read; the follow service stops it. */
  start(): void {
    const { store, levels } = this.#parts;
    // A queue beyond the table has messages of a time when messageDelayLevel was longer.
    const queueIds = store.queuesByTopic().get(SCHEDULE_TOPIC) ?? [];
    const last = queueIds.reduce((highest, queueId) => Math.max(highest, queueId + 1), levels.maxLevel);
    for (let level = 1; level <= last; level++) this.#followers.set(level, this.#follow(level));
  }

  /** `offset,max` of each level, by RocketMQ's keys (ScheduleMessageService.buildRunningStats). */
  runtimeInfo(): Record<string, string> {
    const table: Record<string, string> = {};
    for (const [level, offset] of this.#parts.offsets.offsets()) {
      table[`scheduleMessageOffset_${level}`] = `${offset},${this.#end(level)}`;
    }
    return table;
  }

  /** delayOffset.json of this moment. */
  offsetsText(): string {
    return this.#parts.offsets.text();
  }

  #end(level: number): number {
    return this.#parts.store.getMaxOffsetInQueue(SCHEDULE_TOPIC, level - 1);
  }

  #follow(level: number): QueueFollower {
    const { store, offsets, follow, logger } = this.#parts;
    const queueId = level - 1;
    const before = offsets.offset(level);
    const [min, max] = [Math.max(0, store.getMinOffsetInQueue(SCHEDULE_TOPIC, queueId)), this.#end(level)];
    if (offsets.clamp(level, min, max)) {
      const now = offsets.offset(level);
      const message = `delayOffset.json has ${before} for level ${level}, whose queue goes from ${min} to ${max}; it goes on at ${now}`;
      logger.warn({ level, before, now, min, max }, message);
    }
    /** Log offsets of messages that were delivered although one in front of them could not be. */
    const ahead = new Set<number>();
    return follow.follow({
      name: `delay-level-${level}`,
      topic: SCHEDULE_TOPIC,
      queueId,
      places: offsets.placeOf(level),
      waitMs: (entry, queueOffset) => this.#waitMs(level, entry, queueOffset),
      act: (messages) => this.#deliverAll(messages, ahead),
      retryMs: RETRY_MS,
      retryMsMax: RETRY_MS_MAX,
    });
  }

  async #waitMs(level: number, entry: QueueEntry, queueOffset: number): Promise<number> {
    const { clock, levels, store } = this.#parts;
    const storedAt = (): Promise<number> => store.getMessageStoreTimeStamp(SCHEDULE_TOPIC, level - 1, queueOffset);
    // A Java broker that keeps extensions of entries has the time there.
    const due = isExtAddress(entry.tagsCode) ? (await storedAt()) + levels.delayMs(level) : entry.tagsCode;
    const left = due - clock.now();
    if (left <= 0) return 0;
    // Longer than the level: the message is of a broker with another messageDelayLevel, and waits as long as that one
    // said. Or the clock was set back, and rather early than a time later that nobody asked for.
    if (left > levels.delayMs(level) && clock.now() < (await storedAt()) - STORE_TIME_HELD_MS) return 0;
    return Math.min(left, LOOK_AGAIN_MS);
  }

  /** All at once, in their order. What is behind a failed one is not delivered again when that one is. */
  async #deliverAll(messages: readonly MessageExt[], ahead: Set<number>): Promise<FollowProgress> {
    const deliveries = messages.map(async (message) => {
      if (ahead.has(message.commitLogOffset)) return 'delivered';
      return this.#deliver(message);
    });
    const outcomes = await Promise.allSettled(deliveries);
    let done = 0;
    let failure: unknown;
    for (const [i, outcome] of outcomes.entries()) {
      const { commitLogOffset } = messages[i]!;
      const isDone = outcome.status === 'fulfilled' && !(outcome.value instanceof Refusal);
      if (failure === undefined && isDone) {
        ahead.delete(commitLogOffset);
        done++;
      } else if (isDone) ahead.add(commitLogOffset);
      else failure ??= outcome.status === 'rejected' ? outcome.reason : deliveryFailure(outcome.value as Refusal);
    }
    if (done === 0) throw failure;
    return { done };
  }

  async #deliver(message: MessageExt): Promise<Delivery> {
    const { store, topics, put, caller, config } = this.#parts;
    const topic = message.properties.get('REAL_TOPIC');
    const queueId = Number(message.properties.get('REAL_QID') ?? Number.NaN);
    if (topic === undefined || !Number.isSafeInteger(queueId) || queueId < 0) {
      return this.#drop(message, 'it does not say where it is to go (REAL_TOPIC, REAL_QID)');
    }
    if (message.commitLogOffset < store.deletedBelow(topic)) {
      return this.#drop(message, `topic ${topic} was deleted after it was sent`);
    }
    if (topics.select(topic) === undefined) {
      if (topics.isBeingDeleted(topic)) throw new Error(`topic ${topic} is being deleted`);
      // A message made the topic, and the machine went down before the table was saved.
      const queueNums = isRetryOrDlqTopic(topic) ? 1 : config.defaultTopicQueueNums;
      topics.restore(topic, Math.max(queueNums, queueId + 1));
    }
    const outcome = await put.put<PutOutcome>(
      deliveredCopy(message, topic, queueId),
      caller,
      'delay',
      (value) => value,
    );
    if (!(outcome instanceof Refusal)) {
      this.#deliveredTotal++;
      return 'delivered';
    }
    return isNeverStored(outcome) ? this.#drop(message, outcome.remark) : outcome;
  }

  /** The others of its level must not wait for it. */
  #drop({ commitLogOffset, queueId, queueOffset, properties }: MessageExt, why: string): 'dropped' {
    this.#droppedTotal++;
    const uniqKey = properties.get('UNIQ_KEY');
    this.#parts.logger.error(
      { level: queueId + 1, queueOffset, commitLogOffset, uniqKey, why },
      `a delayed message is not delivered: ${why}. Its record stays at ${commitLogOffset} in the log`,
    );
    return 'dropped';
  }
}

const deliveryFailure = ({ code, remark }: Refusal): Error =>
  new Error(`the delivery was refused with ${code}: ${remark}`);

/** As RocketMQ leaves it: DELAY, REAL_TOPIC and REAL_QID stay among the properties. */
function deliveredCopy(message: MessageExt, topic: string, queueId: number): MessageToPut {
  const properties = new Map(message.properties);
  properties.delete(PROPERTY_CRC32);
  return {
    topic,
    queueId,
    flag: message.flag,
    // The address bits describe this record's hosts, which the encoder knows.
    sysFlag: message.sysFlag & ~(MessageSysFlag.BORN_HOST_V6 | MessageSysFlag.STORE_HOST_V6),
    bornTimestamp: message.bornTimestamp,
    bornHost: message.bornHost,
    reconsumeTimes: message.reconsumeTimes,
    body: message.body,
    properties: encodeProperties(properties),
  };
}
