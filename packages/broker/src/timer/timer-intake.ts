import type { Clock, MessageExt, MessageStore, StoreLogger } from '@vernier/store';
import { javaStringHashCode, type TimerFiles, TimerMagic, WHEEL_SPARE_SLOTS } from '@vernier/store/internal';
import type { BrokerConfig } from '../config.ts';
import type { FollowProgress } from '../follow/queue-follower.ts';
import type { TimerMetrics } from './timer-metrics.ts';
import { placeInWheel, type RollWindow } from './timer-time.ts';

export interface TimerIntakeParts {
  readonly config: BrokerConfig;
  readonly store: Pick<MessageStore, 'config'>;
  readonly files: TimerFiles;
  readonly metrics: TimerMetrics;
  readonly clock: Clock;
  readonly logger: StoreLogger;
  /** A message waits in this slot. */
  added(number: number): void;
  /** Slots above this one were filled by a clock that was ahead, and are in the way: what waits there is to be put back. */
  isInTheWay(limit: number): void;
}

/** While a slot is in the way. */
const WAIT_MS = 100;
const AN_HOUR_MS = 3_600_000;

/**
 * Takes what is put into the topic of messages that wait into the timer files (RocketMQ TimerEnqueueGetService,
 * TimerEnqueuePutService): the action of a follower. A message whose time is past gets its slot all the same, which is due
 * at once: so a recall that came before it finds it there.
 */
export class TimerIntake {
  readonly #parts: TimerIntakeParts;
  #isStuck = false;
  #addedTotal = 0;

  constructor(parts: TimerIntakeParts) {
    this.#parts = parts;
  }

  #nowSlot(): number {
    return Math.floor(this.#parts.clock.now() / this.#parts.files.precisionMs);
  }

  /** Slots farther back could be those of messages that wait ahead. */
  #lastSlotBack(nowSlot: number): number {
    return nowSlot - this.#parts.files.slots / 2;
  }

  /** It cannot go on now: whoever waits for it must not. */
  get isStuck(): boolean {
    return this.#isStuck;
  }

  get addedTotal(): number {
    return this.#addedTotal;
  }

  /** How many slots ahead a message may wait whose record is as old. Beyond what the log is kept for, it is put back at once. */
  #window(ageMs: number): RollWindow {
    const { config, files } = this.#parts;
    const precisionMs = files.precisionMs;
    const half = files.slots / 2;
    const room = half - Math.min(WHEEL_SPARE_SLOTS, Math.floor(half / 10));
    const kept = Math.floor((this.#keptMs - Math.max(0, ageMs)) / precisionMs);
    return { slots: Math.max(2, Math.min(config.timerRollWindowSlot, room, kept)), precisionMs };
  }

  /** A record has to be there when its time has come, so it is put back within two thirds of the time for which the log is kept. */
  get #keptMs(): number {
    return (this.#parts.store.config.fileReservedTime * AN_HOUR_MS * 2) / 3;
  }

  /** Number of the last slot into which a message would be put now, and an eighth: clocks are set by a little. */
  get farthest(): number {
    const { slots } = this.#window(0);
    return this.#nowSlot() + slots + Math.floor(slots / 8);
  }

  readonly act = async (messages: readonly MessageExt[], signal: AbortSignal): Promise<FollowProgress> => {
    let done = 0;
    try {
      for (const message of messages) {
        if (signal.aborted || !(await this.#take(message))) break;
        done++;
      }
      this.#isStuck = done === 0;
    } catch (error) {
      this.#isStuck = true;
      if (done === 0) throw error;
    }
    return done === 0 ? { done, waitMs: WAIT_MS } : { done };
  };

  /** False: not now. */
  async #take(message: MessageExt): Promise<boolean> {
    const { files, metrics } = this.#parts;
    const { properties, commitLogOffset, queueOffset, storeSize } = message;
    const outMs = Number(properties.get('TIMER_OUT_MS') ?? Number.NaN);
    const topic = properties.get('REAL_TOPIC');
    if (!Number.isSafeInteger(outMs) || topic === undefined) {
      this.#passOver(message);
      return true;
    }
    if (files.isKnown(commitLogOffset, queueOffset, outMs)) return true;
    const { precisionMs } = files;
    const window = this.#window(this.#parts.clock.now() - message.storeTimestamp);
    const nowSlot = this.#nowSlot();
    const writeTimeMs = nowSlot * precisionMs;
    const { timeMs, isRoll } = placeInWheel(outMs, writeTimeMs, window);
    const isRecall = properties.has('TIMER_DEL_UNIQKEY');
    const magic = TimerMagic.DEFAULT | (isRoll ? TimerMagic.ROLL : 0) | (isRecall ? TimerMagic.DELETE : 0);
    const wanted = Math.floor(timeMs / precisionMs);
    const number = Math.max(wanted, this.#lastSlotBack(nowSlot));
    const topicHash = javaStringHashCode(topic);
    const added = await files.add({
      number,
      wanted,
      magic,
      writeTimeMs,
      logOffset: commitLogOffset,
      size: storeSize,
      topicHash,
    });
    if (added === 'early') this.#parts.isInTheWay(nowSlot + this.#window(0).slots);
    if (added !== 'added') return false;
    this.#addedTotal++;
    if (!isRecall) {
      metrics.add(topic, 1);
      metrics.onDelay(topic, outMs - message.bornTimestamp);
    }
    this.#parts.added(number);
    return true;
  }

  #passOver({ commitLogOffset, queueOffset, properties }: MessageExt): void {
    this.#parts.logger.error(
      { commitLogOffset, queueOffset, uniqKey: properties.get('UNIQ_KEY') },
      `a message of the timer topic says neither when nor where it is to be delivered: it stays at ${commitLogOffset}`,
    );
  }
}
