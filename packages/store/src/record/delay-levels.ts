import { DEFAULT_MESSAGE_DELAY_LEVEL, parseDelayLevels } from '../base/delay-level-text.ts';

/** Topic whose records wait for their delivery time, one queue a level (RocketMQ TopicValidator.RMQ_SYS_SCHEDULE_TOPIC). */
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

/** Delay of each level; levels count from 1 (RocketMQ DefaultMessageStore.delayLevelTable, maxDelayLevel). */
export class DelayLevels {
  readonly #delaysMs: readonly number[];

  /** `text` as messageDelayLevel has it: blank-separated numbers with the unit s, m, h or d. Throws RangeError else. */
  constructor(text: string = DEFAULT_MESSAGE_DELAY_LEVEL) {
    const parsed = parseDelayLevels(text);
    if (typeof parsed === 'string') throw new RangeError(`messageDelayLevel: ${parsed}`);
    this.#delaysMs = parsed;
  }

  get maxLevel(): number {
    return this.#delaysMs.length;
  }

  /** Milliseconds of a level of 1 and above; levels beyond the table count as the last one. */
  delayMs(level: number): number {
    return this.#delaysMs[Math.min(level, this.#delaysMs.length) - 1]!;
  }

  /** When a record stored at `storeTimestamp` is due, Unix milliseconds. Undefined for level 0 and below: not delayed. */
  deliverTimestamp(level: number, storeTimestamp: number): number | undefined {
    return level > 0 ? storeTimestamp + this.delayMs(level) : undefined;
  }
}
