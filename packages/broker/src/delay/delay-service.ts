import type { Clock, MessageExt, MessageStore, QueueEntry, StoreLogger } from '@vernier/store';
import { type DelayLevels, isExtAddress, SCHEDULE_TOPIC, STORE_TIME_HELD_MS } from '@vernier/store/internal';
import { Refusal } from '../base/refusal.ts';
import type { FollowService } from '../follow/follow-service.ts';
import type { FollowProgress, QueueFollower } from '../follow/queue-follower.ts';
import type { DelayOffsets } from './delay-offsets.ts';
import { type DueDeliveries, deliveryFailure, LOOK_AGAIN_MS, RETRY_MS, RETRY_MS_MAX } from './due-deliveries.ts';

export interface DelayServiceParts {
  readonly store: MessageStore;
  readonly levels: DelayLevels;
  readonly offsets: DelayOffsets;
  readonly follow: FollowService;
  readonly deliveries: DueDeliveries;
  readonly clock: Clock;
  readonly logger: StoreLogger;
}

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

  constructor(parts: DelayServiceParts) {
    this.#parts = parts;
  }

  /** Messages given on, and those that nobody can be given any more, since the start. */
  get deliveredTotal(): number {
    return this.#parts.deliveries.deliveredTotal;
  }

  get droppedTotal(): number {
    return this.#parts.deliveries.droppedTotal;
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
      return this.#parts.deliveries.deliver(message);
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
}
